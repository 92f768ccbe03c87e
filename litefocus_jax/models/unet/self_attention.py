"""Which self-attention runs at which level of the UNet."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import NamedTuple

import jax
from jaxtyping import Array, Key

from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.transformer import AttentionAt, TokenAttention, attend_densely
from litefocus_jax.ops.litefocus.attention import litefocus_attention, sample_cross_indices
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout, FocusSets
from litefocus_jax.ops.litefocus.near import DrawnTokens
from litefocus_jax.ops.litefocus.scores import keys_per_query, scale_queries
from litefocus_jax.ops.token_merging import Matching, match_tokens
from litefocus_jax.parallel.time_axis import FrameShares


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


def check_layout(config: UNetConfig, layout: AttentionLayout) -> None:
    """Check that a UNet has attention wherever it is to be sparse, and knows what scores are to be scaled against.

    Raises:
        ValueError: naming the first level that does not exist or has no attention, or the training length where scores
            are to be scaled by it and it is not known.
    """
    available = levels_with_attention(config)
    named = () if layout.sets is None or layout.sets.levels == "all" else layout.sets.levels
    for level in named:
        if level not in available:
            raise ValueError(f"LiteFocusConfig.levels names level {level}; this UNet has attention at {available}")
    for level in () if layout.merging is None else layout.merging.levels:
        if level not in available:
            raise ValueError(f"TokenMerging.levels names level {level}; this UNet has attention at {available}")
    if layout.scale_scores and config.sample_size is None:
        raise ValueError("scale_scores is on, but the UNet's sample_size names no training length")


def sparse_attentions_per_level(config: UNetConfig, layout: AttentionLayout) -> tuple[int, ...]:
    """How many of the self-attentions that `UNetConfig.self_attentions_per_level` counts are sparse.

    Args:
        config: of the UNet.
        layout: as the network takes it.
    """
    counts = []
    for level, count in enumerate(config.self_attentions_per_level):
        places = [
            (2 if dim is None else 1, layout.sets_at(level, transformer, block) is not None)
            for transformer, dim in enumerate(config.cross_attention_dim_per_level[level])
            for block in range(config.transformer_layers_per_level[level])
        ]
        layers = count // sum(attentions for attentions, _ in places)
        counts.append(layers * sum(attentions for attentions, is_sparse in places if is_sparse))
    return tuple(counts)


def self_attention_by_place(config: UNetConfig, layout: AttentionLayout, key_rng: Key[Array, ""] | None) -> AttentionAt:
    """How the self-attention of each block of the network is done in one evaluation of it.

    Args:
        config: of the UNet.
        layout: as the network takes it.
        key_rng: likewise.

    Raises:
        ValueError: when the layout does not fit the network, see `check_layout`.
    """
    check_layout(config, layout)
    if layout == DENSE:
        return lambda level, transformer=0, block=0: TokenAttention(attend_densely)
    calls = itertools.count()
    merging = layout.merging
    if merging is not None:

        def match(x: Array, *, num_frequencies: int) -> Matching | None:
            own_rng = None if key_rng is None else jax.random.fold_in(key_rng, next(calls))
            return match_tokens(x, num_frequencies=num_frequencies, merging=merging, key_rng=own_rng)

        return lambda level, transformer=0, block=0: TokenAttention(
            attend_densely, match if level in merging.levels else None
        )

    def attention_at(level: int, transformer: int = 0, block: int = 0) -> TokenAttention:
        own = LayoutAttention(config, layout, (level, transformer, block), key_rng, calls)
        return TokenAttention(own, focus=own if _is_focus(own.sets) else None)

    return attention_at


class LayoutAttention(NamedTuple):
    """The attention of one place of the network; both a `SelfAttend` and a `Focus`.

    Attributes:
        config: of the network.
        layout: of the whole network.
        place: level, transformer and block.
        key_rng: for what is drawn.
        calls: counts the attentions of the network that draw.
    """

    config: UNetConfig
    layout: AttentionLayout
    place: tuple[int, int, int]
    key_rng: Array | None
    calls: Iterator[int]

    @property
    def sets(self) -> FocusSets | None:
        """What is seen here; None for all."""
        return self.layout.sets_at(*self.place)

    @property
    def numbers_its_draws(self) -> bool:
        """Whether every call draws anew, by its number."""
        sets = self.sets
        return sets is not None and sets.samples_tokens and sets.resample == "call"

    def draw(self, num_tokens: int) -> Array | None:
        """See `Focus`."""
        sets = self.sets
        if sets is None or not sets.samples_tokens:
            return None
        if self.key_rng is None:
            raise ValueError("cross_frequency is on, but key_rng is not given")
        # The same key at all calls of a level is one draw: the compiler computes it once.
        number = next(self.calls) if sets.resample == "call" else self.place[0]
        return sample_cross_indices(jax.random.fold_in(self.key_rng, number), num_tokens, sets)

    def attend(
        self,
        query: Array,
        key: Array,
        value: Array,
        drawn: DrawnTokens | None,
        *,
        num_frequencies: int,
        all_frequencies: int,
    ) -> Array:
        """See `Focus`."""
        level, sets = self.place[0], self.sets
        own = self.layout if sets is not None else dataclasses.replace(self.layout, sets=None, reach=None)
        if self.layout.scale_scores:
            assert self.config.sample_size is not None, "check_layout refuses it"
            training_keys = frames_at_level(self.config, self.config.sample_size, level) * all_frequencies
            times = query.shape[1] // num_frequencies
            keys = keys_per_query(own, level, drawn, times=times, num_frequencies=num_frequencies)
            query = scale_queries(query, keys, training_keys)
        if sets is None:
            return attend_densely(query, key, value, num_frequencies=num_frequencies)
        return litefocus_attention(
            query, key, value, num_frequencies=num_frequencies, layout=own, level=level, drawn=drawn
        )

    def __call__(self, query: Array, key: Array, value: Array, *, num_frequencies: int) -> Array:
        """See `SelfAttend`."""
        indices = self.draw(query.shape[1])
        drawn = None if indices is None else DrawnTokens.at(key, value, indices)
        return self.attend(query, key, value, drawn, num_frequencies=num_frequencies, all_frequencies=num_frequencies)


def _is_focus(sets: FocusSets | None) -> bool:
    """Whether attention is the same for whoever has some of the frequencies, and the tokens that are drawn."""
    return sets is not None and sets.same_frequency and not (sets.samples_tokens and sets.overlap == "union")


def focuses_at(config: UNetConfig, layout: AttentionLayout, level: int) -> bool:
    """Whether every self-attention of a level is a `Focus`."""
    return all(
        _is_focus(layout.sets_at(level, transformer, block))
        for transformer in range(len(config.cross_attention_dim_per_level[level]))
        for block in range(config.transformer_layers_per_level[level])
    )


def shares_of_frames(config: UNetConfig, frames: int, devices: int) -> FrameShares:
    """How devices share latents of ``frames`` at every level.

    Raises:
        ValueError: when the network halves frames in a way that devices cannot share, see `FrameShares.of`.
    """
    levels = range(len(config.block_out_channels))
    return FrameShares.of([frames_at_level(config, frames, level) for level in levels], devices)


def frames_at_last_level(config: UNetConfig, frames: int) -> int:
    """Frames that a latent of ``frames`` has where there are fewest."""
    return frames_at_level(config, frames, len(config.block_out_channels) - 1)


def frames_at_level(config: UNetConfig, frames: int, level: int) -> int:
    """Frames that a latent of ``frames`` has at a level."""
    for _ in range(level):
        frames = (frames + bool(config.downsample_padding)) // 2
    return frames
