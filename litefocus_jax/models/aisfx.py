"""aiSFX: a sound effect as one vector (Ma and Lerch, "Representation Learning for the Automatic Indexing of Sound
Effects Libraries", ISMIR 2022). Its four blocks are those of PANNs.

Letters in shape comments: B batch, T frames, F mel bins, C channels.
"""

import dataclasses
from collections.abc import Mapping
from typing import Self

from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.models.cnn14 import ConvBlock
from litefocus_jax.models.keys import KeyTable, Network, Rule
from litefocus_jax.system.json_config import ConfigError, JsonConfig

SAMPLING_RATE = 44100
"""Of the sounds that it listens to, in hertz."""


@dataclasses.dataclass(frozen=True)
class AisfxConfig(JsonConfig):
    """Sizes of the network.

    Attributes:
        mel_bins: bands of the spectrogram.
        channels: of each block; the last one is the width of the embedding.
    """

    mel_bins: int = 96
    channels: tuple[int, ...] = (64, 128, 256, 512)

    def __post_init__(self) -> None:
        if not self.channels or self.mel_bins < self.shrinking:
            raise ConfigError(
                f"channels = {self.channels} halve mel_bins = {self.mel_bins} {len(self.channels) - 1} times; "
                "expected one bin or more to be left"
            )

    @property
    def shrinking(self) -> int:
        """Frames, and bins, that the blocks make one of; fewer cannot be heard."""
        return 2 ** (len(self.channels) - 1)

    @classmethod
    def tiny(cls) -> Self:
        """Two blocks, a few channels wide."""
        return cls(channels=(3, 4))


class Aisfx(nnx.Module):
    """Blocks of a log-mel spectrogram to embeddings.

    The spectrogram is `litefocus_jax.evaluation.spectrograms.aisfx_blocks`.
    """

    def __init__(self, config: AisfxConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        # Numbered from 1, as in the checkpoint.
        self.blocks = nnx.Dict()
        channels = 1
        for number, out_channels in enumerate(config.channels, 1):
            self.blocks[str(number)] = ConvBlock(channels, out_channels, rngs=rngs)
            channels = out_channels

    def __call__(self, log_mel: Float[Array, "batch frames mels"]) -> Float[Array, "batch features"]:
        """Listen to blocks of one length.

        Raises:
            ValueError: when there are other bins than ``config.mel_bins``, or fewer frames than ``config.shrinking``.
        """
        _, frames, mels = log_mel.shape
        if mels != self.config.mel_bins or frames < self.config.shrinking:
            raise ValueError(
                f"log_mel has shape {log_mel.shape}; expected {self.config.mel_bins} bins, and "
                f"{self.config.shrinking} frames or more"
            )
        x = log_mel[..., None]  # [B, T, F, 1]
        for number in range(1, len(self.config.channels) + 1):
            x = self.blocks[str(number)](x)
            if number < len(self.config.channels):
                x = nnx.max_pool(x, (2, 2), strides=(2, 2))  # [B, T/2, F/2, C]
        return x.mean(axis=2).max(axis=1)  # [B, C]


def config_of(stored: Mapping[str, tuple[int, ...]]) -> AisfxConfig:
    """The configuration of a file of weights, which has none beside it: its sizes are those of its tensors.

    Args:
        stored: shapes of its tensors, by name.
    """
    blocks = sum(name.startswith(_PREFIX) and name.endswith("conv1.weight") for name in stored)
    channels = (stored.get(f"{_PREFIX}{number}.conv1.weight", (0,))[0] for number in range(1, blocks + 1))
    return AisfxConfig(channels=tuple(channels))


_PREFIX = "embedding_net.conv_block"
_BLOCK = _PREFIX + r"{n:\d+}."

_RULES = (
    Rule(_BLOCK + "conv{m:[12]}.weight", "blocks.{n}.conv{m}.kernel", "conv2d"),
    Rule(_BLOCK + "bn{m:[12]}.weight", "blocks.{n}.bn{m}.scale"),
    Rule(_BLOCK + "bn{m:[12]}.bias", "blocks.{n}.bn{m}.bias"),
    Rule(_BLOCK + "bn{m:[12]}.running_{statistic:mean|var}", "blocks.{n}.bn{m}.{statistic}"),
)
_IGNORED = (
    "{layer}.num_batches_tracked",
    "fc.{rest}",  # classes of the libraries that it was trained on
)

NETWORK = Network(
    config_class=AisfxConfig,
    model_class=Aisfx,
    keys=KeyTable(_RULES, _IGNORED),
    library="aisfx",
    class_names=("CrossNet",),
    always_float32=True,
)
