"""Pictures, and the scale that they are on."""

import numpy as np
import pytest
from matplotlib.image import imread

from litefocus_jax import audio
from litefocus_jax.audio.picture import QUIETEST_IN_DBFS, band_levels

RATE = 16000
SOUND = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)


@pytest.mark.parametrize("title", [None, "rain on a roof", "costs $5 and $6_a " * 30, "雨の音"])
def test_picture_is_drawn_whatever_the_title(tmp_path, title):
    audio.spectrogram_picture(tmp_path / "rain.png", SOUND, RATE, title=title)
    assert (tmp_path / "rain.png").read_bytes().startswith(b"\x89PNG")
    assert len(list(tmp_path.iterdir())) == 1


def test_picture_is_drawn_of_silence_and_of_a_single_sample(tmp_path):
    audio.spectrogram_picture(tmp_path / "silence.png", np.zeros(RATE), RATE)
    audio.spectrogram_picture(tmp_path / "sample.png", np.ones(1), RATE)


def test_picture_of_another_suffix_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"suffix '.jpg'; expected .png for a picture"):
        audio.check_picture_writable(tmp_path / "rain.jpg")


@pytest.mark.parametrize("hertz", [100, 440, 3000, 7000])
def test_a_sine_at_full_scale_has_0_dbfs_and_a_tenth_of_it_20_less(hertz):
    sine = np.sin(2 * np.pi * hertz * np.arange(RATE) / RATE).astype(np.float32)
    loud, quiet = (band_levels(scale * sine, RATE)[4:-4].max(axis=1) for scale in (1.0, 0.1))
    assert np.all((loud > -3.0) & (loud < 0.1))  # shared out between two bands at worst
    np.testing.assert_allclose(quiet, loud - 20.0, atol=0.01)


def test_bands_share_out_the_power_of_a_sine():
    powers = 10.0 ** (band_levels(SOUND, RATE)[4:-4] / 10.0)
    np.testing.assert_allclose(10.0 * np.log10(powers.sum(axis=1)), 20.0 * np.log10(0.5), atol=0.1)


def test_silence_is_at_the_bottom_of_the_scale():
    assert np.all(band_levels(np.zeros(RATE), RATE) == QUIETEST_IN_DBFS)


def test_a_quiet_sound_looks_darker_than_a_loud_one(tmp_path):
    noise, means = np.random.default_rng(0).standard_normal(RATE).astype(np.float32), []
    for scale in (0.1, 1e-3, 0.0):
        audio.spectrogram_picture(tmp_path / "rain.png", scale * noise, RATE)
        means.append(imread(tmp_path / "rain.png")[100:500, 200:1500].mean())
    assert means[0] > means[1] > means[2]
