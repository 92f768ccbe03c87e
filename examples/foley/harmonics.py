"""Sound made from log-mels without learning, by a bank of harmonics: what the vocoder is taught to make first.

Where its input does not change, a HiFi-GAN repeats itself after every hop, so that all it can hold are the multiples of
100 Hz. How loud each of them has to be follows from the log-mel, and once their phases are agreed upon so does every
sample. Distances of spectra leave the phases open, and by them alone a network is slow to learn to hold a loud tone.

Letters in shape comments: F frames, M mels, N harmonics, H samples of a hop.
"""

import functools

import numpy as np
from jaxtyping import Float, Float32

from examples.foley.spectra import HOP_LENGTH, NUM_MELS, SAMPLING_RATE
from litefocus_jax.audio import mel_filters

_N_FFT = 1024
_FUNDAMENTAL_IN_HZ = SAMPLING_RATE / HOP_LENGTH
_HARMONICS = np.arange(1, HOP_LENGTH // 2)
_ITERATIONS = 60
_TINIEST = 1e-9


def harmonic_sound(mel: Float[np.ndarray, "frames mels"]) -> Float32[np.ndarray, " samples"]:
    """A sound of one hop per frame whose log-mels are about the given ones.

    The amplitudes move in straight lines from frame to frame; a frame is centred on the first sample of its hop.

    Args:
        mel: natural log-mels as of `litefocus_jax.audio.log_mel_spectrogram`.
    """
    waves = harmonic_amplitudes(mel) @ _bank()  # [F, H]
    following = np.concatenate([waves[1:], waves[-1:]])
    share = (np.arange(HOP_LENGTH) / HOP_LENGTH).astype(np.float32)
    return ((1.0 - share) * waves + share * following).reshape(-1)


def harmonic_amplitudes(mel: Float[np.ndarray, "frames mels"]) -> Float32[np.ndarray, "frames harmonics"]:
    """How loud each multiple of 100 Hz has to be for the mels to come about.

    The multiplicative rule of Lee and Seung (2000) for the Kullback-Leibler divergence: amplitudes stay positive, and
    soft bands count beside loud ones.
    """
    magnitudes = np.exp(np.asarray(mel, np.float32))
    heard = _response()
    total = heard.sum(axis=1)
    amplitudes = np.repeat(magnitudes.sum(axis=1, keepdims=True) / total.sum(), len(heard), axis=1)
    for _ in range(_ITERATIONS):
        amplitudes *= (magnitudes / (amplitudes @ heard + _TINIEST)) @ heard.T / total
    return amplitudes


@functools.cache
def _response() -> Float32[np.ndarray, "harmonics mels"]:
    """The mels of each harmonic at amplitude 1."""
    times = np.arange(_N_FFT) / SAMPLING_RATE
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(_N_FFT) / _N_FFT)
    waves = np.exp(2j * np.pi * _FUNDAMENTAL_IN_HZ * _HARMONICS[:, None] * times)
    # The half of the spectrum with positive frequencies; a real wave has half its amplitude there.
    spectrum = 0.5 * np.abs(np.fft.fft(window * waves, axis=1))[:, : _N_FFT // 2 + 1]
    filters = mel_filters(SAMPLING_RATE, n_fft=_N_FFT, num_mels=NUM_MELS, fmin=0.0, fmax=SAMPLING_RATE / 2)
    return (spectrum @ filters).astype(np.float32)


@functools.cache
def _bank() -> Float32[np.ndarray, "harmonics hop"]:
    """A hop of each harmonic. Phases that grow with the square of its number (Schroeder, 1970) keep the peaks low."""
    times = np.arange(HOP_LENGTH) / SAMPLING_RATE
    phases = np.pi * np.square(_HARMONICS) / len(_HARMONICS)
    return np.cos(2.0 * np.pi * _FUNDAMENTAL_IN_HZ * _HARMONICS[:, None] * times + phases[:, None]).astype(np.float32)
