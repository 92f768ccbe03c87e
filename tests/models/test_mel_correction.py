"""Sound brought to the log-mel that it was made from: what goes beyond it is taken away, and nothing else."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from litefocus_jax.audio import level_in_dbfs, log_mel_spectrogram
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.models.circular import on_circle
from litefocus_jax.models.mel_correction import MelCorrection, MelScale
from litefocus_jax.models.vocoder import Vocoder, VocoderConfig
from litefocus_jax.system.json_config import ConfigError
from tests.support.foley import noise, tone

SCALE = MelScale(sampling_rate=16000, hop_length=160, n_fft=1024, num_mels=64, fmin=0.0, fmax=8000.0)
CORRECTION = MelCorrection(SCALE, rounds=2)
TONE = np.asarray(tone(1000.0, 0.1), np.float32)
BUZZ = np.asarray(noise(1, TONE.size, level=0.01), np.float32)[0]
# The published rates add 32 samples at the end.
CONFIG = VocoderConfig.tiny()
CORRECTING = dataclasses.replace(CONFIG, mel_corrections=2)


def log_mel(sound: np.ndarray) -> jax.Array:
    """One frame for each whole hop."""
    return jnp.asarray(log_mel_spectrogram(sound, 16000)[: sound.size // 160])[None]


def corrected(sound: np.ndarray, mel: jax.Array, correction: MelCorrection = CORRECTION) -> np.ndarray:
    return np.asarray(correction(jnp.asarray(sound)[None], mel))[0]


def test_what_a_vocoder_adds_to_a_tone_is_taken_away_and_the_tone_is_left():
    found = corrected(TONE + BUZZ, log_mel(TONE))[2000:-2000]
    assert level_in_dbfs(found - TONE[2000:-2000]) < level_in_dbfs(BUZZ) - 8.0
    assert level_in_dbfs(found) == pytest.approx(level_in_dbfs(TONE[2000:-2000]), abs=0.2)


def test_noise_in_a_pause_falls_to_what_the_log_mel_says():
    paused = TONE.copy()
    paused[6000:] = 0.0
    found = corrected(paused + BUZZ, log_mel(paused))
    assert level_in_dbfs(found[8000:]) < level_in_dbfs(BUZZ) - 50.0


@pytest.mark.parametrize("louder", [0.0, 3.0], ids=["as loud", "louder"])
def test_sound_that_is_nowhere_too_loud_stays_as_it_is(louder):
    np.testing.assert_allclose(corrected(BUZZ, log_mel(BUZZ) + louder), BUZZ, atol=2e-5)


def test_what_lies_beside_all_bands_is_filtered_as_the_nearest():
    constant = np.full(8000, 0.05, np.float32)
    found = corrected(constant, log_mel(np.zeros(8000, np.float32)))
    assert level_in_dbfs(found[2000:-2000]) < level_in_dbfs(constant) - 40.0


def test_filtered_sound_stays_between_its_bounds():
    square = 0.99 * np.sign(TONE)
    assert np.abs(corrected(square, log_mel(TONE * 12.0))).max() == 1.0


def test_silence_stays_silence():
    silence = np.zeros(4000, np.float32)
    np.testing.assert_array_equal(corrected(silence, log_mel(silence)), silence)


def test_samples_beyond_the_last_frame_are_filtered_as_it_is():
    found = corrected(TONE + BUZZ, log_mel(TONE)[:, :-2])
    assert found.shape == TONE.shape
    assert level_in_dbfs(found[-300:]) == pytest.approx(level_in_dbfs(TONE[-300:]), abs=2.0)


@pytest.mark.parametrize("samples", [1600, 8000])  # shorter than what is wrapped around, and longer
def test_on_a_circle_of_time_a_rolled_sound_becomes_the_rolled_one(samples):
    circular = MelCorrection(SCALE, rounds=2)
    circular.is_circular = True
    sound, mel = (TONE + BUZZ)[:samples], log_mel(TONE)[:, : samples // 160]
    rolled = corrected(np.roll(sound, 480), jnp.roll(mel, 3, axis=1), circular)
    np.testing.assert_allclose(rolled, np.roll(corrected(sound, mel, circular), 480), atol=1e-5)


def test_a_vocoder_corrects_where_its_configuration_says_so():
    plain, correcting = random_model(Vocoder, CONFIG), random_model(Vocoder, CORRECTING)
    mel = jax.random.normal(jax.random.key(0), (2, 20, CONFIG.model_in_dim)) - 6.0
    assert plain.correction is None
    assert correcting.correction is not None
    np.testing.assert_array_equal(plain(mel), plain.uncorrected(mel))
    expected = correcting.correction(correcting.uncorrected(mel), mel)
    np.testing.assert_array_equal(correcting(mel), expected)
    assert level_in_dbfs(np.asarray(expected)) < level_in_dbfs(np.asarray(plain(mel))) - 3.0


def test_on_a_circle_a_vocoder_corrects_on_a_circle():
    circular = on_circle(
        random_model(Vocoder, dataclasses.replace(CORRECTING, upsample_kernel_sizes=(15, 16, 8, 4, 4)))
    )
    mel = jax.random.normal(jax.random.key(0), (1, 40, CONFIG.model_in_dim)) - 6.0
    rolled = circular(jnp.roll(mel, 5, axis=1))
    np.testing.assert_allclose(rolled, jnp.roll(circular(mel), 5 * 160, axis=1), atol=1e-5)


def test_a_correction_has_no_weights():
    assert nnx.state(CORRECTION) == nnx.State({})
    plain, correcting = (nnx.state(random_model(Vocoder, config)) for config in (CONFIG, CORRECTING))
    assert jax.tree.structure(plain) == jax.tree.structure(correcting)


def test_frames_that_hardly_overlap_cannot_be_corrected():
    with pytest.raises(ConfigError, match="mel_corrections = 1 with frames of n_fft = 512 samples, 160 apart"):
        dataclasses.replace(CONFIG, n_fft=512, mel_corrections=1)
