"""What the judges' networks see of a sound: the spectrograms of PANNs, VGGish and aiSFX."""

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.decibels import FRAMES_AT_A_TIME, mel_decibels
from litefocus_jax.audio.htk_mel import htk_filters
from litefocus_jax.audio.mel import hann_window, mel_filters, windowed_magnitudes
from litefocus_jax.audio.waveforms import checked
from litefocus_jax.models import aisfx
from litefocus_jax.models.cnn14 import Cnn14Config

VGGISH_SAMPLING_RATE = 16000
_VGGISH_WINDOW, _VGGISH_HOP, _VGGISH_TRANSFORM = 400, 160, 512  # 25 ms and 10 ms
_VGGISH_FRAMES, _VGGISH_BANDS = 96, 64
_VGGISH_OFFSET = 0.01  # added to magnitudes before the logarithm
_AISFX_WINDOW, _AISFX_HOP, _AISFX_BANDS = 2048, 1024, 96
_AISFX_BLOCK, _AISFX_BLOCK_HOP = 100, 50  # frames
_AISFX_SCALE = 1e4  # of powers before the logarithm
_AISFX_GREATEST = 9.457798957824707  # logarithm among the sounds that the network was trained on


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


def aisfx_blocks(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "blocks 100 96"]:
    """Blocks of 2.3 s, half of each in the next one, of the log-mel spectrogram of a sound at 44.1 kHz, as of aisfx.

    ``log10(1 + 10000 mel) / 9.458`` of powers, on HTK's scale up to 22,050 Hz, with weights that sum to 1: what
    Essentia computes, whose frames begin half a window before the sound and whose Hann window is a symmetric one. A
    last block that is not full is left out, unless it is the only one, which silence fills.

    Raises:
        ValueError: when the waveform is empty, not one-dimensional, or not finite.
    """
    waveform = checked(waveform)
    filters = htk_filters(
        aisfx.SAMPLING_RATE,
        n_fft=_AISFX_WINDOW,
        num_mels=_AISFX_BANDS,
        fmin=0.0,
        fmax=aisfx.SAMPLING_RATE / 2,
        straight_in="mel",
    )
    # As long as a frame begins within the sound.
    frames = -(-(len(waveform) + _AISFX_WINDOW // 2) // _AISFX_HOP)
    whole = np.zeros((frames - 1) * _AISFX_HOP + _AISFX_WINDOW, np.float64)
    whole[_AISFX_WINDOW // 2 :][: len(waveform)] = waveform[: len(whole) - _AISFX_WINDOW // 2]
    places = np.arange(_AISFX_WINDOW) / (_AISFX_WINDOW - 1)
    window = 0.5 - 0.5 * np.cos(2.0 * np.pi * places)
    blocks = windowed_magnitudes(whole, window, _AISFX_WINDOW, _AISFX_HOP, FRAMES_AT_A_TIME)
    weights = filters / filters.sum(axis=0)
    powers = np.concatenate([np.square(magnitudes) @ weights for magnitudes in blocks])
    log_mel = np.log10(1.0 + _AISFX_SCALE * powers) / _AISFX_GREATEST
    log_mel = np.pad(log_mel, [(0, max(0, _AISFX_BLOCK - len(log_mel))), (0, 0)])
    pieces = np.lib.stride_tricks.sliding_window_view(log_mel, _AISFX_BLOCK, axis=0)[::_AISFX_BLOCK_HOP]
    return pieces.transpose(0, 2, 1).astype(np.float32)
