"""Metrics on arrays: equal to the tools of the field on the same features, with intervals, and refusing nonsense."""

import pickle

import numpy as np
import pytest
import scipy.stats

from litefocus_jax.evaluation import (
    Estimate,
    FewSoundsWarning,
    MetricError,
    clap_score,
    frechet_distance,
    frechet_distance_at_infinity,
    inception_score,
    kernel_distance,
    kernel_distance_difference,
    kl_divergence,
)

METRICS = (frechet_distance, frechet_distance_at_infinity, kernel_distance, kl_divergence, clap_score)


def draws(sounds: int = 40, others: int = 50, features: int = 6) -> tuple[np.ndarray, np.ndarray]:
    generator = np.random.default_rng(0)
    first = generator.standard_normal((sounds, features)).astype(np.float32)
    return first, (0.5 + 1.5 * generator.standard_normal((others, features))).astype(np.float32)


def test_figures_are_those_of_the_tools_of_the_field():
    """Printed by these versions for `draws`: calculate_fid, calculate_kl and calculate_isc of audioldm_eval 0.0.3,
    FrechetAudioDistance.calculate_frechet_distance of frechet_audio_distance 0.3.4, calc_kernel_audio_distance of
    kadtk 1.1.0 (in double precision)."""
    sounds, recordings = draws()
    assert frechet_distance(sounds, recordings) == pytest.approx(3.92861695, abs=1e-6)
    assert kernel_distance(sounds, recordings) == pytest.approx(5.14627924, abs=1e-6)
    assert kl_divergence(sounds, recordings[:40]) == pytest.approx(0.89768791, abs=1e-6)
    assert kl_divergence(sounds, recordings[:40], activation="sigmoid") == pytest.approx(1.34564185, abs=1e-6)
    assert inception_score(sounds) == pytest.approx(1.24561497, abs=1e-6)


def test_a_shifted_gaussian_is_as_far_as_its_shift():
    sounds = np.random.default_rng(1).standard_normal((4000, 3))
    assert frechet_distance(sounds, sounds + np.array([3.0, 0.0, 4.0])) == pytest.approx(25.0)
    assert frechet_distance(sounds, sounds) == pytest.approx(0.0, abs=1e-9)


def test_at_infinity_two_sets_of_one_world_are_nearer_than_they_seem():
    generator = np.random.default_rng(2)
    sounds, recordings = generator.standard_normal((300, 16)), generator.standard_normal((2000, 16))
    seeming = frechet_distance(sounds, recordings)
    assert abs(frechet_distance_at_infinity(sounds, recordings)) < 0.5 * seeming


def test_the_kernel_distance_of_pairs_of_one_world_is_about_nothing_only_where_they_are_kept_apart():
    generator = np.random.default_rng(0)
    found = {True: [], False: []}
    for _ in range(200):
        recordings = generator.standard_normal((12, 16))
        sounds = 0.8 * recordings + 0.6 * generator.standard_normal((12, 16))  # of the same spread
        for paired, distances in found.items():
            distances.append(kernel_distance(sounds, recordings, paired=paired))
    means, errors = ({paired: of(each) for paired, each in found.items()} for of in (np.mean, scipy.stats.sem))
    assert abs(means[True]) < 2 * errors[True]
    assert means[False] < -10 * errors[False]
    interval = kernel_distance(sounds, recordings, paired=True, bootstrap=200)
    assert isinstance(interval, Estimate)
    assert interval.low < interval < interval.high
    with pytest.raises(MetricError):
        kernel_distance(sounds, recordings[:-1], paired=True)


def test_what_two_sets_are_apart_is_surer_than_either_distance():
    generator = np.random.default_rng(4)
    recordings = generator.standard_normal((60, 16))
    baseline = recordings + 0.5 * generator.standard_normal((60, 16))
    sounds = baseline + 0.06  # a little farther, all of them in the same way
    difference = kernel_distance_difference(sounds, baseline, recordings, bootstrap=200)
    ours, theirs = (kernel_distance(each, recordings, paired=True, bootstrap=200) for each in (sounds, baseline))
    assert difference == pytest.approx(ours - theirs)
    assert isinstance(difference, Estimate)
    assert isinstance(ours, Estimate)
    assert isinstance(theirs, Estimate)
    assert 0.0 < difference.low < difference < difference.high
    assert ours.low < theirs.high
    assert difference.high - difference.low < 0.6 * (ours.high - ours.low)
    assert kernel_distance_difference(baseline, sounds, recordings) == pytest.approx(-difference)
    with pytest.raises(MetricError, match="baseline"):
        kernel_distance_difference(sounds, baseline[:-1], recordings)


