"""aiSFX: a sound effect as one vector (Ma and Lerch, "Representation Learning for the Automatic Indexing of Sound
Effects Libraries", ISMIR 2022). Its four blocks are those of PANNs.

Letters in shape comments: B batch, T frames, F mel bins, C channels.
"""

import dataclasses
from collections.abc import Mapping
from typing import Self

from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.models.conv_blocks import (
    block_rules,
    check_blocks,
    check_log_mel,
    conv_blocks,
    stored_channels,
    through_blocks,
)
from litefocus_jax.models.keys import KeyTable, Network
from litefocus_jax.system.json_config import JsonConfig

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
        check_blocks(self.channels, self.mel_bins)

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
        self.blocks = conv_blocks(config.channels, rngs)

    def __call__(self, log_mel: Float[Array, "batch frames mels"]) -> Float[Array, "batch features"]:
        """Listen to blocks of one length.

        Raises:
            ValueError: when there are other bins than ``config.mel_bins``, or fewer frames than the blocks make one of.
        """
        check_log_mel(log_mel.shape, self.config.channels, self.config.mel_bins)
        x = through_blocks(self.blocks, log_mel, nnx.max_pool)  # [B, T/8, F/8, C]
        return x.mean(axis=2).max(axis=1)  # [B, C]


def config_of(stored: Mapping[str, tuple[int, ...]]) -> AisfxConfig:
    """The configuration of a file of weights, which has none beside it: its sizes are those of its tensors.

    Args:
        stored: shapes of its tensors, by name.
    """
    return AisfxConfig(channels=stored_channels(stored, _PREFIX))


_PREFIX = "embedding_net.conv_block"
_IGNORED = (
    "{layer}.num_batches_tracked",
    "fc.{rest}",  # classes of the libraries that it was trained on
)

NETWORK = Network(
    config_class=AisfxConfig,
    model_class=Aisfx,
    keys=KeyTable(block_rules(_PREFIX), _IGNORED),
    library="aisfx",
    class_names=("CrossNet",),
    always_float32=True,
)
