"""Mel spectrograms in decibels of power, as judges of sound were trained on; everything is computed in float64."""

from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.waveforms import checked

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
    powers = (np.square(magnitudes) @ filters for magnitudes in windowed_magnitudes(padded, n_fft, n_fft, hop_length))
    return np.concatenate([10.0 * np.log10(np.maximum(power, _LEAST_POWER)) for power in powers]).astype(np.float32)


def windowed_magnitudes(
    waveform: Float[np.ndarray, " samples"],
    window_length: int,
    n_fft: int,
    hop_length: int,
    frames_at_a_time: int = 2048,
) -> Iterator[Float[np.ndarray, "frames bins"]]:
    """Magnitudes of Fourier transforms of the whole windows of a waveform, a few frames at a time.

    Args:
        waveform: at least as long as a window.
        window_length: samples under a periodic Hann window.
        n_fft: samples of a transform; what is beyond the window is zero.
        hop_length: samples between the beginnings of two windows.
        frames_at_a_time: how many are held at once.
    """
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(window_length) / window_length)
    frames = np.lib.stride_tricks.sliding_window_view(waveform, window_length)[::hop_length]
    for start in range(0, len(frames), frames_at_a_time):
        yield np.abs(np.fft.rfft(frames[start : start + frames_at_a_time] * window, n_fft))