def test_the_kernel_distance_of_small_sets_of_one_world_is_about_nothing():
    generator = np.random.default_rng(3)
    found = [kernel_distance(*generator.standard_normal((2, 20, 64))) for _ in range(100)]
    assert abs(np.mean(found)) < 3.0 * np.std(found) / 10.0
    assert min(found) < 0.0 < max(found)


def test_cosines_do_not_hang_on_lengths():
    sounds = np.array([[2.0, 0.0], [0.0, 0.5]])
    assert clap_score(sounds, np.array([[1.0, 0.0], [3.0, 0.0]])) == pytest.approx(0.5)


def test_scores_of_sure_and_different_sounds_reach_the_number_of_classes():
    assert inception_score(50.0 * np.eye(4), splits=1) == pytest.approx(4.0)
    assert inception_score(np.zeros((4, 4)), splits=2) == pytest.approx(1.0)


@pytest.mark.parametrize("metric", METRICS)
def test_an_interval_comes_when_it_is_asked_for_and_again_the_same(metric):
    sounds, recordings = draws(40, 40)
    plain = metric(sounds, recordings)
    found, again = (metric(sounds, recordings, bootstrap=100) for _ in range(2))
    assert type(plain) is float
    assert isinstance(found, Estimate)
    assert float(found) == plain
    assert found.low < found.high
    assert found.interval == again.interval
    assert pickle.loads(pickle.dumps(found)).interval == found.interval


def test_more_sounds_make_an_interval_narrower():
    widths = []
    for count in (50, 500):
        found = clap_score(*draws(count, count), bootstrap=200)
        assert isinstance(found, Estimate)
        widths.append(found.high - found.low)
    assert widths[1] < 0.6 * widths[0]


def test_intervals_hold_the_truth_about_as_often_as_they_say():
    generator, held = np.random.default_rng(4), 0
    for seed in range(200):
        found = kl_divergence(np.zeros((30, 2)), generator.standard_normal((30, 2)), bootstrap=200, seed=seed)
        assert isinstance(found, Estimate)
        held += found.low < 0.1537 < found.high  # the mean over two million pairs
    assert 0.85 < held / 200 < 0.99


@pytest.mark.parametrize("metric", [frechet_distance, frechet_distance_at_infinity])
def test_fewer_sounds_than_features_are_told_of(metric):
    with pytest.warns(FewSoundsWarning, match=r"reference holds 6 sounds of 6 features: their covariance is singular"):
        metric(*draws(40, 6))


@pytest.mark.parametrize("metric", METRICS)
@pytest.mark.parametrize(
    ("sounds", "recordings", "message"),
    [
        (np.zeros(5), np.zeros((5, 2)), r"has the shape \[5\]; expected \[sounds, features\]"),
        (np.zeros((0, 2)), np.zeros((5, 2)), "holds 0 sounds; expected at least"),
        ([[0.0, np.nan]] * 5, np.zeros((5, 2)), r"NaN or infinity, first in sound 0 \(of 5\)"),
        ("rain", np.zeros((5, 2)), "holds no array of numbers"),
        (np.ones((5, 3)), np.ones((5, 2)), "has 3 features and .* 2; expected the same, from the same judge"),
    ],
)
def test_arrays_without_meaning_are_refused(metric, sounds, recordings, message):
    with pytest.raises(MetricError, match=message):
        metric(sounds, recordings)


@pytest.mark.parametrize("metric", [kl_divergence, clap_score])
def test_what_belongs_together_must_be_as_many(metric):
    with pytest.raises(MetricError, match=r"holds 40 sounds and .* 50; expected pairs"):
        metric(*draws())


@pytest.mark.parametrize(
    ("metric", "options", "message"),
    [
        (frechet_distance, {"bootstrap": -1}, "bootstrap = -1; expected a number of sets"),
        (frechet_distance_at_infinity, {"smallest": 40}, "smallest = 40 of 40 sounds"),
        (frechet_distance_at_infinity, {"steps": 2}, "steps = 2; expected at least 3"),
        (kernel_distance, {"bandwidth": 0.0}, "bandwidth = 0.0; expected a positive number"),
        (kl_divergence, {"activation": "relu"}, "activation = 'relu'; expected 'softmax' or 'sigmoid'"),
    ],
)
def test_options_without_meaning_are_refused(metric, options, message):
    with pytest.raises(MetricError, match=message):
        metric(*draws(40, 40), **options)


def test_more_parts_than_sounds_and_captions_without_direction_are_refused():
    with pytest.raises(MetricError, match="splits = 10 for 5 sounds"):
        inception_score(np.zeros((5, 2)))
    with pytest.raises(MetricError, match="captions holds an embedding of zeros, number 1"):
        clap_score(np.ones((2, 2)), np.array([[1.0, 0.0], [0.0, 0.0]]))
