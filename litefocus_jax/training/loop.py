"""The training loop: batches in, checkpoints, a log and a trained model out."""

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from litefocus_jax.checkpoint.fingerprint import fingerprint
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.models.components import Components
from litefocus_jax.models.unet.self_attention import check_layout
from litefocus_jax.training.checkpoints import Checkpoints
from litefocus_jax.training.config import TrainingConfig
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.state import (
    Architecture,
    TrainingState,
    frozen_weights,
    initial_state,
    trained_components,
)
from litefocus_jax.training.step import DATA_AXIS, EVERYWHERE, PER_CLIP, update
from litefocus_jax.training.updates import Figures, NamedBatch, NonFiniteFigureError, Updates

LOG = "log.jsonl"
CHECKPOINTS = "checkpoints"
MODEL = "model"

# What may change from one part of a training to the next: it decides what is on disk, and not the weights.
_FREE_FIELDS = frozenset({"save_every", "keep"})


class NonFiniteLossError(ValueError):
    """The loss or its gradient became NaN or infinite."""


class Source(Protocol):
    """Where the batches come from."""

    def batch(self, index: int) -> NamedBatch[Batch]:
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
    checkpoints = Checkpoints[TrainingState](
        folder / CHECKPOINTS,
        config=config.to_dict(),
        model=fingerprint(components),
        keep=config.keep,
        free=_FREE_FIELDS,
    )
    state = initial_state(components, config)
    everywhere = NamedSharding(mesh, EVERYWHERE)
    state = checkpoints.restore(state, everywhere) if checkpoints.steps() else jax.device_put(state, everywhere)
    updates = Updates(
        title="Training",
        steps=config.steps,
        load=_loader(source, config, mesh),
        update=_updater(components, architecture, config, mesh),
        checkpoints=checkpoints,
        save_every=config.save_every,
        log=folder / LOG,
        progress=progress,
    )
    try:
        state = updates.to_the_end(state, int(state.updates))
    except NonFiniteFigureError as error:
        raise _non_finite_loss(error, checkpoints) from None
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


def _loader(source: Source, config: TrainingConfig, mesh: Mesh) -> Callable[[int], NamedBatch[Batch]]:
    """Gives the batch of an update, with each device's share of it on that device."""

    def load(index: int) -> NamedBatch[Batch]:
        batch, names = source.batch(index)
        counts = {len(array) for array in jax.tree.leaves(batch)}
        if counts != {config.batch_size}:
            raise ValueError(
                f"batch {index} of the source has arrays of {sorted(counts)} clips; expected batch_size = "
                f"{config.batch_size}"
            )
        return NamedBatch(jax.device_put(batch, NamedSharding(mesh, PER_CLIP)), names)

    return load


def _updater(
    components: Components, architecture: Architecture, config: TrainingConfig, mesh: Mesh
) -> Callable[[TrainingState, Batch, int], tuple[TrainingState, Figures]]:
    """Gives the state after an update; the state itself knows its number."""
    frozen, key = jax.device_put(
        (frozen_weights(components, config), jax.random.key(config.seed)), NamedSharding(mesh, EVERYWHERE)
    )

    def updated(state: TrainingState, batch: Batch, number: int) -> tuple[TrainingState, Figures]:
        del number
        state, figures = update(state, frozen, batch, key, architecture=architecture, config=config, mesh=mesh)
        return state, figures._asdict()

    return updated


def _non_finite_loss(error: NonFiniteFigureError, checkpoints: Checkpoints[TrainingState]) -> NonFiniteLossError:
    saved = checkpoints.steps()
    last = f"the last good checkpoint is {checkpoints.path(saved[-1])}" if saved else "nothing was saved"
    return NonFiniteLossError(
        f"step {error.step}: the loss is {error.figures['loss']} and the norm of its gradient "
        f"{error.figures['gradient_norm']}, on the clips {', '.join(error.names)}; {last}. Look at these clips, or "
        "train with a lower learning rate or in float32"
    )


def _check_mesh(mesh: Mesh, config: TrainingConfig) -> None:
    if mesh.axis_names != (DATA_AXIS,):
        raise ValueError(f"mesh has the axes {mesh.axis_names}; expected one, {DATA_AXIS!r}")
    parts = mesh.size * config.gradient_accumulation
    if config.batch_size % parts:
        raise ValueError(
            f"batch_size = {config.batch_size} does not spread over {mesh.size} devices times gradient_accumulation = "
            f"{config.gradient_accumulation}; expected a multiple of {parts}"
        )
