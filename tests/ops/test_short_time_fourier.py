"""Short-time Fourier transforms on devices: those of numpy, and back again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.audio.mel import hann_window, magnitude_blocks
from litefocus_jax.ops.short_time_fourier import inverse_short_time_fourier, short_time_fourier

SIZES = [(1024, 160), (1024, 256), (64, 16)]


@pytest.mark.parametrize(("n_fft", "hop_length"), SIZES)
@pytest.mark.parametrize("samples", [2000, 4319])
def test_spectra_are_those_of_log_mels(n_fft, hop_length, samples):
    sounds = np.asarray(jax.random.normal(jax.random.key(0), (2, samples)))
    found = short_time_fourier(jnp.asarray(sounds), hann_window(n_fft), hop_length)
    expected = [np.concatenate([*magnitude_blocks(sound, n_fft, hop_length)]) for sound in sounds]
    np.testing.assert_allclose(jnp.abs(found), expected, atol=1e-3)


@pytest.mark.parametrize(("n_fft", "hop_length"), SIZES)
@pytest.mark.parametrize("samples", [2000, 4319])
def test_spectra_that_nobody_changed_become_the_sound_they_were(n_fft, hop_length, samples):
    sounds, window = jax.random.normal(jax.random.key(0), (2, samples)), hann_window(n_fft)
    spectra = short_time_fourier(sounds, window, hop_length)
    np.testing.assert_allclose(inverse_short_time_fourier(spectra, window, hop_length, samples), sounds, atol=1e-4)
