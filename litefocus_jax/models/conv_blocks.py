"""Blocks of two convolutions, which PANNs' networks and those that follow them are made of (arXiv 1912.10211)."""

from collections.abc import Callable, Mapping, Sequence

import jax
from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.models import parameters
from litefocus_jax.models.batch_norm import BatchNorm
from litefocus_jax.models.keys import Rule
from litefocus_jax.ops.convolution import convolve_3x3
from litefocus_jax.system.json_config import ConfigError


class ConvBlock(nnx.Module):
    """Two normalised 3x3 convolutions."""

    def __init__(self, in_channels: int, out_channels: int, *, rngs: nnx.Rngs) -> None:
        self.conv1, self.conv2 = (
            parameters.conv(
                channels,
                out_channels,
                (3, 3),
                padding=1,
                use_bias=False,
                conv_general_dilated=convolve_3x3,
                rngs=rngs,
            )
            for channels in (in_channels, out_channels)
        )
        self.bn1 = BatchNorm(out_channels, rngs=rngs)
        self.bn2 = BatchNorm(out_channels, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch frames mels in_channels"]
    ) -> Float[Array, "batch frames mels out_channels"]:
        """Convolve twice."""
        x = jax.nn.relu(self.bn1(self.conv1(x)))
        return jax.nn.relu(self.bn2(self.conv2(x)))


def shrinking(channels: Sequence[int]) -> int:
    """Frames, and bins, that blocks of these widths make one of; fewer cannot be heard."""
    return 2 ** (len(channels) - 1)


def check_blocks(channels: Sequence[int], mel_bins: int) -> None:
    """Check that the blocks of a configuration leave something of its spectrogram.

    Raises:
        ConfigError: when they do not, or there are none.
    """
    if not channels or mel_bins < shrinking(channels):
        raise ConfigError(
            f"channels = {channels} halve mel_bins = {mel_bins} {len(channels) - 1} times; "
            "expected one bin or more to be left"
        )


def conv_blocks(channels: Sequence[int], rngs: nnx.Rngs) -> nnx.Dict:
    """A block for each width, numbered from 1, as in the checkpoints; the first one takes one channel."""
    blocks = nnx.Dict()
    for number, (in_channels, out_channels) in enumerate(zip((1, *channels), channels, strict=False), 1):
        blocks[str(number)] = ConvBlock(in_channels, out_channels, rngs=rngs)
    return blocks


def through_blocks(
    blocks: nnx.Dict, x: Float[Array, "batch frames mels"], pool: Callable[..., Array]
) -> Float[Array, "batch fewer_frames fewer_mels channels"]:
    """Go through all blocks, with a pooling of two by two after each but the last.

    Args:
        blocks: from `conv_blocks`.
        x: spectrograms.
        pool: `flax.nnx.avg_pool` or its like.
    """
    maps = x[..., None]
    for number in range(1, len(blocks) + 1):
        maps = blocks[str(number)](maps)
        if number < len(blocks):
            maps = pool(maps, (2, 2), strides=(2, 2))
    return maps


def check_log_mel(shape: tuple[int, ...], channels: Sequence[int], mel_bins: int) -> None:
    """Check that spectrograms can go through the blocks of a network.

    Args:
        shape: ``[batch, frames, mels]``.
        channels: of the blocks.
        mel_bins: that the network listens to.

    Raises:
        ValueError: when there are other bins, or fewer frames than are made one.
    """
    _, frames, mels = shape
    if mels != mel_bins or frames < shrinking(channels):
        raise ValueError(
            f"log_mel has shape {shape}; expected {mel_bins} bins, and {shrinking(channels)} frames or more"
        )


def block_rules(prefix: str) -> tuple[Rule, ...]:
    """The keys of the blocks' tensors.

    Args:
        prefix: of PyTorch's names, before the number of a block.
    """
    block = prefix + r"{n:\d+}."
    return (
        Rule(block + "conv{m:[12]}.weight", "blocks.{n}.conv{m}.kernel", "conv2d"),
        Rule(block + "bn{m:[12]}.weight", "blocks.{n}.bn{m}.scale"),
        Rule(block + "bn{m:[12]}.bias", "blocks.{n}.bn{m}.bias"),
        Rule(block + "bn{m:[12]}.running_{statistic:mean|var}", "blocks.{n}.bn{m}.{statistic}"),
    )


def stored_channels(stored: Mapping[str, tuple[int, ...]], prefix: str) -> tuple[int, ...]:
    """The widths of the blocks in a file of weights.

    Args:
        stored: shapes of its tensors, by name.
        prefix: as of `block_rules`.
    """
    blocks = sum(name.startswith(prefix) and name.endswith("conv1.weight") for name in stored)
    return tuple(stored.get(f"{prefix}{number}.conv1.weight", (0,))[0] for number in range(1, blocks + 1))
