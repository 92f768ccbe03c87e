"""Where a long sound is cut into tiles to be decoded, and how far the decoders look; decided before anything runs."""

import dataclasses
import math
from typing import NamedTuple

import numpy as np

from litefocus_jax.models.vae import VAEConfig
from litefocus_jax.models.vocoder import EDGE_KERNEL_SIZE, VocoderConfig

KEY_REACH = 3
"""Latent frames around one that its keys and values in the middle attention depend on: a convolution and a resnet."""


class Reach(NamedTuple):
    """Frames before and after one input frame that enter into the output of this frame."""

    before: int
    after: int


def vocoder_reach(config: VocoderConfig) -> Reach:
    """Mel frames around one that its ``hop_length`` samples depend on: the receptive field, exactly.

    Where the sound is filtered towards its log-mel, the windows of the filters count whole, to their faded ends.

    The samples are followed back through the layers as the first and the last position they depend on.
    """
    edge = EDGE_KERNEL_SIZE // 2
    residual = max(
        sum((kernel_size - 1) // 2 * (dilation + 1) for dilation in dilations)
        for kernel_size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
    )
    filters = 0 if config.mel_correction is None else config.mel_correction.reach_in_samples
    first, last = -edge - filters, config.hop_length - 1 + edge + filters
    for rate, kernel_size in list(zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True))[::-1]:
        first, last = first - residual, last + residual
        padding = (kernel_size - rate) // 2
        # Input i of a transposed convolution enters into the outputs i * rate - padding + (0 to kernel_size - 1).
        first, last = -((kernel_size - 1 - padding - first) // rate), (last + padding) // rate
    return Reach(edge - first, edge + last)


def vae_reach(config: VAEConfig) -> Reach:
    """Latent frames around one that its mel frames depend on through the VAE decoder's convolutions.

    Normalisations and attention look further; tiles get what these need in another way.
    """
    resnets = 2 * (config.layers_per_block + 1)  # two convolutions in each resnet of a block
    first, last = -1, config.scale_factor  # what the last convolution sees
    for _ in config.block_out_channels[1:]:
        first, last = first - resnets, last + resnets
        # After nearest-neighbour doubling, position i shows input i // 2.
        first, last = (first - 1) // 2, (last + 1) // 2
    around_middle = resnets + 2  # the first block of the way up, and the resnet after the attention
    return Reach(around_middle + KEY_REACH - first, around_middle + KEY_REACH + last)


@dataclasses.dataclass(frozen=True, kw_only=True)
class TilingConfig:
    """How long sounds are decoded.

    Attributes:
        whole_up_to_in_s: sounds up to this long are decoded in one piece, longer ones in tiles.
        tile_in_s: length of a tile with its overlaps; memory grows with it.
        margin_in_s: least distance from the part of a tile that counts to a key that its middle attention does not see
            as it is.
        sample_tiles: short tiles, evenly spread, that stand for the whole sound in a first look.
        sample_in_s: seconds of sound in all of them, without their overlaps; memory grows with it.
        keys_in_s: the middle attention of every tile sees the keys of as many seconds, in frames that are evenly spread
            over the sound; time and memory grow with it.
        passes: how often the whole sound is looked at, before it is decoded, to correct what the sample said.

    Raises:
        ValueError: for a value out of range.
    """

    whole_up_to_in_s: float = 80.0
    tile_in_s: float = 20.0
    margin_in_s: float = 1.0
    sample_tiles: int = 16
    sample_in_s: float = 32.0
    keys_in_s: float = 20.0
    passes: int = 1

    def __post_init__(self) -> None:
        for name in ("tile_in_s", "sample_in_s", "keys_in_s"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} = {getattr(self, name)}; expected a positive number of seconds")
        for name in ("whole_up_to_in_s", "margin_in_s"):
            if not getattr(self, name) >= 0:
                raise ValueError(f"{name} = {getattr(self, name)}; expected 0 or more seconds")
        for name, smallest in (("sample_tiles", 1), ("passes", 0)):
            if getattr(self, name) < smallest:
                raise ValueError(f"{name} = {getattr(self, name)}; expected at least {smallest}")


@dataclasses.dataclass(frozen=True)
class Tile:
    """A window of a sound, and the part of it that counts; all in frames of the whole sound.

    Attributes:
        start: first frame of the window.
        first: first frame that counts.
        end: frame after the last one that counts.
    """

    start: int
    first: int
    end: int

    def part(self, scale: int = 1) -> slice:
        """What counts, within a window that has ``scale`` positions for every frame."""
        return slice((self.first - self.start) * scale, (self.end - self.start) * scale)


def cut_into_tiles(length: int, size: int, reach: Reach) -> tuple[Tile, ...]:
    """Cut a sound into tiles whose windows all have the same size and lie within the sound.

    Each frame counts in one tile, which holds the frames within its reach as far as the sound has them. What lies
    beyond a window is therefore the end of the sound, which the networks know how to treat, or out of reach; so that
    tiles at the ends need neither another shape nor other padding. The last window ends with the sound, however far it
    overlaps the one before.

    Args:
        length: frames of the sound.
        size: frames of a window; a shorter sound is one tile.
        reach: frames around one that matter to it.

    Raises:
        ValueError: when the size leaves nothing that counts between the overlaps.
    """
    if length <= size:
        return (Tile(0, 0, length),)
    if size <= reach.before + reach.after:
        raise ValueError(
            f"a tile has {size} frames, of which {reach.before} and {reach.after} overlap its neighbours; "
            "expected at least one more: use a longer tile_in_s"
        )
    tiles = [Tile(0, 0, size - reach.after)]
    while tiles[-1].end < length:
        first = tiles[-1].end
        start = min(first - reach.before, length - size)
        end = length if start == length - size else start + size - reach.after
        tiles.append(Tile(start, first, end))
    return tuple(tiles)


@dataclasses.dataclass(frozen=True)
class DecodingPlan:
    """How one sound is decoded.

    Attributes:
        frames: latent frames of the sound.
        is_whole: whether the sound is decoded in one piece; the other fields are for sounds that are not.
        vae_size: latent frames of each window that the VAE decodes.
        vae_tiles: the tiles of the VAE, in latent frames.
        vocoder_size: mel frames of each window that the vocoder turns into sound.
        vocoder_tiles: the tiles of the vocoder, in mel frames.
        sample_size: latent frames of each window of the sample.
        sample: evenly spread tiles that stand for the whole sound; they may overlap.
        key_frames: numbers of the frames whose keys all tiles see.
        passes: how often the whole sound is looked at before it is decoded.
    """

    frames: int
    is_whole: bool
    vae_size: int
    vae_tiles: tuple[Tile, ...]
    vocoder_size: int
    vocoder_tiles: tuple[Tile, ...]
    sample_size: int
    sample: tuple[Tile, ...]
    key_frames: tuple[int, ...]
    passes: int

    @property
    def steps(self) -> int:
        """Windows that are computed in all, the sample counting as one; for progress bars."""
        return (self.passes + 1) * (1 + 2 * len(self.vae_tiles)) + len(self.vocoder_tiles)

    def keys_of(self, tile: Tile) -> tuple[int, ...]:
        """Which frames of a tile's window all tiles see the keys of, as numbers within the window."""
        return tuple(frame - tile.start for frame in self.key_frames if tile.first <= frame < tile.end)

    @property
    def most_keys(self) -> int:
        """The largest number of them that a tile has."""
        return max(len(self.keys_of(tile)) for tile in self.vae_tiles)


def plan_decoding(vae: VAEConfig, vocoder: VocoderConfig, frames: int, tiling: TilingConfig) -> DecodingPlan:
    """Decide how a sound of some latent frames is decoded.

    Raises:
        ValueError: when ``tiling.tile_in_s`` is too short for the overlaps.
    """
    frames_per_second = vocoder.sampling_rate / (vocoder.hop_length * vae.scale_factor)
    mel_frames = frames * vae.scale_factor
    tile_size = max(1, round(tiling.tile_in_s * frames_per_second))
    reach = vae_reach(vae)
    margin = KEY_REACH + round(tiling.margin_in_s * frames_per_second)
    sample_part = max(1, round(tiling.sample_in_s / tiling.sample_tiles * frames_per_second))
    sample_size = min(reach.before + sample_part + reach.after, frames)
    keys = min(max(1, round(tiling.keys_in_s * frames_per_second)), frames)
    return DecodingPlan(
        frames=frames,
        is_whole=frames <= tiling.whole_up_to_in_s * frames_per_second,
        vae_size=min(tile_size, frames),
        vae_tiles=cut_into_tiles(frames, tile_size, Reach(max(reach.before, margin), max(reach.after, margin))),
        vocoder_size=min(tile_size * vae.scale_factor, mel_frames),
        vocoder_tiles=cut_into_tiles(mel_frames, tile_size * vae.scale_factor, vocoder_reach(vocoder)),
        sample_size=sample_size,
        sample=_spread_tiles(frames, sample_size, tiling.sample_tiles, reach),
        key_frames=tuple((2 * number + 1) * frames // (2 * keys) for number in range(keys)),
        passes=tiling.passes,
    )


def _spread_tiles(length: int, size: int, count: int, reach: Reach) -> tuple[Tile, ...]:
    """Tiles of which the first starts with the sound and the last ends with it, with the same distance from each other.

    What counts in a window is all that sees none of its ends but those of the sound.
    """
    starts = np.linspace(0, length - size, count).round().astype(int).tolist()
    return tuple(
        Tile(
            start,
            start + (0 if start == 0 else reach.before),
            start + size - (0 if start + size == length else reach.after),
        )
        for start in starts
    )
