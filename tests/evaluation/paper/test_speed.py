"""How fast the kinds of attention are, timed in turns."""

import json

import pytest

from litefocus_jax.evaluation.paper import speed
from litefocus_jax.evaluation.paper.sounds import Plan
from litefocus_jax.evaluation.paper.speed import ROUNDS, SPEED, seconds_per_sound
from litefocus_jax.evaluation.paper.subjects import Subjects
from litefocus_jax.evaluation.paper.variants import LITEFOCUS, ORIGINAL, SAME_FREQUENCY
from tests.support.models import small_pipeline

SUBJECTS = Subjects(("a", "b"), ("rain", "wind"), {})
PLAN = Plan((1,), 2, 1, 2, {"num_inference_steps": 10})
MACHINE = {"processor": "a slow one", "cores": 2}


@pytest.fixture
def timed(monkeypatch):
    """The kinds of attention that are timed, in their order; each takes as many seconds a step as it has letters."""
    kinds = []

    def steps(pipe, request):
        sets = request.plan.attention.sets
        name = "original" if sets is None else "LiteFocus" if sets.cross_frequency else "same frequency alone"
        kinds.append(name)
        return [float(len(name))] * 2 + [1000.0]

    monkeypatch.setattr(speed, "_steps", steps)
    return kinds


def test_seconds_are_the_median_step_times_the_steps_shared_by_the_batch(tmp_path, timed):
    found = seconds_per_sound(tmp_path, small_pipeline(), PLAN, SUBJECTS, [ORIGINAL, LITEFOCUS], MACHINE)
    assert found == {1: {"original": 8 * 10 / 2, "LiteFocus": 9 * 10 / 2}}
    assert timed == ["original", "LiteFocus"] * ROUNDS


def test_what_is_new_is_timed_beside_what_was_there(tmp_path, timed):
    pipe = small_pipeline()
    seconds_per_sound(tmp_path, pipe, PLAN, SUBJECTS, [ORIGINAL, SAME_FREQUENCY], MACHINE)
    timed.clear()
    seconds_per_sound(tmp_path, pipe, PLAN, SUBJECTS, [ORIGINAL], MACHINE)
    assert timed == []
    seconds_per_sound(tmp_path, pipe, PLAN, SUBJECTS, [ORIGINAL, LITEFOCUS], MACHINE)
    assert timed == ["original", "LiteFocus", "same frequency alone"] * ROUNDS


def test_another_machine_times_all_anew(tmp_path, timed):
    pipe = small_pipeline()
    seconds_per_sound(tmp_path, pipe, PLAN, SUBJECTS, [ORIGINAL], MACHINE)
    other = {**MACHINE, "processor": "a fast one"}
    timed.clear()
    seconds_per_sound(tmp_path, pipe, PLAN, SUBJECTS, [ORIGINAL], other)
    assert timed == ["original"] * ROUNDS
    kept = json.loads((tmp_path / SPEED).read_text(encoding="utf-8"))
    assert kept == {"machine": other, "lengths": {"1x": {"original": 8.0}}}


def test_a_step_of_a_model_is_timed(tmp_path):
    found = seconds_per_sound(tmp_path, small_pipeline(), PLAN, SUBJECTS, [LITEFOCUS], MACHINE)
    assert 0 < found[1]["LiteFocus"] < 60
