"""A stage of training: it goes on where it was interrupted, and refuses what is not its own."""

import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples.foley.parts.stage import run_stage, training_cost_in_s
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.training.journal import read_journal
from litefocus_jax.training.updates import NonFiniteFigureError, TrainingInterrupted


def count(state: dict[str, jax.Array], batch: np.ndarray, key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
    total = state["total"] + batch + jax.random.normal(key)
    return {"total": total}, {"loss": total}


def counting_stage(folder: Path, *, steps: int = 50, **changes: Any) -> dict[str, jax.Array]:
    arguments = {
        "name": "counting",
        "initial": lambda: {"total": jnp.zeros(())},
        "update": count,
        "batch": np.float32,
    }
    return run_stage(folder, steps=steps, progress=False, **(arguments | changes))


def interrupting_at(step: int) -> Callable[[int], np.float32]:
    """Batches; Ctrl-C is pressed when one of them is loaded."""

    def batch(index: int) -> np.float32:
        if index == step:
            signal.raise_signal(signal.SIGINT)
        return np.float32(index)

    return batch


def test_keys_follow_from_the_seed_and_the_number_of_the_update(tmp_path: Path) -> None:
    draws = [jax.random.normal(jax.random.fold_in(jax.random.key(3), step)) for step in range(2)]
    assert counting_stage(tmp_path, steps=2, seed=3)["total"] == draws[0] + 1.0 + draws[1]


def test_a_stage_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    expected = counting_stage(tmp_path / "whole")
    with pytest.raises(TrainingInterrupted, match=r"interrupted after \d+ of 50 updates"):
        counting_stage(tmp_path / "halves", batch=interrupting_at(30))
    spent = training_cost_in_s(tmp_path / "halves", "counting")
    assert counting_stage(tmp_path / "halves") == expected
    assert training_cost_in_s(tmp_path / "halves", "counting") >= spent
    whole, halves = (read_journal(tmp_path / name / "counting.jsonl") for name in ("whole", "halves"))
    assert [entry["step"] for entry in whole] == [20, 40, 50]
    assert whole[0].keys() == {"step", "loss", "seconds"}
    assert len(halves) == 4  # and where the first half ended
    assert {entry["step"]: entry["loss"] for entry in whole}.items() <= {
        entry["step"]: entry["loss"] for entry in halves
    }.items()


def test_a_stage_that_has_not_begun_has_cost_nothing(tmp_path: Path) -> None:
    assert training_cost_in_s(tmp_path, "counting") == 0.0


def test_a_finished_stage_is_only_read(tmp_path: Path) -> None:
    expected = counting_stage(tmp_path)
    assert counting_stage(tmp_path, batch=lambda index: pytest.fail("trained again")) == expected


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"initial": lambda: {"total": jnp.zeros(3)}}, "belongs to another model: counting differ"),
        ({"seed": 1}, "written under another configuration: seed was 0 and is 1"),
        ({"steps": 60}, "written under another configuration: steps was 50 and is 60"),
    ],
)
def test_a_stage_of_another_configuration_is_refused(changes: dict[str, Any], message: str, tmp_path: Path) -> None:
    counting_stage(tmp_path)
    with pytest.raises(CheckpointError, match=message):
        counting_stage(tmp_path, **changes)


def test_a_stage_stops_at_a_figure_that_is_not_finite(tmp_path: Path) -> None:
    with pytest.raises(TrainingInterrupted):
        counting_stage(tmp_path, batch=interrupting_at(25))
    with pytest.raises(NonFiniteFigureError, match="counting: step 40 gave"):
        counting_stage(tmp_path, batch=lambda index: np.float32("nan"))
    assert len(counting_stage(tmp_path)) == 1  # what was there before is still there, and goes on
