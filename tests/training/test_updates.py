"""The loop that all trainings go through, with an update that only counts."""

import dataclasses
import signal
import threading
import time
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from jax.sharding import SingleDeviceSharding

from litefocus_jax.training.checkpoints import Checkpoints
from litefocus_jax.training.journal import read_journal
from litefocus_jax.training.updates import NamedBatch, NonFiniteFigureError, Observation, TrainingInterrupted, Updates

State = dict[str, jax.Array]


def add(state: State, batch: float, number: int) -> tuple[State, State]:
    return {"total": state["total"] + batch}, {"loss": state["total"] + number}


def counting(folder: Path, **changes: Any) -> Updates[State, float]:
    updates = Updates(
        title="Counting",
        steps=7,
        load=lambda index: NamedBatch(float(index), (f"number {index}",)),
        update=add,
        checkpoints=Checkpoints[State](folder / "checkpoints", config={}, model={}),
        save_every=5,
        log=folder / "log.jsonl",
        progress=False,
    )
    return dataclasses.replace(updates, **changes)


def zero() -> State:
    return {"total": jnp.zeros(())}


def test_every_batch_is_taken_once_in_order_and_loaded_in_another_thread(tmp_path):
    loaded = []

    def load(index: int) -> NamedBatch[float]:
        loaded.append((index, threading.current_thread() is threading.main_thread()))
        return NamedBatch(float(index))

    assert float(counting(tmp_path, load=load).to_the_end(zero(), 0)["total"]) == sum(range(7))
    assert loaded == [(index, False) for index in range(7)]


def test_the_log_has_a_line_every_few_updates_and_for_every_checkpoint(tmp_path):
    counting(tmp_path, log_every=3, log_time="seconds").to_the_end(zero(), 0)
    log = read_journal(tmp_path / "log.jsonl")
    assert [entry["step"] for entry in log] == [3, 5, 6, 7]
    assert [entry["loss"] for entry in log] == [1 + 2, 6 + 4, 10 + 5, 15 + 6]
    assert log[0].keys() == {"step", "loss", "seconds"}


def test_seconds_are_those_of_all_parts_of_a_run(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 5, "loss": 1.0, "seconds": 100.0}\n')
    counting(tmp_path, log_time="seconds").to_the_end(zero(), 5)
    assert read_journal(tmp_path / "log.jsonl")[-1]["seconds"] >= 100.0


def test_an_interruption_in_the_last_update_is_heard_once_that_is_saved(tmp_path):
    def interrupted(state: State, batch: float, number: int) -> tuple[State, State]:
        if number == 6:
            signal.raise_signal(signal.SIGTERM)
        return add(state, batch, number)

    updates = counting(tmp_path, update=interrupted)
    with pytest.raises(TrainingInterrupted, match="after 7 of 7 updates"):
        updates.to_the_end(zero(), 0)
    assert max(updates.checkpoints.steps()) == 7


def test_a_run_goes_on_from_its_newest_checkpoint(tmp_path):
    expected = counting(tmp_path / "whole").to_the_end(zero(), 0)
    with pytest.raises(RuntimeError, match="the device is gone"):
        counting(tmp_path / "run", update=failing_at(6)).to_the_end(zero(), 0)
    run = counting(tmp_path / "run")
    assert run.checkpoints.steps() == [5]
    state = run.checkpoints.restore(zero(), SingleDeviceSharding(jax.devices()[0]))
    assert run.to_the_end(state, 5) == expected


def failing_at(step: int) -> Any:
    def update(state: State, batch: float, number: int) -> tuple[State, State]:
        if number == step:
            raise RuntimeError("the device is gone")
        return add(state, batch, number)

    return update


def test_nothing_is_saved_once_a_figure_is_not_finite(tmp_path):
    run = counting(tmp_path, load=lambda index: NamedBatch(float("nan"), (f"number {index}",)))
    with pytest.raises(NonFiniteFigureError, match=r"Counting: step 2 gave \{'loss': nan\}") as raised:
        run.to_the_end(zero(), 0)
    assert (raised.value.step, raised.value.names) == (2, ("number 1",))
    assert run.checkpoints.steps() == []


def test_compilation_and_observations_are_no_part_of_the_rate(tmp_path):
    def slow_at_first(state: State, batch: float, number: int) -> tuple[State, State]:
        time.sleep(0.02 if number else 0.5)
        return add(state, batch, number)

    def observe(state: State, step: int) -> dict[str, float]:
        time.sleep(0.5)
        return {"seen": float(state["total"]) + step}

    run = counting(tmp_path, update=slow_at_first, observations=[Observation(4, observe)], save_every=100)
    run.to_the_end(zero(), 0)
    log = read_journal(tmp_path / "log.jsonl")
    assert {entry["step"]: entry["seen"] for entry in log if "seen" in entry} == {0: 0.0, 4: 6.0 + 4, 7: 21.0 + 7}
    rates = [entry["steps_per_second"] for entry in log[1:]]
    assert rates[0] is None  # nothing to measure it by yet
    assert min(rate for rate in rates if rate) > 3.0


def test_whoever_wants_every_line_gets_it(tmp_path):
    lines: list[Any] = []
    counting(tmp_path, on_line=lines.append).to_the_end(zero(), 0)
    assert lines == read_journal(tmp_path / "log.jsonl")
