"""Mel spectrograms in decibels of power, as judges of sound were trained on; everything is computed in float64."""

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.mel import hann_window, windowed_magnitudes
from litefocus_jax.audio.waveforms import checked

FRAMES_AT_A_TIME = 2048
"""Whose spectra, many times the size of the sound, are held at once."""

_LEAST_POWER = 1e-10  # -100 dB


def mel_decibels(
    waveform: Float[np.ndarray, " samples"],
    filters: Float[np.ndarray, "bins mels"],
    *,
    hop_length: int,
) -> Float[np.ndarray, "frames mels"]:
    """``10 log10`` of mel-weighted powers, with a floor of -100 dB.

    Frames are centred on every ``hop_length``-th sample, the ends are reflected, and the window is a periodic Hann
    window as long as the Fourier transform: librosa's defaults, which torchlibrosa and transformers follow.

    Args:
        waveform: longer than half a window.
        filters: the weight of every frequency in every band; their number says the length of the transform.
        hop_length: samples between two frames.

    Raises:
        ValueError: when the waveform is too short, not one-dimensional, or not finite.
    """
    n_fft = 2 * (len(filters) - 1)
    waveform = checked(waveform)
    if len(waveform) <= n_fft // 2:
        raise ValueError(f"waveform has {len(waveform)} samples; expected more than half a window, {n_fft // 2}")
    padded = np.pad(waveform, n_fft // 2, mode="reflect")
    blocks = windowed_magnitudes(padded, hann_window(n_fft, np.float64), n_fft, hop_length, FRAMES_AT_A_TIME)
    powers = (np.square(magnitudes) @ filters for magnitudes in blocks)
    return np.concatenate([10.0 * np.log10(np.maximum(power, _LEAST_POWER)) for power in powers]).astype(np.float32)
