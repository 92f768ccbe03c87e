"""Judges: networks that listen to sounds, each with what it wants of them.

Sounds are given to VGGish and to Cnn14 as audioldm_eval does: without their mean, and followed by silence up to two
seconds.
"""

import dataclasses
from typing import NamedTuple, Protocol

import jax
import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.mel import log_mel_spectrogram
from litefocus_jax.evaluation.spectrograms import VGGISH_SAMPLING_RATE, aisfx_blocks, cnn14_log_mel, vggish_examples
from litefocus_jax.models.aisfx import SAMPLING_RATE as AISFX_SAMPLING_RATE
from litefocus_jax.models.aisfx import Aisfx
from litefocus_jax.models.cnn14 import Cnn14
from litefocus_jax.models.vggish import Vggish

_SHORTEST_IN_S = 2.0


@dataclasses.dataclass(frozen=True, eq=False)
class VggishJudge:
    """VGGish, for the Frechet audio distance.

    Attributes:
        network: with its weights, from `litefocus_jax.checkpoint.judges.load_vggish`.
    """

    network: Vggish

    @property
    def sampling_rate(self) -> int:
        """Of the sounds that it listens to, in hertz."""
        return VGGISH_SAMPLING_RATE

    def listen(self, waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "pieces features"]:
        """What it hears in every 0.96 s of a sound, before the last activation.

        Raises:
            ValueError: when the waveform is empty, not one-dimensional, or not finite.
        """
        return np.asarray(_listen(self.network, vggish_examples(prepared(waveform, self.sampling_rate))))


class Heard(NamedTuple):
    """What Cnn14 hears in one sound.

    Attributes:
        embedding: ``[2048]``.
        logits: ``[527]``.
    """

    embedding: Float[np.ndarray, " features"]
    logits: Float[np.ndarray, " classes"]


@dataclasses.dataclass(frozen=True, eq=False)
class Cnn14Judge:
    """PANNs' Cnn14, for Frechet and kernel distances, the KL divergence and the Inception score.

    Attributes:
        network: with its weights, from `litefocus_jax.checkpoint.judges.load_cnn14`.
    """

    network: Cnn14

    @property
    def sampling_rate(self) -> int:
        """Of the sounds that it listens to, in hertz."""
        return self.network.config.sampling_rate

    def listen(self, waveform: Float[np.ndarray, " samples"]) -> Heard:
        """What it hears in a sound.

        Raises:
            ValueError: when the waveform is empty, not one-dimensional, or not finite.
        """
        log_mel = cnn14_log_mel(prepared(waveform, self.sampling_rate), self.network.config)
        embedding, logits = _listen(self.network, log_mel[None])
        return Heard(np.asarray(embedding[0]), np.asarray(logits[0]))


@dataclasses.dataclass(frozen=True, eq=False)
class AisfxJudge:
    """aiSFX, which was trained on libraries of sound effects, for a kernel distance.

    Attributes:
        network: with its weights, from `litefocus_jax.checkpoint.judges.load_aisfx`.
    """

    network: Aisfx

    @property
    def sampling_rate(self) -> int:
        """Of the sounds that it listens to, in hertz."""
        return AISFX_SAMPLING_RATE

    def listen(self, waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " features"]:
        """The mean of what it hears in the blocks of a sound.

        Raises:
            ValueError: when the waveform is empty, not one-dimensional, or not finite.
        """
        return np.asarray(_listen(self.network, aisfx_blocks(waveform))).mean(axis=0)


class Embedder(Protocol):
    """A judge for a kernel distance."""

    @property
    def sampling_rate(self) -> int:
        """Of the sounds that it listens to, in hertz."""
        ...

    def listen(self, waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " features"]:
        """What it hears in a sound."""
        ...


@dataclasses.dataclass(frozen=True)
class LogMelJudge:
    """Statistics of log-mel spectrograms, for a kernel distance where no trained judge is at hand.

    It has no weights, and hears levels, colours and how they move; not what a sound is of.

    Attributes:
        sampling_rate: of the sounds that it listens to, in hertz.
    """

    sampling_rate: int = 16000

    def listen(self, waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " features"]:
        """For each of 64 bands the mean of its logarithm, its deviation in time, and that of its steps of 10 ms.

        Raises:
            ValueError: when the waveform is empty, not one-dimensional, or not finite.
        """
        bands = np.asarray(log_mel_spectrogram(waveform, self.sampling_rate), np.float64)  # [frames, bands]
        return np.concatenate([bands.mean(axis=0), bands.std(axis=0), np.diff(bands, axis=0).std(axis=0)])


_listen = jax.jit(lambda network, seen: network(seen))


def prepared(waveform: Float[np.ndarray, " samples"], sampling_rate: int) -> Float[np.ndarray, " samples"]:
    """A sound as VGGish and Cnn14 get it: without its mean, and two seconds long at least."""
    centred = waveform - waveform.mean()
    return np.pad(centred, (0, max(0, round(_SHORTEST_IN_S * sampling_rate) - len(centred))))
