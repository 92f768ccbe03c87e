"""Distances of Gaussians, on known cases."""

import numpy as np
import pytest

from litefocus_jax.evaluation import (
    Estimate,
    FewSoundsWarning,
    Gaussian,
    MetricError,
    frechet_distance,
    pooled_frechet_distance,
)


def gaussian(mean: list[float], deviations: list[float]) -> Gaussian:
    return Gaussian(np.array(mean), np.diag(np.square(deviations)))


def test_equal_sets_are_no_distance_apart():
    embeddings = np.random.default_rng(0).standard_normal((50, 6)) @ np.random.default_rng(1).standard_normal((6, 6))
    fitted = Gaussian.of(embeddings)
    assert fitted.distance(fitted) == pytest.approx(0.0, abs=1e-9)


def test_the_distance_of_gaussians_with_common_axes_has_a_closed_form():
    first, second = gaussian([0.0, 1.0], [1.0, 2.0]), gaussian([3.0, 1.0], [2.0, 0.5])
    expected = 3.0**2 + (1.0 - 2.0) ** 2 + (2.0 - 0.5) ** 2
    assert first.distance(second) == pytest.approx(expected)
    assert second.distance(first) == pytest.approx(expected)


def test_the_distance_does_not_depend_on_the_axes():
    first, second = gaussian([0.0, 1.0], [1.0, 2.0]), gaussian([3.0, 1.0], [2.0, 0.5])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = [Gaussian(turn @ one.mean, turn @ one.covariance @ turn.T) for one in (first, second)]
    assert turned[0].distance(turned[1]) == pytest.approx(first.distance(second))


def test_a_set_without_full_rank_has_a_distance():
    flat = Gaussian.of(np.outer([1.0, 2.0, 3.0], [1.0, 1.0]))
    assert flat.distance(gaussian([2.0, 2.0], [0.0, 0.0])) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [(np.zeros((1, 3)), "holds 1 sounds; expected at least 2"), (np.full((2, 3), np.nan), "NaN or infinity")],
)
def test_sets_without_a_covariance_are_an_error(embeddings, message):
    with pytest.raises(ValueError, match=message):
        Gaussian.of(embeddings)


def test_few_sounds_of_many_features_take_the_same_distance_by_a_shorter_way():
    generator = np.random.default_rng(0)
    generated, reference = generator.standard_normal((7, 40)), 1.0 + 2.0 * generator.standard_normal((9, 40))
    with pytest.warns(FewSoundsWarning):
        found = frechet_distance(generated, reference)
    assert found == pytest.approx(Gaussian.of(generated).distance(Gaussian.of(reference)), rel=1e-6)


def test_pieces_of_sounds_are_pooled_and_sounds_are_drawn():
    generator = np.random.default_rng(0)
    generated = [generator.standard_normal((pieces, 2)) for pieces in (3, 1, 2, 4)]
    reference = [generator.standard_normal((2, 2)) for _ in range(5)]
    found = pooled_frechet_distance(generated, reference, bootstrap=50)
    assert found == pytest.approx(frechet_distance(np.concatenate(generated), np.concatenate(reference)))
    assert isinstance(found, Estimate)
    # A single sound is drawn again and again: there is nothing that could move.
    alone = pooled_frechet_distance(generated[:1], [np.concatenate(reference)], bootstrap=50)
    assert isinstance(alone, Estimate)
    assert alone.low == pytest.approx(alone.high)


def test_a_set_without_sounds_has_no_pooled_distance():
    with pytest.raises(MetricError, match="reference holds no sounds"):
        pooled_frechet_distance([np.zeros((2, 3))], [])
