"""Mel scale and mel filters, and the log-mel spectrograms that AudioLDM2's latents were trained on."""

import functools
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.waveforms import checked

_QUIETEST = 1e-5  # floor of magnitudes before the logarithm, as AudioLDM was trained with


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
            np.log(np.maximum(magnitudes @ filters, _QUIETEST))
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
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]  # [frames, n_fft]
    window = hann_window(n_fft)
    for start in range(0, len(frames), frames_at_a_time):
        yield np.abs(np.fft.rfft(frames[start : start + frames_at_a_time] * window))  # [frames, bins]


def hann_window(n_fft: int) -> Float[np.ndarray, " n_fft"]:
    """A periodic Hann window, float32."""
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)


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
    if not 0.0 <= fmin < fmax <= sampling_rate / 2:
        raise ValueError(f"fmin = {fmin:g} and fmax = {fmax:g}; expected 0 <= fmin < fmax <= {sampling_rate / 2:g} Hz")
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / sampling_rate)[:, None]  # [bins, 1]
    lowest, highest = hertz_to_mel(np.array([fmin, fmax]))
    edges = mel_to_hertz(np.linspace(lowest, highest, num_mels + 2))
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - lower) / (centre - lower), (upper - frequencies) / (upper - centre)
    return np.maximum(0.0, np.minimum(rising, falling)), upper - lower


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
