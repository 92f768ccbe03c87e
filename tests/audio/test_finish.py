"""What is done to a sound before it becomes a file."""

import logging

import numpy as np
import pyloudnorm
import pytest
import soundfile

from litefocus_jax import audio
from litefocus_jax.audio import Finish, FinishError
from litefocus_jax.audio.finish import finished
from litefocus_jax.audio.levels import LevelMeter
from litefocus_jax.audio.loudness import measure_loudness

RATE = 16000
SOUND = 0.5 * np.sin(2 * np.pi * 440 * np.arange(RATE) / RATE).astype(np.float32)
NOISE = np.random.default_rng(0).standard_normal(5 * RATE).astype(np.float32)


def finish(waveform, pieces=7, rate=RATE, **settings):
    blocks, rate = finished(np.array_split(waveform, pieces), rate, Finish(**settings))
    return np.concatenate(list(blocks)), rate


def test_without_a_wish_the_sound_is_left_alone():
    made, rate = finish(SOUND)
    assert rate == RATE
    np.testing.assert_array_equal(made, SOUND)


@pytest.mark.parametrize(("rate", "seconds"), [(16000, 5.0), (16000, 0.43), (22050, 3.21), (44100, 1.0), (11025, 2.0)])
@pytest.mark.parametrize("pieces", [1, 13])
def test_loudness_is_that_of_pyloudnorm_however_the_sound_is_cut(rate, seconds, pieces):
    sound = NOISE[: int(seconds * rate)] * np.linspace(0.001, 0.2, int(seconds * rate), dtype=np.float32)[: len(NOISE)]
    expected = pyloudnorm.Meter(rate).integrated_loudness(sound.astype(np.float64))
    measured = measure_loudness(np.array_split(sound, pieces), rate)
    assert measured.integrated_in_lufs == pytest.approx(expected, abs=0.02)


SIDES = np.stack([0.1 * NOISE, 0.03 * NOISE[::-1]], axis=1)


@pytest.mark.parametrize("settings", [
    {"sample_rate": 22050},
    {"start_fade_in_s": 0.3, "end_fade_in_s": 1.1},
    {},
])  # fmt: skip
def test_each_side_is_finished_as_one_channel_would_be(settings):
    made, _ = finish(SIDES, **settings)
    alone = [finish(side, **settings)[0] for side in SIDES.T]
    np.testing.assert_allclose(made, np.stack(alone, axis=1), atol=1e-6)


def test_both_sides_get_one_gain_and_are_trimmed_together():
    silence = np.zeros((1000, 2), np.float32)
    beginning = np.stack([np.zeros(500), np.full(500, 0.1)], axis=1).astype(np.float32)  # right alone
    made, _ = finish(np.concatenate([silence, beginning, SIDES, silence]), trim=True, peak_in_dbfs=-6.0)
    gain = 10 ** (-6 / 20) / np.abs(SIDES).max()
    np.testing.assert_allclose(made, gain * np.concatenate([beginning, SIDES]), rtol=1e-4)


@pytest.mark.parametrize("pieces", [1, 9])
def test_loudness_of_both_sides_is_that_of_pyloudnorm(pieces):
    expected = pyloudnorm.Meter(RATE).integrated_loudness(SIDES.astype(np.float64))
    assert measure_loudness(np.array_split(SIDES, pieces), RATE).integrated_in_lufs == pytest.approx(expected, abs=0.02)
    made, _ = finish(SIDES, pieces, loudness_in_lufs=-23.0)
    assert pyloudnorm.Meter(RATE).integrated_loudness(made.astype(np.float64)) == pytest.approx(-23.0, abs=0.05)


def test_a_true_peak_lies_between_the_samples():
    quarter = np.sin(2 * np.pi * 0.25 * np.arange(RATE) + np.pi / 4).astype(np.float32)  # never sampled at its peak
    assert np.abs(quarter).max() < 0.71
    assert measure_loudness([quarter], RATE).true_peak_in_dbtp == pytest.approx(0.0, abs=0.6)


@pytest.mark.parametrize("pieces", [1, 9])
def test_a_sound_is_brought_to_a_loudness(pieces):
    made, _ = finish(0.01 * NOISE, pieces, loudness_in_lufs=-23.0)
    assert pyloudnorm.Meter(RATE).integrated_loudness(made.astype(np.float64)) == pytest.approx(-23.0, abs=0.05)


def test_loudness_stops_where_the_peak_would_pass_its_limit_and_says_so(caplog):
    clicks = np.zeros(RATE, np.float32)
    clicks[::4000] = 0.1
    with caplog.at_level(logging.WARNING):
        made, _ = finish(clicks, loudness_in_lufs=-10.0, peak_in_dbfs=-3.0)
    assert np.abs(made).max() <= 10 ** (-3 / 20) + 1e-6
    assert "LUFS rather than -10: louder, its peak would pass -3 dBTP" in caplog.text


