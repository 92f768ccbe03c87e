"""PANNs' Cnn14: what can be heard in a sound, as AudioSet's 527 classes and as one vector (arXiv 1912.10211).

Letters in shape comments: B batch, T frames, F mel bins, C channels.
"""

import dataclasses
from collections.abc import Mapping
from types import MappingProxyType
from typing import NamedTuple, Self

import jax
from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.models import parameters
from litefocus_jax.models.batch_norm import BatchNorm
from litefocus_jax.models.keys import KeyTable, Network, Rule
from litefocus_jax.ops.convolution import convolve_3x3
from litefocus_jax.system.json_config import ConfigError, JsonConfig


@dataclasses.dataclass(frozen=True)
class Cnn14Config(JsonConfig):
    """Arguments of PANNs' ``Cnn14``, the log-mel spectrogram that it listens to included.

    Attributes:
        sampling_rate: of the sound, in hertz.
        window_size: samples of a Fourier transform.
        hop_size: samples between two of them.
        mel_bins: bands of the spectrogram.
        fmin: where the lowest band begins, in hertz.
        fmax: where the highest band ends, in hertz.
        classes_num: number of classes.
        channels: of each block; the last one is the width of the embedding.
    """

    sampling_rate: int = 16000
    window_size: int = 512
    hop_size: int = 160
    mel_bins: int = 64
    fmin: float = 50.0
    fmax: float = 8000.0
    classes_num: int = 527
    channels: tuple[int, ...] = (64, 128, 256, 512, 1024, 2048)

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
        """Three blocks, a few channels wide."""
        return cls(window_size=128, hop_size=80, mel_bins=16, classes_num=10, channels=(4, 6, 8))


PUBLISHED: Mapping[int, Cnn14Config] = MappingProxyType(
    {
        16000: Cnn14Config(),
        32000: Cnn14Config(sampling_rate=32000, window_size=1024, hop_size=320, fmax=14000.0),
    }
)
"""The published networks, by the rate of the sounds that they were trained on."""


class Heard(NamedTuple):
    """What Cnn14 heard.

    Attributes:
        embedding: ``[batch, 2048]``, for distances.
        logits: ``[batch, 527]``, for the KL divergence and the Inception score.
    """

    embedding: Float[Array, "batch features"]
    logits: Float[Array, "batch classes"]


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


class Cnn14(nnx.Module):
    """Log-mel spectrograms to embeddings and logits.

    The spectrogram is `litefocus_jax.evaluation.spectrograms.cnn14_log_mel`.
    """

    def __init__(self, config: Cnn14Config, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.bn0 = BatchNorm(config.mel_bins, rngs=rngs)
        # Numbered from 1, as in the checkpoint.
        self.blocks = nnx.Dict()
        channels = 1
        for number, out_channels in enumerate(config.channels, 1):
            self.blocks[str(number)] = ConvBlock(channels, out_channels, rngs=rngs)
            channels = out_channels
        self.fc1 = parameters.linear(channels, channels, rngs=rngs)
        self.fc_audioset = parameters.linear(channels, config.classes_num, rngs=rngs)

    def __call__(self, log_mel: Float[Array, "batch frames mels"]) -> Heard:
        """Listen to sounds of one length.

        Raises:
            ValueError: when there are other bins than ``config.mel_bins``, or fewer frames than ``config.shrinking``.
        """
        _, frames, mels = log_mel.shape
        if mels != self.config.mel_bins or frames < self.config.shrinking:
            raise ValueError(
                f"log_mel has shape {log_mel.shape}; expected {self.config.mel_bins} bins, and "
                f"{self.config.shrinking} frames or more"
            )
        x = self.bn0(log_mel)[..., None]  # [B, T, F, 1]
        for number in range(1, len(self.config.channels) + 1):
            x = self.blocks[str(number)](x)
            if number < len(self.config.channels):
                x = nnx.avg_pool(x, (2, 2), strides=(2, 2))  # [B, T/2, F/2, C]
        x = x.mean(axis=2)  # [B, T, C]
        x = x.max(axis=1) + x.mean(axis=1)  # [B, C]
        embedding = jax.nn.relu(self.fc1(x))
        return Heard(embedding, self.fc_audioset(embedding))


def config_of(stored: Mapping[str, tuple[int, ...]]) -> Cnn14Config:
    """The configuration of a file of weights, which has none beside it.

    Its sizes are those of its tensors; and it holds the constants of its spectrogram, whose size says which of the
    published spectrograms it is.

    Args:
        stored: shapes of its tensors, by name.

    Raises:
        ConfigError: when the spectrogram is not one of those.
    """
    bins = stored.get("logmel_extractor.melW", (0,))[0]
    published = next((config for config in PUBLISHED.values() if config.window_size // 2 + 1 == bins), None)
    if published is None:
        raise ConfigError(
            f"logmel_extractor.melW has {bins or 'no'} frequencies, and so the rate of the sounds is unknown; expected "
            f"a Cnn14 for {' or '.join(f'{rate} Hz' for rate in PUBLISHED)}, with the constants of its spectrogram"
        )
    blocks = sum(name.startswith("conv_block") and name.endswith("conv1.weight") for name in stored)
    channels = (stored.get(f"conv_block{number}.conv1.weight", (0,))[0] for number in range(1, blocks + 1))
    classes_num = stored.get("fc_audioset.bias", (published.classes_num,))[0]
    return dataclasses.replace(published, channels=tuple(channels), classes_num=classes_num)


_BLOCK = r"conv_block{n:\d+}."

_RULES = (
    Rule("bn0.weight", "bn0.scale"),
    Rule("bn0.bias", "bn0.bias"),
    Rule("bn0.running_{statistic:mean|var}", "bn0.{statistic}"),
    Rule(_BLOCK + "conv{m:[12]}.weight", "blocks.{n}.conv{m}.kernel", "conv2d"),
    Rule(_BLOCK + "bn{m:[12]}.weight", "blocks.{n}.bn{m}.scale"),
    Rule(_BLOCK + "bn{m:[12]}.bias", "blocks.{n}.bn{m}.bias"),
    Rule(_BLOCK + "bn{m:[12]}.running_{statistic:mean|var}", "blocks.{n}.bn{m}.{statistic}"),
    Rule("{layer:fc1|fc_audioset}.weight", "{layer}.kernel", "linear"),
    Rule("{layer:fc1|fc_audioset}.bias", "{layer}.bias"),
)
_IGNORED = (
    "{layer}.num_batches_tracked",
    # Constants of the spectrogram.
    "spectrogram_extractor.{rest}",
    "logmel_extractor.{rest}",
)

NETWORK = Network(
    config_class=Cnn14Config,
    model_class=Cnn14,
    keys=KeyTable(_RULES, _IGNORED),
    library="panns",
    class_names=("Cnn14",),
    always_float32=True,
)
