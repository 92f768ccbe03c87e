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
from litefocus_jax.models.conv_blocks import (
    block_rules,
    check_blocks,
    check_log_mel,
    conv_blocks,
    stored_channels,
    through_blocks,
)
from litefocus_jax.models.keys import KeyTable, Network, Rule
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
        check_blocks(self.channels, self.mel_bins)

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


class Cnn14(nnx.Module):
    """Log-mel spectrograms to embeddings and logits.

    The spectrogram is `litefocus_jax.evaluation.spectrograms.cnn14_log_mel`.
    """

    def __init__(self, config: Cnn14Config, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.bn0 = BatchNorm(config.mel_bins, rngs=rngs)
        self.blocks = conv_blocks(config.channels, rngs)
        width = config.channels[-1]
        self.fc1 = parameters.linear(width, width, rngs=rngs)
        self.fc_audioset = parameters.linear(width, config.classes_num, rngs=rngs)

    def __call__(self, log_mel: Float[Array, "batch frames mels"]) -> Heard:
        """Listen to sounds of one length.

        Raises:
            ValueError: when there are other bins than ``config.mel_bins``, or fewer frames than the blocks make one of.
        """
        check_log_mel(log_mel.shape, self.config.channels, self.config.mel_bins)
        x = through_blocks(self.blocks, self.bn0(log_mel), nnx.avg_pool)  # [B, T/32, F/32, C]
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
    channels = stored_channels(stored, _PREFIX)
    classes_num = stored.get("fc_audioset.bias", (published.classes_num,))[0]
    return dataclasses.replace(published, channels=channels, classes_num=classes_num)


_PREFIX = "conv_block"

_RULES = (
    Rule("bn0.weight", "bn0.scale"),
    Rule("bn0.bias", "bn0.bias"),
    Rule("bn0.running_{statistic:mean|var}", "bn0.{statistic}"),
    *block_rules(_PREFIX),
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