def test_a_sound_is_brought_to_a_peak():
    made, _ = finish(0.01 * NOISE, peak_in_dbfs=-6.0)
    assert np.abs(made).max() == pytest.approx(10 ** (-6 / 20), rel=1e-5)


def test_silence_is_trimmed_from_both_ends_alone():
    padded = np.concatenate([np.zeros(1000), SOUND[100:4000], np.zeros(3000), SOUND[100:4000], np.full(500, 5e-4)])
    made, _ = finish(padded, trim=True)
    np.testing.assert_array_equal(made, padded[1000:-500].astype(np.float32))


def test_fades_rise_from_nothing_and_fall_to_nothing():
    made, _ = finish(np.ones(RATE), start_fade_in_s=0.25, end_fade_in_s=0.5)
    assert made.shape == (RATE,)
    assert np.all(np.diff(made[: RATE // 4]) >= 0)
    assert made[0] < 1e-3
    np.testing.assert_array_equal(made[RATE // 4 : RATE // 2], 1.0)
    assert np.all(np.diff(made[RATE // 2 :]) <= 0)
    assert made[-1] < 1e-3


@pytest.mark.parametrize("to_rate", [8000, 44100, 48000])
def test_another_rate_holds_the_same_tone_for_as_long(to_rate):
    made, rate = finish(SOUND, sample_rate=to_rate)
    assert (rate, len(made)) == (to_rate, to_rate)
    expected = 0.5 * np.sin(2 * np.pi * 440 * np.arange(to_rate) / to_rate)
    np.testing.assert_allclose(made[200:-200], expected[200:-200], atol=1e-3)


@pytest.mark.parametrize(("waveform", "settings", "message"), [
    (np.zeros(RATE), {"loudness_in_lufs": -16.0}, r"-16 LUFS cannot be had: the sound is silent"),
    (1e-5 * SOUND, {"loudness_in_lufs": -16.0}, r"the sound is silent, nowhere above -70 LUFS \(-10. dBFS"),
    (SOUND[:6000], {"loudness_in_lufs": -16.0}, "the sound has 0.375 s, and loudness is measured in blocks of 0.4 s"),
    (np.zeros(RATE), {"peak_in_dbfs": -1.0}, "the sound is silent, with a peak of -inf dBFS"),
    (1e-4 * SOUND, {"trim": True}, "trimming would leave nothing: no sample reaches -60 dBFS"),
    (SOUND[:100], {"end_fade_in_s": 1.0}, r"the sound has 100 samples; expected at least the 0 \+ 16000 of its fades"),
])  # fmt: skip
def test_a_sound_that_cannot_be_finished_is_one_clear_error_and_no_file(tmp_path, waveform, settings, message):
    with pytest.raises(FinishError, match=message):
        audio.save_audio(tmp_path / "rain.wav", waveform, RATE, finish=Finish(**settings))
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("settings", "error", "message"), [
    ({"loudness_in_lufs": 1.0}, ValueError, "loudness_in_lufs = 1; expected -70 to 0"),
    ({"peak_in_dbfs": float("nan")}, ValueError, "peak_in_dbfs = nan; expected -60 to 0"),
    ({"end_fade_in_s": -1.0}, ValueError, "end_fade_in_s = -1; expected zero or more, and finite"),
    ({"sample_rate": 10}, ValueError, "sample_rate = 10; expected 1000 to 768000"),
    ({"sample_rate": 16000.0}, TypeError, "sample_rate = 16000.0; expected a whole number"),
    ({"trim": 1}, TypeError, "trim = 1; expected True or False"),
    ({"peak_in_dbfs": "loud"}, TypeError, "peak_in_dbfs = 'loud'; expected a number"),
])  # fmt: skip
def test_a_finish_without_meaning_is_refused(settings, error, message):
    with pytest.raises(error, match=message):
        Finish(**settings)


def test_all_of_it_together_makes_a_file(tmp_path):
    wish = Finish(
        trim=True, sample_rate=48000, start_fade_in_s=0.01, end_fade_in_s=0.1, loudness_in_lufs=-20.0, peak_in_dbfs=-2.0
    )
    audio.save_audio(tmp_path / "rain.flac", np.concatenate([np.zeros(RATE), SOUND]), RATE, finish=wish)
    read, rate = soundfile.read(tmp_path / "rain.flac")
    assert rate == 48000
    assert len(read) == pytest.approx(48000, abs=10)
    assert pyloudnorm.Meter(rate).integrated_loudness(read) == pytest.approx(-20.0, abs=0.1)


def test_levels_are_root_mean_squares_of_the_whole():
    meter = LevelMeter()
    assert [len(block) for block in meter.passing(np.array_split(SOUND, 3))] == [5334, 5333, 5333]
    assert meter.level_in_dbfs == pytest.approx(20 * np.log10(0.5 / np.sqrt(2)), abs=0.01)
    assert audio.level_in_dbfs(np.zeros(3)) == -np.inf
    assert not meter.is_silent
