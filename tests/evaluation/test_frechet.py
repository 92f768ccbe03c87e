"""Distances of Gaussians, on known cases."""

import numpy as np
import pytest

from litefocus_jax.evaluation import Gaussian


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
