"""What listens: a small convolutional network on log-mels, shared in shape by the classifier and by CLAP's audio tower.

Sound of any length is cut into windows of the training length. Letters in shape comments: B batch, T frames, M mels,
C channels.
"""

import dataclasses
import itertools
import math
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32

from examples.foley.world.clips import HOP_LENGTH, NUM_MELS, SAMPLING_RATE, TRAINING_FRAMES
from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.models import parameters
from litefocus_jax.models.layers import LayerNorm

SILENCE = math.log(1e-5)
"""The lowest log-mel there is, as in `litefocus_jax.audio`."""

# About the mean and the deviation of log-mels of the synthetic world; what matters is that silence is not far away.
_MEL_MEAN, _MEL_SCALE = -6.0, 3.0
_EPSILON = 1e-5


@dataclasses.dataclass(frozen=True)
class EarConfig:
    """The shape of an `Ear`.

    Attributes:
        widths: channels of the convolutions, each of which halves both axes.
        hidden: channels of the vector that describes a stretch of time.
        features: numbers that describe a window.
    """

    widths: tuple[int, ...] = (16, 32, 64, 80)
    hidden: int = 128
    features: int = 64

    @classmethod
    def tiny(cls) -> "EarConfig":
        """For tests."""
        return cls(widths=(4,), hidden=8, features=5)


class Convolution(nnx.Module):
    """A 3x3 convolution, with a bias, as one matrix product over gathered neighbours.

    On a CPU, XLA computes the kernel gradient of a strided convolution without its fast library; that of a matrix
    product is another matrix product.
    """

    def __init__(self, in_channels: int, out_channels: int, *, stride: int, rngs: nnx.Rngs) -> None:
        self.stride = stride
        self.linear = parameters.linear(9 * in_channels, out_channels, rngs=rngs)

    def __call__(self, x: Float[Array, "batch time mels in_channels"]) -> Float[Array, "batch shorter fewer channels"]:
        """Convolve; the edges are padded with zeros."""
        _, time, mels, _ = x.shape
        padded = jnp.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)))
        neighbours = [
            padded[:, row : row + time : self.stride, column : column + mels : self.stride]
            for row in range(3)
            for column in range(3)
        ]
        return self.linear(jnp.concatenate(neighbours, axis=-1))


class Ear(nnx.Module):
    """Log-mels of windows to vectors that describe them.

    Frequency is kept apart up to the end, since pitch matters; time is not, but for the mean and the maximum over it.
    """

    def __init__(self, config: EarConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        widths = (1, *config.widths)
        self.convolutions = nnx.List([Convolution(*pair, stride=2, rngs=rngs) for pair in itertools.pairwise(widths)])
        self.norms = nnx.List([LayerNorm(width, epsilon=_EPSILON, rngs=rngs) for width in config.widths])
        self.last = Convolution(widths[-1], widths[-1], stride=1, rngs=rngs)
        self.last_norm = LayerNorm(widths[-1], epsilon=_EPSILON, rngs=rngs)
        rows = NUM_MELS // 2 ** len(config.widths)
        self.hidden = parameters.linear(rows * widths[-1], config.hidden, rngs=rngs)
        self.features = parameters.linear(2 * config.hidden, config.features, rngs=rngs)

    def __call__(self, mel: Float[Array, "batch frames mels"]) -> Float[Array, "batch features"]:
        """Describe windows of natural log-mels."""
        hidden = ((mel - _MEL_MEAN) / _MEL_SCALE)[..., None]  # [B, T, M, 1]
        for convolution, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = jax.nn.gelu(norm(convolution(hidden)))  # [B, T / 2, M / 2, C], and so on
        hidden = hidden + jax.nn.gelu(self.last_norm(self.last(hidden)))
        hidden = jax.nn.gelu(self.hidden(hidden.reshape(*hidden.shape[:2], -1)))  # [B, T', hidden]
        return self.features(jnp.concatenate([hidden.mean(axis=1), hidden.max(axis=1)], axis=-1))


def log_mels(waveforms: Float[np.ndarray, "sounds samples"]) -> Float32[np.ndarray, "sounds frames mels"]:
    """Natural log-mels of sounds at 16 kHz, one frame per whole hop, as a corpus holds them."""
    frames = waveforms.shape[1] // HOP_LENGTH
    return np.stack([log_mel_spectrogram(waveform, SAMPLING_RATE)[:frames] for waveform in waveforms])


def windows(
    mel: Float[np.ndarray, "frames mels"], *, frames: int = TRAINING_FRAMES
) -> Float32[np.ndarray, "windows frames mels"]:
    """The fewest windows that cover a sound, evenly spaced; a shorter sound is one window that ends in silence.

    Raises:
        ValueError: when the sound has no frame.
    """
    mel = np.asarray(mel, np.float32)
    if len(mel) == 0:
        raise ValueError("mel has no frames; expected at least one")
    short = max(0, frames - len(mel))
    mel = np.pad(mel, ((0, short), (0, 0)), constant_values=SILENCE)
    starts = np.linspace(0, len(mel) - frames, -(-len(mel) // frames)).round().astype(int)
    return np.stack([mel[start : start + frames] for start in starts])


def by_window(
    function: Callable[[Array], Any], mels: Float[np.ndarray, "sounds frames mels"], *, batch: int = 32
) -> list[Any]:
    """Apply a function to the windows of sounds, always with the same shape, so that it is compiled once.

    Args:
        function: from windows ``[batch, frames, mels]`` to a pytree of arrays ``[batch, ...]``.
        mels: natural log-mels of sounds of one length.
        batch: windows at a time.

    Returns:
        What the function gave for the windows of each sound, ``[windows, ...]``, sound by sound.
    """
    results, count = [], len(windows(mels[0])) if len(mels) else 0
    sounds_at_once = max(1, batch // max(count, 1))
    for start in range(0, len(mels), sounds_at_once):
        pieces = [windows(mel) for mel in mels[start : start + sounds_at_once]]
        together = np.concatenate(pieces)
        size = sounds_at_once * count
        together = np.pad(together, ((0, size - len(together)), (0, 0), (0, 0)), constant_values=SILENCE)
        found = jax.tree.map(np.asarray, function(jnp.asarray(together)))
        for number in range(len(pieces)):
            span = slice(number * count, (number + 1) * count)
            results.append(jax.tree.map(lambda leaf, span=span: leaf[span], found))
    return results


def disturbed(
    mels: Float[np.ndarray, "batch frames mels"],
    generator: np.random.Generator,
    *,
    gain_in_nepers: float,
    highest_floor: float,
) -> Float32[np.ndarray, "batch frames mels"]:
    """Log-mels as if each sound were louder or softer, and had some noise under it.

    Sound that went through the VAE and the vocoder has such noise, and what listens should not mind it.

    Args:
        mels: natural log-mels.
        generator: source of levels and noise.
        gain_in_nepers: largest change of level, up and down.
        highest_floor: log-mel of the loudest noise; the softest is silence.
    """
    mels = np.asarray(mels, np.float32)
    shape = (len(mels), 1, 1)
    gain = generator.uniform(-gain_in_nepers, gain_in_nepers, shape).astype(np.float32)
    floor = generator.uniform(SILENCE, highest_floor, shape).astype(np.float32)
    noise = floor + 0.5 * generator.standard_normal(mels.shape, np.float32)
    return np.maximum(np.logaddexp(mels + gain, noise), np.float32(SILENCE))
