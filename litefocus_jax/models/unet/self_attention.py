"""Which self-attention runs at which level of the UNet."""

import functools
import itertools
from collections.abc import Callable

import jax
from jax.tree_util import Partial
from jaxtyping import Array, Key

from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.transformer import SelfAttend, attend_densely
from litefocus_jax.ops.litefocus.attention import litefocus_attention
from litefocus_jax.ops.litefocus.scores import scale_queries
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig


def levels_with_attention(config: UNetConfig) -> tuple[int, ...]:
    """The levels that LiteFocus can be applied to; the last one always has the middle block's attention."""
    last = len(config.block_out_channels) - 1
    return tuple(
        level
        for level in range(last + 1)
        if level == last
        or config.down_block_types[level] == "CrossAttnDownBlock2D"
        or config.up_block_types[last - level] == "CrossAttnUpBlock2D"
    )


def check_levels(config: UNetConfig, litefocus: LiteFocusConfig | None) -> None:
    """Check that a UNet has attention wherever LiteFocus is to replace it, and says what LiteFocus is to know of it.

    Raises:
        ValueError: naming the first level that does not exist or has no attention, or the training length where scores
            are to be scaled by it and it is not known.
    """
    if litefocus is None:
        return
    available = levels_with_attention(config)
    for level in () if litefocus.levels == "all" else litefocus.levels:
        if level not in available:
            raise ValueError(f"LiteFocusConfig.levels names level {level}; this UNet has attention at {available}")
    if litefocus.scale_scores and config.sample_size is None:
        raise ValueError("LiteFocusConfig.scale_scores is on, but the UNet's sample_size names no training length")


def self_attention_by_level(
    config: UNetConfig, litefocus: LiteFocusConfig | None, key_rng: Key[Array, ""] | None
) -> Callable[[int], SelfAttend]:
    """How the self-attention of each level is done in one evaluation of the network.

    Args:
        config: of the UNet.
        litefocus: as the network takes it.
        key_rng: likewise.

    Raises:
        ValueError: when LiteFocus does not fit the network, see `check_levels`.
    """
    if litefocus is None:
        return lambda level: Partial(attend_densely)
    check_levels(config, litefocus)
    calls = itertools.count()

    def attend(
        level: int, key_rng: Array | None, query: Array, key: Array, value: Array, *, num_frequencies: int
    ) -> Array:
        training_keys = None
        if litefocus.scale_scores:
            training_keys = _training_frames(config, level) * num_frequencies
        if not litefocus.applies_to(level):
            if training_keys is not None:
                query = scale_queries(query, key.shape[1], training_keys)
            return attend_densely(query, key, value, num_frequencies=num_frequencies)
        draw_rng = None
        if key_rng is not None:
            # The same key at all calls of a level is one draw: the compiler computes it once.
            number = next(calls) if litefocus.resample == "call" else level
            draw_rng = jax.random.fold_in(key_rng, number)
        return litefocus_attention(
            query,
            key,
            value,
            num_frequencies=num_frequencies,
            config=litefocus.at_level(level),
            key_rng=draw_rng,
            training_keys=training_keys,
        )

    return lambda level: Partial(functools.partial(attend, level), key_rng)


def frames_at_last_level(config: UNetConfig, frames: int) -> int:
    """Frames that a latent of ``frames`` has where there are fewest."""
    return frames_at_level(config, frames, len(config.block_out_channels) - 1)


def frames_at_level(config: UNetConfig, frames: int, level: int) -> int:
    """Frames that a latent of ``frames`` has at a level."""
    for _ in range(level):
        frames = (frames + bool(config.downsample_padding)) // 2
    return frames


def _training_frames(config: UNetConfig, level: int) -> int:
    """Frames of a level at the training length."""
    assert config.sample_size is not None, "check_levels refuses it"
    return frames_at_level(config, config.sample_size, level)
