"""What is measured of sets of sounds and of single ones, on known cases."""

import numpy as np
import pytest

from examples.foley.measure import measures
from examples.foley.measure.measures import Spread
from examples.foley.world.captions import contrasting_scenes
from examples.foley.world.sounds import render

RATE = 16000


def test_a_sound_is_right_when_all_its_kinds_come_first():
    logits = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [0.0, 5.0, 4.0], [0.0, 5.0, 4.0]])
    kinds = [(0,), (1,), (2, 1), (0, 1)]
    np.testing.assert_array_equal(measures.all_named(logits, kinds), [True, False, True, False])
    assert measures.share_named(logits, kinds) == pytest.approx(4 / 6)


def test_kinds_for_other_sounds_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="2 lists of kinds for 1 sounds; expected one for each"):
        measures.all_named(np.zeros((1, 3)), [(0,), (1,)])


@pytest.mark.parametrize(
    ("parameter", "measure"), [("pitch", measures.spectral_centroid), ("speed", measures.onset_rate)]
)
def test_measures_follow_the_words_in_synthesised_sound(parameter, measure):
    generator, right = np.random.default_rng(0), []
    for _ in range(30):
        values = [
            measure(render(scene, generator, duration_in_s=2.56), RATE)
            for scene in contrasting_scenes(generator, parameter)
        ]
        right.append(values[1] > values[0])
    assert np.mean(right) >= 0.9


def test_the_centroid_of_a_tone_is_its_frequency():
    tone = np.sin(2.0 * np.pi * 500.0 * np.arange(RATE) / RATE)
    assert measures.spectral_centroid(tone, RATE) == pytest.approx(500.0, abs=1.0)


def test_clicks_are_counted():
    clicks = np.zeros(2 * RATE, np.float32)
    clicks[4000::4000] = 0.5
    assert measures.onset_rate(clicks, RATE) == pytest.approx(3.5)


def test_silence_has_neither_pitch_nor_onsets():
    assert measures.spectral_centroid(np.zeros(RATE), RATE) == 0.0
    assert measures.onset_rate(np.zeros(RATE), RATE) == 0.0


def test_the_deviation_of_one_seed_is_not_known():
    assert Spread.of([0.5]).text(".0%") == "50%"
    assert Spread.of([1.0, 3.0]).text(".2f") == "2.00 ± 1.41"
