"""Log-mel spectrograms."""

import numpy as np
import pytest
from transformers.audio_utils import mel_filter_bank, spectrogram, window_function

from litefocus_jax import audio

RATE = 16000
SOUND = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)


@pytest.mark.parametrize(("num_mels", "fmin", "fmax"), [(64, 0.0, 8000.0), (20, 100.0, 5000.0)])
def test_log_mel_equals_an_independent_implementation(num_mels, fmin, fmax):
    noise = np.random.default_rng(0).standard_normal(5000).astype(np.float32)
    filters = mel_filter_bank(513, num_mels, fmin, fmax, RATE, norm="slaney", mel_scale="slaney")
    window = window_function(1024, "hann", periodic=True)
    expected = spectrogram(noise, window, 1024, 160, power=1.0, mel_filters=filters, mel_floor=1e-5, log_mel="log")
    actual = audio.log_mel_spectrogram(noise, RATE, num_mels=num_mels, fmin=fmin, fmax=fmax)
    np.testing.assert_allclose(actual, np.asarray(expected).T, atol=1e-4)


def test_log_mel_of_a_long_sound_is_that_of_its_parts():
    expected = audio.log_mel_spectrogram(SOUND, RATE)
    np.testing.assert_allclose(audio.log_mel_spectrogram(SOUND, RATE, frames_at_a_time=7), expected, atol=1e-5)


@pytest.mark.parametrize("samples", [1, 2, 100, 159, 160, 1600])
def test_log_mel_has_a_frame_for_every_hop_of_any_sound(samples):
    mel = audio.log_mel_spectrogram(np.zeros(samples), RATE)
    assert mel.shape == (1 + samples // 160, 64)
    np.testing.assert_allclose(mel, np.log(1e-5), rtol=1e-6)


def test_mel_filters_are_computed_once_for_all_clips():
    settings = {"n_fft": 1024, "num_mels": 64, "fmin": 0.0, "fmax": 8000.0}
    assert audio.mel_filters(16000, **settings) is audio.mel_filters(16000, **settings)


def test_mel_filters_refuse_frequencies_past_half_the_sampling_rate():
    with pytest.raises(ValueError, match="fmax = 8000; expected 0 <= fmin < fmax <= 4000 Hz"):
        audio.log_mel_spectrogram(SOUND, 8000)
