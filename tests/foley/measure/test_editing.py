"""The script that measures what becomes of sounds that are given."""

import numpy as np
import pytest

from examples.foley.measure.editing import border_places, given_sounds, likeness, sides_of, table
from examples.foley.world.corpus import KIND_NAMES


def test_sounds_are_given_of_all_kinds_in_turn() -> None:
    sounds = given_sounds(3, seed=0)
    assert [KIND_NAMES[sound.kind] for sound in sounds] == list(KIND_NAMES[:3])
    assert all(len(sound.waveform) == 40960 for sound in sounds)


def test_a_border_that_clicks_is_rougher_than_the_sound_and_one_that_is_not_there_is_not() -> None:
    noise = np.random.default_rng(0).standard_normal(40960).astype(np.float32) * 0.1
    broken = noise.copy()
    broken[12480:28480] *= 1e-3
    assert border_places(noise, broken) == [1.0, 1.0]
    assert max(border_places(noise, noise)) < 1.0


def test_the_table_has_a_line_for_every_row() -> None:
    row = {
        "made": "strength 0.5",
        "recognised": 0.75,
        "recognised by the second alone": 0.5,
        "distance in dB": 3.21,
    }
    sides = {"made of both sides": "filled", "correlation": 0.5, "right in dB": -6.04}
    lines = table([row, sides]).splitlines()
    assert lines[2] == "| strength 0.5 | 75.0% | 50.0% | 3.2 dB |"
    assert lines[-1] == "| filled | 0.50 | -6.0 dB |"


def test_sides_are_measured_as_far_apart_as_they_were_put() -> None:
    sound = np.random.default_rng(0).standard_normal(40960).astype(np.float32)
    assert likeness(*sides_of(sound)) == pytest.approx((1.0, -6.0), abs=0.02)
