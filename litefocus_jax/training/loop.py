"""The training loop: batches in, checkpoints, a log and a trained model out."""

import collections
import dataclasses
import math
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from litefocus_jax.checkpoint.fingerprint import fingerprint
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.models.components import Components
from litefocus_jax.models.unet.self_attention import check_layout
from litefocus_jax.system.progress import figures_progress_bar
from litefocus_jax.training.checkpoints import TrainingCheckpoints
from litefocus_jax.training.config import TrainingConfig
from litefocus_jax.training.interruption import deferred_interruption
from litefocus_jax.training.journal import Journal
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.state import (
    Architecture,
    TrainingState,
    Weights,
    frozen_weights,
    initial_state,
    trained_components,
)
from litefocus_jax.training.step import DATA_AXIS, EVERYWHERE, PER_CLIP, Figures, update

LOG = "log.jsonl"
CHECKPOINTS = "checkpoints"
MODEL = "model"


class NonFiniteLossError(ValueError):
    """The loss or its gradient became NaN or infinite."""


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C was pressed; the state has been saved, and the message says how to go on."""


class NamedBatch(NamedTuple):
    """A batch and where it comes from.

    Attributes:
        batch: the clips of one update.
        names: of the clips, such as their files, for error messages.
    """

    batch: Batch
    names: tuple[str, ...]


class Source(Protocol):
    """Where the batches come from."""

    def batch(self, index: int) -> NamedBatch:
        """The batch of update ``index``, counted from 0: always the same one, so that a resumed run is exact.

        It is called from a thread of its own, while the device computes the update before.
        """
        ...


def train(
    components: Components,
    source: Source,
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool = False,
    mesh: Mesh | None = None,
    progress: bool = True,
) -> Components:
    """Train a model. A run that is interrupted and resumed ends with the weights of one that was not.

    The folder gets the log (``log.jsonl``, a line for each update), the newest checkpoints (``checkpoints/``) and at
    the end the trained model in the native format (``model/``). The given components are left as they are.

    Args:
        components: the model to begin with; also when resuming.
        source: of the batches.
        config: of the training.
        folder: of this run.
        resume: go on from the newest checkpoint, or from the start if the run ended before its first one.
        mesh: devices to spread each batch over, along one axis called ``"data"``; the first device unless given.
        progress: draw a bar, where there is a terminal.

    Returns:
        The model with the moving average of the trained weights, in float32.

    Raises:
        ValueError: when batch, accumulation and devices do not fit each other, LiteFocus does not fit the UNet, or a
            batch has another number of clips than the configuration says.
        MissingExtraError: when a package that training needs is missing.
        FileExistsError: when the folder is not empty and ``resume`` is false.
        FileNotFoundError: when ``resume`` is true and the folder holds no run.
        CheckpointError: when the checkpoint belongs to another model or configuration, or is damaged.
        SavingError: when a checkpoint cannot be written; earlier ones are as they were.
        NonFiniteLossError: when the loss or its gradient is NaN or infinite; checkpoints are from before that.
        TrainingInterrupted: after Ctrl-C, once the update under way has ended and its state is saved. A second Ctrl-C
            ends at once, unsaved.
    """
    folder = Path(folder)
    mesh = Mesh(np.array(jax.devices()[:1]), (DATA_AXIS,)) if mesh is None else mesh
    _check_mesh(mesh, config)
    architecture = Architecture.of(components, config.litefocus)
    check_layout(components.unet.config, architecture.attention)
    check_run_folder(folder, resume=resume)
    checkpoints = TrainingCheckpoints(folder / CHECKPOINTS, config, fingerprint(components))
    state = initial_state(components, config)
    everywhere = NamedSharding(mesh, EVERYWHERE)
    state = checkpoints.restore(state, everywhere) if checkpoints.steps() else jax.device_put(state, everywhere)
    run = _Run(
        source,
        config,
        mesh,
        architecture=architecture,
        frozen=jax.device_put(frozen_weights(components, config), everywhere),
        checkpoints=checkpoints,
    )
    with Journal(folder / LOG, after=int(state.updates)) as journal:
        state = run.to_the_end(state, journal, progress=progress)
    trained = trained_components(components, jax.device_get(state.average))
    save_native(trained, folder / MODEL, overwrite=True)
    return trained


def check_run_folder(folder: Path, *, resume: bool) -> None:
    """Refuse a folder that `train` would refuse; for a caller with long work ahead of it.

    Raises:
        FileExistsError: when the folder is not empty and ``resume`` is false.
        FileNotFoundError: when ``resume`` is true and the folder holds no run.
    """
    if resume:
        if not (folder / LOG).is_file():
            raise FileNotFoundError(f"{folder} holds no {LOG}, so there is no training to resume in it")
    elif folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise FileExistsError(f"{folder} exists; resume the training in it, or choose another folder")


class _Pending(NamedTuple):
    """An update that the device may still be computing."""

    number: int
    figures: Figures
    names: tuple[str, ...]


@dataclasses.dataclass
class _Run:
    """The loop with all that stays the same in it."""

    source: Source
    config: TrainingConfig
    mesh: Mesh
    architecture: Architecture
    frozen: Weights
    checkpoints: TrainingCheckpoints

    def to_the_end(self, state: TrainingState, journal: Journal, *, progress: bool) -> TrainingState:
        """Update until all is done.

        The figures of an update are read while the next one runs, so that the device never waits for the host.
        """
        config = self.config
        done = int(state.updates)
        key = jax.device_put(jax.random.key(config.seed), NamedSharding(self.mesh, EVERYWHERE))
        pending: _Pending | None = None
        with (
            ThreadPoolExecutor(1, thread_name_prefix="batches") as ahead,
            deferred_interruption() as interrupted,
            figures_progress_bar("Training", config.steps, done=done, enabled=progress) as show,
        ):
            clock = _Clock(done)
            coming = ahead.submit(self._load, done) if done < config.steps else None
            while coming is not None and not interrupted():
                batch, names = coming.result()
                coming = ahead.submit(self._load, done + 1) if done + 1 < config.steps else None
                state, figures = update(
                    state,
                    self.frozen,
                    batch,
                    key,
                    architecture=self.architecture,
                    config=config,
                    mesh=self.mesh,
                )
                if pending is not None:
                    self._report(pending, journal, show, clock)
                pending = _Pending(done, figures, names)
                done += 1
                if done % config.save_every == 0 or done == config.steps:
                    # Before saving: what is saved must be known to be finite.
                    self._report(pending, journal, show, clock)
                    pending = None
                    self.checkpoints.save(state)
            if pending is not None:
                self._report(pending, journal, show, clock)
            if done < config.steps:
                self.checkpoints.save(state)
                raise TrainingInterrupted(
                    f"interrupted after {done} of {config.steps} updates, which are saved in "
                    f"{self.checkpoints.path(done)}; resume the training to go on from there"
                )
        return state

    def _load(self, index: int) -> NamedBatch:
        """A batch with each device's share of it on that device."""
        batch, names = self.source.batch(index)
        counts = {len(array) for array in jax.tree.leaves(batch)}
        if counts != {self.config.batch_size}:
            raise ValueError(
                f"batch {index} of the source has arrays of {sorted(counts)} clips; expected batch_size = "
                f"{self.config.batch_size}"
            )
        return NamedBatch(jax.device_put(batch, NamedSharding(self.mesh, PER_CLIP)), names)

    def _report(self, pending: _Pending, journal: Journal, show: Callable[[int, str], None], clock: "_Clock") -> None:
        """Wait for an update, and log it.

        Raises:
            NonFiniteLossError: when its loss or gradient is not finite.
        """
        loss, norm, learning_rate = (float(figure) for figure in pending.figures)
        steps_per_second = clock.steps_per_second(pending.number + 1)
        if not (math.isfinite(loss) and math.isfinite(norm)):
            saved = self.checkpoints.steps()
            last = f"the last good checkpoint is {self.checkpoints.path(saved[-1])}" if saved else "nothing was saved"
            raise NonFiniteLossError(
                f"step {pending.number + 1}: the loss is {loss} and the norm of its gradient {norm}, on the clips "
                f"{', '.join(pending.names)}; {last}. Look at these clips, or train with a lower learning rate or in "
                "float32"
            )
        journal.write(
            step=pending.number + 1,
            loss=loss,
            gradient_norm=norm,
            learning_rate=learning_rate,
            steps_per_second=round(steps_per_second, 4),
        )
        show(pending.number + 1, f"loss {loss:.4f}, {steps_per_second:.2f} steps/s")


class _Clock:
    """Measures how fast updates follow one another, over the last twenty: single ones are reported unevenly."""

    def __init__(self, done: int) -> None:
        self._reports = collections.deque([(time.perf_counter(), done)], maxlen=20)

    def steps_per_second(self, done: int) -> float:
        """The rate, now that so many updates are done."""
        self._reports.append((time.perf_counter(), done))
        (first, before), (last, _) = self._reports[0], self._reports[-1]
        return (done - before) / max(last - first, 1e-9)


def _check_mesh(mesh: Mesh, config: TrainingConfig) -> None:
    if mesh.axis_names != (DATA_AXIS,):
        raise ValueError(f"mesh has the axes {mesh.axis_names}; expected one, {DATA_AXIS!r}")
    parts = mesh.size * config.gradient_accumulation
    if config.batch_size % parts:
        raise ValueError(
            f"batch_size = {config.batch_size} does not spread over {mesh.size} devices times gradient_accumulation = "
            f"{config.gradient_accumulation}; expected a multiple of {parts}"
        )
