"""Mel scale and mel filters, and the log-mel spectrograms that AudioLDM2's latents were trained on."""

import functools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.waveforms import checked

QUIETEST_MEL = 1e-5
"""Floor of mel-weighted magnitudes before the logarithm, as AudioLDM was trained with."""


def log_mel_spectrogram(
    waveform: Float[np.ndarray, " samples"],
    sampling_rate: int,
    *,
    num_mels: int = 64,
    n_fft: int = 1024,
    hop_length: int = 160,
    fmin: float = 0.0,
    fmax: float = 8000.0,
    frames_at_a_time: int = 4096,
) -> Float[np.ndarray, "frames mels"]:
    """Natural logarithm of mel-weighted magnitudes; the defaults are those AudioLDM2's latents were trained on.

    Frames are centred on every ``hop_length``-th sample, of which there are ``1 + samples // hop_length``; the ends are
    reflected. The window is a periodic Hann window. Magnitudes, not powers, are weighted by `mel_filters` and floored
    at 1e-5. The spectra of ``frames_at_a_time`` frames are held at once, which are many times the size of the sound.

    Raises:
        ValueError: when the waveform is empty, not one-dimensional, or not finite, or the frequencies are out of order.
    """
    filters = mel_filters(sampling_rate, n_fft=n_fft, num_mels=num_mels, fmin=fmin, fmax=fmax)
    return np.concatenate(
        [
            np.log(np.maximum(magnitudes @ filters, QUIETEST_MEL))
            for magnitudes in magnitude_blocks(waveform, n_fft, hop_length, frames_at_a_time)
        ]
    )


def magnitude_blocks(
    waveform: Float[np.ndarray, " samples"], n_fft: int, hop_length: int, frames_at_a_time: int = 4096
) -> Iterator[Float[np.ndarray, "frames bins"]]:
    """Magnitudes of windowed Fourier transforms, a few frames at a time; see `log_mel_spectrogram`.

    Raises:
        ValueError: when the waveform is empty, not one-dimensional, or not finite.
    """
    waveform = checked(waveform)
    padding = n_fft // 2
    # A single sample has nothing to reflect.
    padded = np.pad(waveform, padding, mode="reflect" if waveform.size > 1 else "edge")
    yield from windowed_magnitudes(padded, hann_window(n_fft), n_fft, hop_length, frames_at_a_time)


def windowed_magnitudes(
    waveform: Float[np.ndarray, " samples"],
    window: Float[np.ndarray, " window"],
    n_fft: int,
    hop_length: int,
    frames_at_a_time: int,
) -> Iterator[Float[np.ndarray, "frames bins"]]:
    """Magnitudes of Fourier transforms of the whole windows of a waveform, a few frames at a time.

    Args:
        waveform: at least as long as the window.
        window: what each frame is multiplied by; its type is that of the computation.
        n_fft: samples of a transform; what is beyond the window is zero.
        hop_length: samples between the beginnings of two windows.
        frames_at_a_time: how many are held at once.
    """
    frames = np.lib.stride_tricks.sliding_window_view(waveform, len(window))[::hop_length]  # [frames, window]
    for start in range(0, len(frames), frames_at_a_time):
        yield np.abs(np.fft.rfft(frames[start : start + frames_at_a_time] * window, n_fft))  # [frames, bins]


def hann_window(n_fft: int, dtype: type[np.floating] = np.float32) -> Float[np.ndarray, " n_fft"]:
    """A periodic Hann window, float32 unless another type is given."""
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)).astype(dtype)


@functools.lru_cache(maxsize=8)
def mel_filters(
    sampling_rate: int, *, n_fft: int, num_mels: int, fmin: float, fmax: float
) -> Float[np.ndarray, "bins mels"]:
    """Triangular filters of unit area in hertz on Slaney's mel scale, as librosa builds them; read-only float32.

    Slaney, "Auditory Toolbox" (Interval Research, technical report 1998-010).

    Raises:
        ValueError: unless ``0 <= fmin < fmax <= sampling_rate / 2``.
    """
    triangles, widths = _triangles(sampling_rate, n_fft, num_mels, fmin, fmax)
    return _read_only(triangles * (2.0 / widths))


@functools.lru_cache(maxsize=8)
def mel_bands(sampling_rate: int, *, n_fft: int, num_mels: int) -> Float[np.ndarray, "bins mels"]:
    """The same triangles up to half the sampling rate with peaks of 1, which share each bin out; read-only float32.

    Weighted by them, the powers of bins add up to the power of the sound.
    """
    triangles, _ = _triangles(sampling_rate, n_fft, num_mels, 0.0, sampling_rate / 2)
    return _read_only(triangles)


def _triangles(
    sampling_rate: int, n_fft: int, num_mels: int, fmin: float, fmax: float
) -> tuple[Float[np.ndarray, "bins mels"], Float[np.ndarray, " mels"]]:
    """Triangles whose peaks are 1, and their widths in hertz."""
    check_band(fmin, fmax, sampling_rate)
    lowest, highest = hertz_to_mel(np.array([fmin, fmax]))
    edges = mel_to_hertz(np.linspace(lowest, highest, num_mels + 2))
    return triangles(np.fft.rfftfreq(n_fft, 1.0 / sampling_rate), edges), edges[2:] - edges[:-2]


def check_band(fmin: float, fmax: float, sampling_rate: int) -> None:
    """Check where the first filter begins and the last one ends, in hertz.

    Raises:
        ValueError: unless ``0 <= fmin < fmax <= sampling_rate / 2``.
    """
    if not 0.0 <= fmin < fmax <= sampling_rate / 2:
        raise ValueError(f"fmin = {fmin:g} and fmax = {fmax:g}; expected 0 <= fmin < fmax <= {sampling_rate / 2:g} Hz")


def triangles(
    places: Float[np.ndarray, " bins"], edges: Float[np.ndarray, " edges"]
) -> Float[np.ndarray, "bins triangles"]:
    """Triangles with peaks of 1, each from one edge over the next to the one after, at some places.

    Args:
        places: on a scale.
        edges: on the same one, rising; two more than triangles.
    """
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (places[:, None] - lower) / (centre - lower), (upper - places[:, None]) / (upper - centre)
    return np.maximum(0.0, np.minimum(rising, falling))


def _read_only(filters: np.ndarray) -> np.ndarray:
    filters = filters.astype(np.float32)
    filters.flags.writeable = False
    return filters


def hertz_to_mel(hertz: np.ndarray) -> np.ndarray:
    """Slaney's mel scale: linear up to 1 kHz (15 mel), logarithmic above with 27 mel for a factor of 6.4."""
    return np.where(
        hertz < 1000.0, hertz * 3.0 / 200.0, 15.0 + 27.0 * np.log(np.maximum(hertz, 1.0) / 1000.0) / np.log(6.4)
    )


def mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    """The inverse of `hertz_to_mel`."""
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))
