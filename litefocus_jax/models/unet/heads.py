"""How many heads the UNet's attention has: what a file says of it, and what the models were trained with.

The authors' networks (haoheliu/AudioLDM2 and haoheliu/AudioLDM, ``num_head_channels: 32``) have heads of 32 channels,
and so more of them where they are wider; those of the large AudioLDM have 64. diffusers' conversion of their weights
leaves the default of diffusers, 8 heads at every level. No weight has another shape for it: either way everything
loads.
"""

import dataclasses
from typing import Literal, get_args

from litefocus_jax.models.unet.config import ClassConditionedUNetConfig, UNetConfig

Heads = Literal["stored", "trained"]
"""As many as the configuration says, or heads of 32 channels, as AudioLDM2 was trained with."""

HEAD_CHANNELS = 32
"""Channels of each head in the authors' networks, but for the large AudioLDM."""

_PUBLISHED_CHANNELS = (128, 256, 384, 640)
_LARGE_AUDIOLDM = (256, 512, 768, 1280)
_LARGE_HEAD_CHANNELS = 64
# audioldm-s (and MusicLDM), -m and -l
_PUBLISHED_CHANNELS_OF_AUDIOLDM = (_PUBLISHED_CHANNELS, (192, 384, 576, 960), _LARGE_AUDIOLDM)
_DIFFUSERS_DEFAULT = 8


def trained_heads(channels: tuple[int, ...], head_channels: int = HEAD_CHANNELS) -> tuple[int, ...]:
    """Heads of as many channels at each level; at least one.

    Args:
        channels: of each level.
        head_channels: of each head.
    """
    return tuple(max(1, width // head_channels) for width in channels)


def head_channels_of(config: UNetConfig) -> int:
    """Channels of each head in the network as its authors trained it."""
    is_large = isinstance(config, ClassConditionedUNetConfig) and config.block_out_channels == _LARGE_AUDIOLDM
    return _LARGE_HEAD_CHANNELS if is_large else HEAD_CHANNELS


def doubt(config: UNetConfig) -> str | None:
    """One line about a network of a published shape that has 8 heads at every level; None for any other."""
    is_audioldm = isinstance(config, ClassConditionedUNetConfig)
    published = _PUBLISHED_CHANNELS_OF_AUDIOLDM if is_audioldm else (_PUBLISHED_CHANNELS,)
    if config.block_out_channels not in published or set(config.num_heads_per_level) != {_DIFFUSERS_DEFAULT}:
        return None
    head_channels = head_channels_of(config)
    trained = ", ".join(map(str, trained_heads(config.block_out_channels, head_channels)))
    return (
        f"attention_head_dim = {_DIFFUSERS_DEFAULT}: so many heads at every level are diffusers' default, which its "
        f"conversion leaves, whereas the authors' network has heads of {head_channels} channels ({trained} by level); "
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
    channels, head_channels = config.block_out_channels, head_channels_of(config)
    if odd := [width for width in channels if width % head_channels]:
        raise ValueError(
            f"heads = 'trained', but the UNet has levels of {', '.join(map(str, odd))} channels; expected multiples of "
            f"{head_channels}, the channels of a head in AudioLDM2. Leave it out for this model, which has "
            f"{stored[0]} heads at every level"
        )
    return dataclasses.replace(config, attention_head_dim=trained_heads(channels, head_channels))
