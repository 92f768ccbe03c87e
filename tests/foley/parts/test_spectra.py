"""Spectra that the vocoder learns by: what they measure, and that their slopes are finite."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples.foley.parts import spectra
from litefocus_jax.audio import log_mel_spectrogram
from tests.support.foley import RATE, noise, tone


def test_log_mels_are_those_of_the_library():
    waveforms = noise(2, 2000) * np.array([[1.0], [0.001]], np.float32)
    waveforms[1, 1000:] = 0.0
    expected = np.stack([log_mel_spectrogram(waveform, RATE) for waveform in waveforms])
    np.testing.assert_allclose(spectra.log_mel(jnp.asarray(waveforms)), expected, atol=2e-4)


def test_log_mels_of_silence_have_a_finite_slope():
    slope = jax.grad(lambda sound: sum(spectra.mel_distances(sound, jnp.ones((1, 1200)))))(jnp.zeros((1, 1200)))
    assert np.isfinite(slope).all()


def test_noise_far_under_a_tone_counts_in_the_deep_distance_alone():
    clean = jnp.asarray(tone(1000.0), jnp.float32)[None]
    noisy = clean + noise(*clean.shape, level=1e-5)
    audible, deep = spectra.mel_distances(noisy, clean)
    assert deep > 10 * audible
    assert spectra.mel_distances(clean, clean)[1] == 0.0


def test_silence_has_no_say_in_the_deep_distance():
    silence = jnp.zeros((1, 8000))
    slope = jax.grad(lambda sound: spectra.mel_distances(sound, silence)[1])(noise(1, 8000, level=0.1))
    assert np.abs(slope).max() < 1e-8


def test_sound_too_short_to_reflect_is_an_error():
    with pytest.raises(ValueError, match=r"waveforms has 512 samples; expected more than 512"):
        spectra.log_mel(jnp.zeros((1, 512)))


def test_spectral_distance_grows_with_a_second_line_beside_a_tone():
    real = jnp.asarray(tone(1000.0, 0.2), jnp.float32)[None]
    beside = jnp.asarray(tone(1100.0, 0.2), jnp.float32)[None]
    distances = [float(spectra.spectral_distance(real + gain * beside, real)) for gain in (0.0, 0.03, 0.3)]
    assert distances[0] == pytest.approx(0.0, abs=1e-3)
    assert distances[0] < distances[1] < distances[2]
