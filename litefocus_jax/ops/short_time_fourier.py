"""Short-time Fourier transforms that run on devices and that gradients go through, there and back.

Frames that overlap are laid side by side from blocks of one hop, and added up again likewise: what gathers or scatters
by index is slow on a CPU, and its gradient slower.

Letters in shape comments: B batch, S samples, N blocks of one hop, F frames, W blocks that a window touches.
"""

import math

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Complex, Float


def short_time_fourier(
    waveforms: Float[Array, "batch samples"], window: Float[np.ndarray, " n_fft"], hop_length: int
) -> Complex[Array, "batch frames bins"]:
    """Spectra of ``1 + samples // hop_length`` windowed frames, centred on every ``hop_length``-th sample.

    The ends are reflected, as by `litefocus_jax.audio.log_mel_spectrogram`.

    Args:
        waveforms: at least two samples each.
        window: what each frame is multiplied by.
        hop_length: samples between the centres of two frames.
    """
    n_fft = len(window)
    frames, touched = 1 + waveforms.shape[1] // hop_length, math.ceil(n_fft / hop_length)
    padded = jnp.pad(waveforms, ((0, 0), (n_fft // 2, n_fft // 2)), mode="reflect")
    length = (frames - 1 + touched) * hop_length
    padded = jnp.pad(padded, ((0, 0), (0, max(0, length - padded.shape[1]))))[:, :length]
    blocks = padded.reshape(len(padded), -1, hop_length)  # [B, N, hop]
    framed = jnp.concatenate([blocks[:, place : place + frames] for place in range(touched)], axis=-1)  # [B, F, W*hop]
    return jnp.fft.rfft(framed[..., :n_fft] * window)


def inverse_short_time_fourier(
    spectra: Complex[Array, "batch frames bins"], window: Float[np.ndarray, " n_fft"], hop_length: int, samples: int
) -> Float[Array, "batch samples"]:
    """The sound whose spectra by `short_time_fourier` are nearest to some, in the sense of least squares.

    Griffin and Lim, "Signal estimation from modified short-time Fourier transform", IEEE Transactions on Acoustics,
    Speech and Signal Processing 32 (2), 1984, equation 6.

    Args:
        spectra: of frames centred on every ``hop_length``-th sample.
        window: as it was; frames must overlap so far that its squares nowhere add up to next to nothing, by three
            quarters for a Hann window.
        hop_length: likewise.
        samples: length of the sound.
    """
    n_fft = len(window)
    frames = jnp.fft.irfft(spectra, n_fft) * window  # [B, F, n_fft]
    weights = jnp.broadcast_to(jnp.square(window), (1, *frames.shape[1:]))
    start = n_fft // 2
    sound, weight = (_added_up(values, hop_length)[:, start : start + samples] for values in (frames, weights))
    return sound / weight


def _added_up(frames: Float[Array, "batch frames n_fft"], hop_length: int) -> Float[Array, "batch samples"]:
    """Frames as they follow each other at a distance of a hop, added up where they overlap."""
    batch, count, n_fft = frames.shape
    touched = math.ceil(n_fft / hop_length)
    blocks = jnp.pad(frames, ((0, 0), (0, 0), (0, touched * hop_length - n_fft)))
    blocks = blocks.reshape(batch, count, touched, hop_length)
    shifted = (jnp.pad(blocks[:, :, place], ((0, 0), (place, touched - 1 - place), (0, 0))) for place in range(touched))
    return sum(shifted, jnp.zeros(())).reshape(batch, -1)
