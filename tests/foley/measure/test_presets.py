"""The script that measures how few steps are enough."""

import numpy as np

from examples.foley.measure.presets import PROMPTS, REFERENCE, Row, log_mel_distance, table
from examples.foley.world.corpus import KIND_NAMES
from litefocus_jax.models.generation_defaults import Sampling


def test_a_distance_is_in_decibels_and_silence_is_no_difference() -> None:
    reference = np.full((4, 8), -2.0)
    assert np.isclose(log_mel_distance(reference + np.log(10.0), reference), 20.0)
    assert log_mel_distance(np.array([[0.0, -30.0]]), np.array([[0.0, -20.0]])) == 0.0


def test_the_kinds_that_should_be_heard_exist() -> None:
    assert {name for names in PROMPTS.values() for name in names} <= set(KIND_NAMES)


def test_the_table_has_a_line_for_every_way_to_sample() -> None:
    rows = [Row(REFERENCE, 0.0, 0.0, 1.0), Row(Sampling("dpm++", 12, "trailing"), 0.5, 1.25, 0.5)]
    assert table(rows).splitlines()[-1] == "| dpm++ | 12 | trailing | 0.50 dB | 1.2 dB | 50% |"
