"""One stage of training: an update repeated on batches, kept on disk, and continued where it was interrupted."""

import concurrent.futures
import json
import logging
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np

from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.system.files import write_text, written_beside
from litefocus_jax.system.progress import progress_bar
from litefocus_jax.training.journal import read_journal

logger = logging.getLogger(__name__)

State = TypeVar("State")
Batch = Any
Figures = dict[str, jax.Array]

_STEP = "step"
_LOG_EVERY = 20


def run_stage(
    folder: Path,
    *,
    name: str,
    initial: Callable[[], State],
    update: Callable[[State, Batch, jax.Array], tuple[State, Figures]],
    batch: Callable[[int], Batch],
    steps: int,
    seed: int = 0,
    save_every_s: float = 60.0,
    progress: bool = True,
) -> State:
    """Repeat an update, and write what it says to ``folder/name.jsonl``.

    The state is kept in ``folder/name.safetensors``. A stage that was interrupted goes on from there and ends with the
    state of an uninterrupted one; a finished stage is only read.

    Args:
        folder: of the training run.
        name: of the stage.
        initial: makes the first state, a pytree of arrays (modules are pytrees).
        update: ``(state, batch, key) -> (state, figures)``, compiled here; the figures are scalars.
        batch: the batch of a step, a pytree of numpy arrays; a function of the step's number alone.
        steps: updates in all.
        seed: of the keys.
        save_every_s: seconds between two savings.
        progress: draw a progress bar, where there is a terminal.

    Raises:
        ValueError: when what is stored has other shapes than the first state: it belongs to another configuration.
        FloatingPointError: when a figure is NaN or infinite; the last state on disk is from before.
    """
    state = initial()
    stored, log = folder / f"{name}.safetensors", folder / f"{name}.jsonl"
    step, state = _restore(stored, state)
    entries, elapsed = _earlier_entries(log, step)
    if step >= steps:
        return state
    logger.info("%s: from step %d to %d", name, step, steps)
    jitted = jax.jit(update, donate_argnums=0)
    key = jax.random.key(seed)
    started = last_saved = time.monotonic()
    with (
        concurrent.futures.ThreadPoolExecutor(1) as ahead,
        progress_bar(f"Training {name}", steps, enabled=progress) as on_progress,
    ):
        coming = ahead.submit(batch, step)
        while step < steps:
            current = coming.result()
            if step + 1 < steps:
                coming = ahead.submit(batch, step + 1)
            state, figures = jitted(state, current, jax.random.fold_in(key, step))
            step += 1
            on_progress(step)
            is_last = step == steps
            if step % _LOG_EVERY == 0 or is_last:
                numbers = {figure: float(value) for figure, value in figures.items()}
                if not all(np.isfinite(value) for value in numbers.values()):
                    raise FloatingPointError(f"{name}: step {step} gave {numbers}; expected finite numbers")
                seconds = elapsed + time.monotonic() - started
                entries.append({"step": step, "seconds": round(seconds, 1), **numbers})
                if is_last or time.monotonic() - last_saved > save_every_s:
                    _save(stored, log, step, state, entries)
                    last_saved = time.monotonic()
    return state


def training_cost_s(folder: Path, name: str) -> float:
    """Seconds that a stage has taken so far, by its log; 0 before it has begun."""
    entries = read_journal(folder / f"{name}.jsonl")
    return entries[-1]["seconds"] if entries else 0.0


def _save(stored: Path, log: Path, step: int, state: Any, entries: list[dict[str, float]]) -> None:
    arrays = {str(number): np.asarray(leaf) for number, leaf in enumerate(jax.tree.leaves(state))}
    write_text(log, "".join(json.dumps(entry) + "\n" for entry in entries))
    with written_beside(stored) as partial:
        safetensors_files.write_file(partial, arrays | {_STEP: np.asarray(step)})


def _restore(stored: Path, state: State) -> tuple[int, State]:
    if not stored.exists():
        return 0, state
    tensors = safetensors_files.read_file(stored)
    leaves, structure = jax.tree.flatten(state)
    names = [str(number) for number in range(len(leaves))]
    expected = {name: leaf.shape for name, leaf in zip(names, leaves, strict=True)} | {_STEP: ()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != expected:
        raise ValueError(f"{stored} holds the state of another configuration; move it away, or train in another folder")
    step = int(np.asarray(tensors[_STEP].read()))
    return step, jax.tree.unflatten(structure, [jnp.array(np.asarray(tensors[name].read())) for name in names])


def _earlier_entries(log: Path, step: int) -> tuple[list[dict[str, float]], float]:
    """The entries of a log up to a step, and the seconds of training that they took."""
    entries = [entry for entry in read_journal(log) if entry["step"] <= step]
    return entries, entries[-1]["seconds"] if entries else 0.0
