"""What the judges' networks see of a sound: the spectrograms of PANNs and of VGGish."""

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.decibels import FRAMES_AT_A_TIME, mel_decibels
from litefocus_jax.audio.htk_mel import htk_filters
from litefocus_jax.audio.mel import hann_window, mel_filters, windowed_magnitudes
from litefocus_jax.audio.waveforms import checked
from litefocus_jax.models.cnn14 import Cnn14Config

VGGISH_SAMPLING_RATE = 16000
_VGGISH_WINDOW, _VGGISH_HOP, _VGGISH_TRANSFORM = 400, 160, 512  # 25 ms and 10 ms
_VGGISH_FRAMES, _VGGISH_BANDS = 96, 64
_VGGISH_OFFSET = 0.01  # added to magnitudes before the logarithm


def cnn14_log_mel(waveform: Float[np.ndarray, " samples"], config: Cnn14Config) -> Float[np.ndarray, "frames mels"]:
    """Decibels of mel-weighted power on Slaney's scale, as torchlibrosa computes them for PANNs.

    Args:
        waveform: at ``config.sampling_rate``.
        config: of the network.

    Raises:
        ValueError: as `litefocus_jax.audio.decibels.mel_decibels`.
    """
    filters = mel_filters(
        config.sampling_rate, n_fft=config.window_size, num_mels=config.mel_bins, fmin=config.fmin, fmax=config.fmax
    )
    return mel_decibels(waveform, filters, hop_length=config.hop_size)


def vggish_examples(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "examples 96 64"]:
    """Log-mel spectrograms of the whole pieces of 0.96 s of a sound at 16 kHz, as torchvggish has them.

    ``ln(mel + 0.01)`` of magnitudes, on HTK's scale from 125 to 7,500 Hz. A piece takes 96 frames, the last of which
    reaches 240 samples into the next piece; what is left at the end is not looked at.

    Raises:
        ValueError: when there is no whole piece (15,600 samples), or the waveform is not one-dimensional or finite.
    """
    waveform = checked(waveform)
    least = (_VGGISH_FRAMES - 1) * _VGGISH_HOP + _VGGISH_WINDOW
    if len(waveform) < least:
        raise ValueError(f"waveform has {len(waveform)} samples; expected {least} or more")
    filters = htk_filters(
        VGGISH_SAMPLING_RATE,
        n_fft=_VGGISH_TRANSFORM,
        num_mels=_VGGISH_BANDS,
        fmin=125.0,
        fmax=7500.0,
        straight_in="mel",
    )
    window = hann_window(_VGGISH_WINDOW, np.float64)
    blocks = windowed_magnitudes(waveform, window, _VGGISH_TRANSFORM, _VGGISH_HOP, FRAMES_AT_A_TIME)
    log_mel = np.concatenate([np.log(magnitudes @ filters + _VGGISH_OFFSET) for magnitudes in blocks])
    count = len(log_mel) // _VGGISH_FRAMES
    return log_mel[: count * _VGGISH_FRAMES].reshape(count, _VGGISH_FRAMES, _VGGISH_BANDS).astype(np.float32)
