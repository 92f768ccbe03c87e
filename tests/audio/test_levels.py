"""How loud a sound is, and sound that is made loud enough to be heard."""

import numpy as np
import pytest

from litefocus_jax.audio.levels import LeastLevel, loudest_stretch_in_dbfs, made_audible

RATE = 16000
LEAST = LeastLevel(-40.0, RATE)


def sine(level_in_dbfs: float, seconds: float = 2.0) -> np.ndarray:
    amplitude = np.sqrt(2.0) * 10 ** (level_in_dbfs / 20)
    return (amplitude * np.sin(2 * np.pi * 440 * np.arange(round(seconds * RATE)) / RATE)).astype(np.float32)


def audible(*blocks: np.ndarray, least: LeastLevel = LEAST) -> np.ndarray:
    return np.concatenate([*made_audible(blocks, least)])


def test_the_loudest_half_second_is_that_of_its_root_mean_square():
    quiet = np.zeros(2 * RATE)
    quiet[4000:12000] = 0.5
    assert loudest_stretch_in_dbfs(quiet, RATE) == pytest.approx(-6.02, abs=0.01)
    assert loudest_stretch_in_dbfs(np.stack([quiet, 0 * quiet], axis=1), RATE) == pytest.approx(-9.03, abs=0.01)


def test_of_less_than_half_a_second_all_counts():
    assert loudest_stretch_in_dbfs(np.full(100, 0.1), RATE) == pytest.approx(-20.0)
    assert loudest_stretch_in_dbfs(np.zeros(100), RATE) == loudest_stretch_in_dbfs(np.zeros(0), RATE) == -np.inf


@pytest.mark.parametrize("level", [-41.0, -50.0, -79.0])
def test_a_sound_too_soft_to_be_heard_is_made_louder(level):
    assert loudest_stretch_in_dbfs(audible(sine(level)), RATE) == pytest.approx(-40.0, abs=0.01)


def test_both_sides_of_stereo_are_made_louder_alike():
    sides = np.stack([sine(-50.0), sine(-60.0)], axis=1)
    found = audible(sides)
    assert loudest_stretch_in_dbfs(found, RATE) == pytest.approx(-40.0, abs=0.01)
    np.testing.assert_allclose(found[:, 0], found[:, 1] * 10**0.5, atol=1e-6)


@pytest.mark.parametrize("level", [-20.0, -39.9, -81.0, -110.0])
def test_a_sound_that_is_loud_enough_or_none_is_left_alone(level):
    np.testing.assert_array_equal(audible(sine(level)), sine(level))


def test_silence_and_nothing_are_left_alone():
    np.testing.assert_array_equal(audible(np.zeros(RATE, np.float32)), np.zeros(RATE, np.float32))
    assert [*made_audible([], LEAST)] == []


def test_a_sound_in_several_blocks_is_left_alone():
    blocks = [sine(-50.0), sine(-55.0), sine(-50.0)]
    np.testing.assert_array_equal(audible(*blocks), np.concatenate(blocks))


def test_no_more_of_a_loud_sound_is_taken_than_is_asked_for():
    def blocks():
        yield sine(-20.0)
        pytest.fail("a second block is taken")

    next(made_audible(blocks(), LEAST))


def test_a_click_in_silence_does_not_clip():
    click = np.zeros(2 * RATE, np.float32)
    click[100] = 0.5
    found = audible(click, least=LeastLevel(-30.0, RATE))
    assert found.max() == pytest.approx(1.0)
