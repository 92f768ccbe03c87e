"""What is measured of sets of sounds and of single ones, on known cases."""

import numpy as np
import pytest

from examples.foley.measure import measures
from examples.foley.measure.measures import Gaussian, Spread
from examples.foley.world.captions import contrasting_scenes
from examples.foley.world.sounds import render

RATE = 16000


def gaussian(mean: list[float], deviations: list[float]) -> Gaussian:
    return Gaussian(np.array(mean), np.diag(np.square(deviations)))


def test_equal_sets_are_no_distance_apart():
    embeddings = np.random.default_rng(0).standard_normal((50, 6)) @ np.random.default_rng(1).standard_normal((6, 6))
    fitted = Gaussian.of(embeddings)
    assert measures.frechet_distance(fitted, fitted) == pytest.approx(0.0, abs=1e-9)


def test_the_distance_of_gaussians_with_common_axes_has_a_closed_form():
    first, second = gaussian([0.0, 1.0], [1.0, 2.0]), gaussian([3.0, 1.0], [2.0, 0.5])
    expected = 3.0**2 + (1.0 - 2.0) ** 2 + (2.0 - 0.5) ** 2
    assert measures.frechet_distance(first, second) == pytest.approx(expected)
    assert measures.frechet_distance(second, first) == pytest.approx(expected)


def test_the_distance_does_not_depend_on_the_axes():
    first, second = gaussian([0.0, 1.0], [1.0, 2.0]), gaussian([3.0, 1.0], [2.0, 0.5])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = [Gaussian(turn @ one.mean, turn @ one.covariance @ turn.T) for one in (first, second)]
    assert measures.frechet_distance(*turned) == pytest.approx(measures.frechet_distance(first, second))


def test_a_set_without_full_rank_has_a_distance():
    flat = Gaussian.of(np.outer([1.0, 2.0, 3.0], [1.0, 1.0]))
    assert measures.frechet_distance(flat, gaussian([2.0, 2.0], [0.0, 0.0])) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [(np.zeros((1, 3)), "1 embeddings; expected at least 2"), (np.full((2, 3), np.nan), "NaN or infinity")],
)
def test_sets_without_a_covariance_are_an_error(embeddings, message):
    with pytest.raises(ValueError, match=message):
        Gaussian.of(embeddings)


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
