"""How many heads the UNet's attention has: what a file says of it, and what AudioLDM2 was trained with.

The authors' network (haoheliu/AudioLDM2, ``num_head_channels: 32``) has heads of 32 channels, and so more of them where
it is wider. diffusers' conversion of its weights leaves the default of diffusers, 8 heads at every level. No weight has
another shape for it: either way everything loads.
"""

import dataclasses
from typing import Literal, get_args

from litefocus_jax.models.unet.config import UNetConfig

Heads = Literal["stored", "trained"]
"""As many as the configuration says, or heads of 32 channels, as AudioLDM2 was trained with."""

HEAD_CHANNELS = 32
"""Channels of each head in the authors' network."""

_PUBLISHED_CHANNELS = (128, 256, 384, 640)
_DIFFUSERS_DEFAULT = 8


def trained_heads(channels: tuple[int, ...]) -> tuple[int, ...]:
    """Heads of 32 channels at each level; at least one.

    Args:
        channels: of each level.
    """
    return tuple(max(1, width // HEAD_CHANNELS) for width in channels)


def doubt(config: UNetConfig) -> str | None:
    """One line about a network of a published shape that has 8 heads at every level; None for any other."""
    if config.block_out_channels != _PUBLISHED_CHANNELS or set(config.num_heads_per_level) != {_DIFFUSERS_DEFAULT}:
        return None
    trained = ", ".join(map(str, trained_heads(config.block_out_channels)))
    return (
        f"attention_head_dim = {_DIFFUSERS_DEFAULT}: so many heads at every level are diffusers' default, which its "
        f"conversion leaves, whereas the authors' network has heads of {HEAD_CHANNELS} channels ({trained} by level); "
        "heads='trained' (--heads trained) computes those, heads='stored' the file's without this line, and "
        "examples/compare_heads.py tells which predict noise better"
    )


def with_heads(config: UNetConfig, heads: Heads) -> UNetConfig:
    """The configuration with the heads that are asked for.

    A file that gives another number of heads for some levels than for others, as those of models trained or converted
    here do, says what its network was trained with, and stays as it is.

    Args:
        config: as a file has it.
        heads: ``"stored"`` or ``"trained"``.

    Raises:
        ValueError: when ``heads`` is neither, or a level is not a multiple of 32 channels wide.
    """
    if heads not in get_args(Heads):
        raise ValueError(f"heads = {heads!r}; expected {' or '.join(map(repr, get_args(Heads)))}")
    stored = config.num_heads_per_level
    if heads == "stored" or len(set(stored)) > 1:
        return config
    channels = config.block_out_channels
    if odd := [width for width in channels if width % HEAD_CHANNELS]:
        raise ValueError(
            f"heads = 'trained', but the UNet has levels of {', '.join(map(str, odd))} channels; expected multiples of "
            f"{HEAD_CHANNELS}, the channels of a head in AudioLDM2. Leave it out for this model, which has "
            f"{stored[0]} heads at every level"
        )
    return dataclasses.replace(config, attention_head_dim=trained_heads(channels))
