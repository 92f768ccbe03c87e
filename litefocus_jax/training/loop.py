"""The training loop: batches in, checkpoints, a log and a trained model out."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding

from litefocus_jax.checkpoint.fingerprint import fingerprint
from litefocus_jax.checkpoint.lora import save_adapter
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.models.components import Components
from litefocus_jax.models.unet.self_attention import check_layout
from litefocus_jax.system.locks import locked
from litefocus_jax.training.checkpoints import Checkpoints
from litefocus_jax.training.config import TrainingConfig, learning_rate_at
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.monitoring import Monitoring, tensorboard_lines, validation_loss
from litefocus_jax.training.state import (
    Architecture,
    TrainingState,
    Weights,
    frozen_weights,
    initial_state,
    trained_components,
)
from litefocus_jax.training.step import DATA_AXIS, EVERYWHERE, PER_CLIP, update
from litefocus_jax.training.updates import Figures, NamedBatch, NonFiniteFigureError, Observation, Updates

logger = logging.getLogger(__name__)

LOG = "log.jsonl"
CHECKPOINTS = "checkpoints"
MODEL = "model"
ADAPTER = "lora"
TENSORBOARD = "tensorboard"

# What may change from one part of a training to the next: it decides what is on disk, and not the weights.
_FREE_FIELDS = frozenset({"save_every", "keep"})
# What may change beside where a run is to go on for longer than was meant: the warm-up's length follows the steps'.
_FREE_WHERE_STEPS_CHANGE = frozenset({"steps", "warmup_steps"})


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
    monitoring: Monitoring = Monitoring(),  # noqa: B008, frozen
) -> Components:
    """Train a model. A run that is interrupted and resumed ends with the weights of one that was not.

    The folder gets the log (``log.jsonl``, a line for each update), the newest checkpoints (``checkpoints/``) and at
    the end the trained model in the native format (``model/``), whose ``sample_size`` is the length of the clips, and
    of an adapter also its own few weights (``lora/``), as PEFT has them. The given components are left as they are.

    A run that is resumed with more steps goes on from its end. The learning rate is then that of half a cosine over
    all steps, which is higher than the one that the run ended with.

    Args:
        components: the model to begin with; also when resuming.
        source: of the batches.
        config: of the training.
        folder: of this run.
        resume: go on from the newest checkpoint, or from the start if the run ended before its first one.
        mesh: devices to spread each batch over, along one axis called ``"data"``; the first device unless given.
        progress: draw a bar, where there is a terminal.
        monitoring: what is looked at meanwhile.

    Returns:
        The model with the moving average of the trained weights, in float32.

    Raises:
        ValueError: when batch, accumulation and devices do not fit each other, LiteFocus does not fit the UNet, a
            batch has another number of clips than the configuration says, or more updates are done than are to be.
        MissingExtraError: when a package that training needs is missing.
        FileExistsError: when the folder is not empty and ``resume`` is false.
        FileNotFoundError: when ``resume`` is true and the folder holds no run.
        CheckpointError: when the checkpoint belongs to another model or configuration, or is damaged.
        SavingError: when a checkpoint cannot be written; earlier ones are as they were.
        NonFiniteLossError: when the loss or its gradient is NaN or infinite; checkpoints are from before that.
        TrainingInterrupted: after Ctrl-C, once the update under way has ended and its state is saved. A second Ctrl-C
            ends at once, unsaved.
        InUseError: when another process trains in the folder.
    """
    folder = Path(folder)
    check_run_folder(folder, resume=resume)
    mesh = Mesh(np.array(jax.devices()[:1]), (DATA_AXIS,)) if mesh is None else mesh
    _check_mesh(mesh, config)
    check_layout(components.unet.config, Architecture.of(components, config.litefocus).attention)
    folder.mkdir(parents=True, exist_ok=True)
    with locked(folder):
        check_run_folder(folder, resume=resume)  # another process may have come and gone
        return _train(components, source, config, folder, mesh=mesh, progress=progress, monitoring=monitoring)


def _train(
    components: Components,
    source: Source,
    config: TrainingConfig,
    folder: Path,
    *,
    mesh: Mesh,
    progress: bool,
    monitoring: Monitoring,
) -> Components:
    """`train`, in a folder that is locked."""
    architecture = Architecture.of(components, config.litefocus)
    checkpoints = Checkpoints[TrainingState](
        folder / CHECKPOINTS,
        config=config.to_dict(),
        model=fingerprint(components),
        keep=config.keep,
        free=_FREE_FIELDS,
    )
    free = _fields_free_in(checkpoints, config, folder)
    # Before any work: which clips there are is what the model is to say of itself.
    frames = source.batch(0).batch.latents.mean.shape[1]
    everywhere = NamedSharding(mesh, EVERYWHERE)
    state = initial_state(components, config)
    state = (
        checkpoints.restore(state, everywhere, free=free) if checkpoints.steps() else jax.device_put(state, everywhere)
    )
    frozen = jax.device_put(frozen_weights(components, config), everywhere)

    def trained(state: TrainingState) -> Components:
        return trained_components(components, jax.device_get(state.average), config, training_frames=frames)

    def validate(state: TrainingState, step: int) -> dict[str, float]:
        del step
        loss = validation_loss(validation, state.average, frozen, architecture=architecture, config=config)
        return {"validation_loss": loss}

    def make_samples(state: TrainingState, step: int) -> dict[str, float]:
        assert monitoring.make_samples is not None
        monitoring.make_samples(trained(state), step)
        return {}

    validation = jax.device_put(monitoring.validation, everywhere)
    observations = [Observation(monitoring.validate_every, validate)] if validation else []
    if monitoring.make_samples is not None:
        observations.append(Observation(monitoring.samples_every, make_samples))
    done = int(state.updates)
    with contextlib.ExitStack() as stack:
        updates = Updates(
            title="Training",
            steps=config.steps,
            load=_loader(source, config, mesh),
            update=_updater(frozen, architecture, config, mesh),
            checkpoints=checkpoints,
            save_every=config.save_every,
            log=folder / LOG,
            progress=progress,
            observations=observations,
        )
        if monitoring.tensorboard:
            on_line = stack.enter_context(tensorboard_lines(folder / TENSORBOARD, after=done))
            updates = dataclasses.replace(updates, on_line=on_line)
        try:
            state = updates.to_the_end(state, done)
        except NonFiniteFigureError as error:
            raise _non_finite_loss(error, checkpoints) from None
    result = trained(state)
    save_native(result, folder / MODEL, overwrite=True)
    if config.lora is not None:
        save_adapter(folder / ADAPTER, jax.device_get(state.average)["unet"], config.lora, overwrite=True)
    return result


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
    frozen: Weights, architecture: Architecture, config: TrainingConfig, mesh: Mesh
) -> Callable[[TrainingState, Batch, int], tuple[TrainingState, Figures]]:
    """Gives the state after an update; the state itself knows its number."""
    key = jax.device_put(jax.random.key(config.seed), NamedSharding(mesh, EVERYWHERE))

    def updated(state: TrainingState, batch: Batch, number: int) -> tuple[TrainingState, Figures]:
        del number
        state, figures = update(state, frozen, batch, key, architecture=architecture, config=config, mesh=mesh)
        return state, figures._asdict()

    return updated


def _fields_free_in(checkpoints: Checkpoints[TrainingState], config: TrainingConfig, folder: Path) -> frozenset[str]:
    """The fields of the configuration that need not be as they were, beside those that never need to.

    Raises:
        ValueError: when more updates are done than are to be.
    """
    before = checkpoints.stored_config().get("steps", config.steps)
    done = max(checkpoints.steps(), default=0)
    if before == config.steps:
        return frozenset()
    if config.steps < done:
        raise ValueError(
            f"steps = {config.steps} is less than the {done} updates that are done in {folder}; expected no fewer"
        )
    logger.warning(
        "%s was to have %d updates and is to have %d: from update %d on the learning rate is that of half a cosine "
        "over all of them, %.3g now",
        folder,
        before,
        config.steps,
        done + 1,
        float(learning_rate_at(config, done)),
    )
    return _FREE_WHERE_STEPS_CHANGE


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
