"""One stage of training: an update repeated on batches, kept on disk, and continued where it was interrupted."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
from jax.sharding import SingleDeviceSharding
from jaxtyping import Array, Key

from litefocus_jax.system.same_run import digest
from litefocus_jax.training.checkpoints import Checkpoints
from litefocus_jax.training.journal import read_journal
from litefocus_jax.training.updates import Figures, NamedBatch, Updates

logger = logging.getLogger(__name__)

State = TypeVar("State")
Batch = TypeVar("Batch")

_LOG_EVERY = 20
_SAVE_EVERY = 200


def run_stage(
    folder: Path,
    *,
    name: str,
    initial: Callable[[], State],
    update: Callable[[State, Batch, Key[Array, ""]], tuple[State, Figures]],
    batch: Callable[[int], Batch],
    steps: int,
    seed: int = 0,
    progress: bool = True,
) -> State:
    """Repeat an update, and write what it says to ``folder/name.jsonl``.

    The state is kept in ``folder/checkpoints/name``. A stage that was interrupted goes on from there and ends with the
    state of an uninterrupted one; a finished stage is only read.

    Args:
        folder: of the training run.
        name: of the stage.
        initial: makes the first state, a pytree of arrays (modules are pytrees).
        update: ``(state, batch, key) -> (state, figures)``, compiled here; the figures are scalars, among them
            ``loss``.
        batch: the batch of a step, a pytree of numpy arrays; a function of the step's number alone.
        steps: updates in all.
        seed: of the keys.
        progress: draw a progress bar, where there is a terminal.

    Raises:
        CheckpointError: when what is stored belongs to another configuration, or is damaged.
        NonFiniteFigureError: when a figure is NaN or infinite; the last state on disk is from before.
        SavingError: when the state cannot be written; what was written before is as it was.
        TrainingInterrupted: after Ctrl-C, once the update under way has ended and its state is saved.
    """
    state = initial()
    checkpoints = Checkpoints[State](
        folder / "checkpoints" / name, config={"steps": steps, "seed": seed}, model={name: _shapes_digest(state)}
    )
    saved = checkpoints.steps()
    done = saved[-1] if saved else 0
    if saved:
        state = checkpoints.restore(state, SingleDeviceSharding(jax.devices()[0]))
    if done >= steps:
        return state
    logger.info("%s: from step %d to %d", name, done, steps)
    jitted, key = jax.jit(update, donate_argnums=0), jax.random.key(seed)
    updates = Updates(
        title=f"Training {name}",
        steps=steps,
        load=lambda index: NamedBatch(batch(index)),
        update=lambda state, batch, number: jitted(state, batch, jax.random.fold_in(key, number)),
        checkpoints=checkpoints,
        save_every=_SAVE_EVERY,
        log=_log(folder, name),
        log_every=_LOG_EVERY,
        log_time="seconds",
        progress=progress,
    )
    return updates.to_the_end(state, done)


def training_cost_in_s(folder: Path, name: str) -> float:
    """Seconds that a stage has taken so far, by its log; 0 before it has begun."""
    entries = read_journal(_log(folder, name))
    return entries[-1]["seconds"] if entries else 0.0


def _log(folder: Path, name: str) -> Path:
    return folder / f"{name}.jsonl"


def _shapes_digest(state: Any) -> str:
    """Of the names, shapes and types of all arrays, but not of their values: these are rounded as a computer likes."""
    arrays, _ = jax.tree.flatten_with_path(state)
    return digest(*(f"{jax.tree_util.keystr(path)} {leaf.shape} {leaf.dtype}".encode() for path, leaf in arrays))
