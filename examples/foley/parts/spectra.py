"""Spectra that gradients go through: the log-mel of `litefocus_jax.audio`, and distances between sounds."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from examples.foley.world.clips import HOP_LENGTH, NUM_MELS, SAMPLING_RATE
from litefocus_jax.audio import hann_window, mel_filters
from litefocus_jax.audio.mel import QUIETEST_MEL
from litefocus_jax.ops.short_time_fourier import short_time_fourier

N_FFT = 1024
_TINIEST_POWER = 1e-14  # keeps the slope of the square root finite in digital silence

RESOLUTIONS = ((128, 32), (256, 64), (512, 128))
"""Transform sizes and hops in samples, down to those that time clicks.

None is so long as to part lines that are 100 Hz from each other. What lies between two multiples of 100 Hz a HiFi-GAN
with this hop can only make of both (see `examples.foley.parts.harmonics`). To a transform that tells the difference
silence is nearer than that.
"""

# What is quieter need not be right; without these, the exact depth of silence would be most of what is learnt. A tone
# at full scale has a magnitude of 256 for the window of 1024, and a mel of about 10: 74 and 80 dB above.
_QUIETEST_MAGNITUDE = 5e-2
_QUIETEST_LEARNT_MEL = 1e-3
_MASKED_SHARE = 0.003
_DEEP_SHARE = 1e-4
_SOFT_MEL = 1e-2


def magnitudes(waveforms: Float[Array, "batch samples"], n_fft: int, hop: int) -> Float[Array, "batch frames bins"]:
    """Magnitudes of ``1 + samples // hop`` transforms with a periodic Hann window, centred on every ``hop``-th sample.

    The ends are reflected, for which there must be more than ``n_fft // 2`` samples.

    Raises:
        ValueError: when there are fewer samples.
    """
    samples = waveforms.shape[1]
    if samples <= n_fft // 2:
        raise ValueError(f"waveforms has {samples} samples; expected more than {n_fft // 2} for n_fft = {n_fft}")
    spectrum = short_time_fourier(waveforms, hann_window(n_fft), hop)
    return jnp.sqrt(jnp.square(spectrum.real) + jnp.square(spectrum.imag) + _TINIEST_POWER)


def log_mel(waveforms: Float[Array, "batch samples"]) -> Float[Array, "batch frames mels"]:
    """What `litefocus_jax.audio.log_mel_spectrogram` gives for each sound, at 16 kHz and with its default settings."""
    return jnp.log(jnp.maximum(_mels(waveforms), QUIETEST_MEL))


def _mels(waveforms: Float[Array, "batch samples"]) -> Float[Array, "batch frames mels"]:
    return magnitudes(waveforms, N_FFT, HOP_LENGTH) @ filters()


def filters() -> Float[np.ndarray, "bins mels"]:
    """The mel filters of `log_mel`, for magnitudes of transforms of `N_FFT` samples."""
    return mel_filters(SAMPLING_RATE, n_fft=N_FFT, num_mels=NUM_MELS, fmin=0.0, fmax=SAMPLING_RATE / 2)


def log_magnitudes(waveforms: Float[Array, "batch samples"], n_fft: int, hop: int) -> Float[Array, "batch frames bins"]:
    """Natural logarithm of `magnitudes`, which bends towards a floor 74 dB below full scale."""
    scale = n_fft / N_FFT  # so that a noise floor is as deep at every resolution
    return jnp.log(magnitudes(waveforms, n_fft, hop) / scale + _QUIETEST_MAGNITUDE)


def mel_distances(
    made: Float[Array, "batch samples"], real: Float[Array, "batch samples"]
) -> tuple[Float[Array, ""], Float[Array, ""]]:
    """`log_distance` of mels, and how far they are down to 80 dB below the loudest of a sound, in nepers.

    The second is HiFi-GAN's mel loss (arXiv 2010.05646, equation 4) with that floor. The first leaves open what lies
    under a loud tone by more than 50 dB. Hardly anyone hears it, but whatever is trained on log-mels does.
    """
    found, expected = _mels(made), _mels(real)
    loudest = jnp.max(expected, axis=(1, 2), keepdims=True)
    floor = jnp.maximum(QUIETEST_MEL, _DEEP_SHARE * loudest)
    difference = jnp.abs(jnp.log(found + floor) - jnp.log(expected + floor))
    # Next to silence the slope of the logarithm would drown that of every other sound of a batch.
    deep = jnp.mean(difference * loudest / (loudest + _SOFT_MEL))
    return log_distance(found, expected, quietest=_QUIETEST_LEARNT_MEL), deep


def log_distance(
    found: Float[Array, "batch frames bins"], expected: Float[Array, "batch frames bins"], *, quietest: float
) -> Float[Array, ""]:
    """Absolute difference of logarithms in nepers (8.7 dB): its mean, plus its mean weighted by magnitude.

    The logarithms bend towards a floor 50 dB below the loudest of a sound: what is loud hides what is so much softer.
    A tone fills few bins and silence the rest. By the plain mean alone it is cheaper to leave the tone out than to make
    it with a little noise around; weighted by the greater of the two magnitudes, what can be heard counts.

    Args:
        found: magnitudes of the sound made.
        expected: those of the sound wanted.
        quietest: magnitude that the floor does not fall below.
    """
    loudest = jnp.max(expected, axis=(1, 2), keepdims=True)
    floor = jnp.maximum(quietest, _MASKED_SHARE * loudest)
    difference = jnp.abs(jnp.log(found + floor) - jnp.log(expected + floor))
    # The share of the floor is for digital silence, where no weight would be left.
    weight = jax.lax.stop_gradient(jnp.maximum(found, expected)) + 1e-3 * floor
    heard = jnp.sum(weight * difference, axis=(1, 2)) / jnp.sum(weight, axis=(1, 2))
    return jnp.mean(difference) + jnp.mean(heard)


def spectral_distance(made: Float[Array, "batch samples"], real: Float[Array, "batch samples"]) -> Float[Array, ""]:
    """Multi-resolution distance of magnitudes: the relative error plus `log_distance`.

    Parallel WaveGAN (arXiv 1910.11480), equations 3 to 6, with the relative error taken for each sound on its own, so
    that soft sounds count as much as loud ones.
    """
    total = jnp.zeros(())
    for n_fft, hop in RESOLUTIONS:
        found, expected = magnitudes(made, n_fft, hop), magnitudes(real, n_fft, hop)
        error = jnp.sqrt(jnp.sum(jnp.square(found - expected), axis=(1, 2)) + 1e-8)
        size = jnp.sqrt(jnp.sum(jnp.square(expected), axis=(1, 2))) + 1e-1
        floor = _QUIETEST_MAGNITUDE * n_fft / N_FFT
        # Silence against a loud mistake would be an unbounded ratio.
        total += jnp.mean(jnp.minimum(error / size, 2.0)) + log_distance(found, expected, quietest=floor)
    return total / len(RESOLUTIONS)
