"""The training loop: batches in, checkpoints, a log and a trained model out."""

import contextlib
import dataclasses
import logging
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import jax
from jax.sharding import Mesh

from litefocus_jax.checkpoint.fingerprint import fingerprint
from litefocus_jax.checkpoint.lora import save_adapter
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.models.components import Components
from litefocus_jax.models.unet.self_attention import check_layout
from litefocus_jax.parallel.processes import require_same, together
from litefocus_jax.system.locks import locked
from litefocus_jax.training.checkpoints import Checkpoints
from litefocus_jax.training.config import TrainingConfig, learning_rate_at
from litefocus_jax.training.distribution import Distribution, Shard
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.monitoring import Monitoring, tensorboard_lines, validation_loss
from litefocus_jax.training.shared_folder import require_shared_folder
from litefocus_jax.training.sources import Source, ValidationClips, load, own_share
from litefocus_jax.training.state import (
    Architecture,
    TrainingState,
    Weights,
    frozen_weights,
    initial_state,
    state_laid_out,
    trained_components,
    trained_weights,
)
from litefocus_jax.training.step import update
from litefocus_jax.training.updates import Figures, NonFiniteFigureError, Observation, Updates

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


def train(
    components: Components,
    source: Source,
    config: TrainingConfig,
    folder: Path,
    *,
    resume: bool = False,
    mesh: Mesh | None = None,
    shard: Shard = "none",
    progress: bool = True,
    monitoring: Monitoring = Monitoring(),  # noqa: B008, frozen
) -> Components:
    """Train a model. A run that is interrupted and resumed ends with the weights of one that was not.

    The folder gets the log (``log.jsonl``, a line for each update), the newest checkpoints (``checkpoints/``) and at
    the end the trained model in the native format (``model/``), whose ``sample_size`` is the length of the clips, and
    of an adapter also its own few weights (``lora/``), as PEFT has them. The given components are left as they are.

    A run that is resumed with more steps goes on from its end. The learning rate is then that of half a cosine over
    all steps, which is higher than the one that the run ended with.

    A mesh may have devices of several processes, which `jax.distributed` has joined. All of them call this alike, and
    each reads its share of the batches where the source can give it (`SharedSource`). All see the folder; all write
    the checkpoints, and the first one all the rest. A run may go on with other devices, processes and shares.

    Args:
        components: the model to begin with; also when resuming.
        source: of the batches.
        config: of the training.
        folder: of this run.
        resume: go on from the newest checkpoint, or from the start if the run ended before its first one.
        mesh: devices to spread each batch over, along one axis called ``"data"``; the first device unless given.
            Where they do not divide a batch evenly, some of them work on its last clip once more, which counts nothing.
        shard: ``"fsdp"`` has each device hold its share of weights, average and moments alone, see `Distribution`.
        progress: draw a bar, where there is a terminal.
        monitoring: what is looked at meanwhile.

    Returns:
        The model with the moving average of the trained weights, in float32; in every process.

    Raises:
        ValueError: when mesh, or what is to be shared, is not as it is expected, LiteFocus does not fit the UNet, a
            batch has another number of clips than the configuration says, or more updates are done than are to be.
        ProcessesError: when the processes of the mesh do not do the same, do not see the same folder, or one failed.
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
    distribution = Distribution.of(mesh, shard)
    with contextlib.ExitStack() as stack:
        with together(distribution.mesh, "checking the training"):
            check_layout(components.unet.config, Architecture.of(components, config.litefocus).attention)
            if distribution.is_first:
                check_run_folder(folder, resume=resume)
                folder.mkdir(parents=True, exist_ok=True)
                stack.enter_context(locked(folder))
                check_run_folder(folder, resume=resume)  # another process may have come and gone
        require_shared_folder(folder, distribution.mesh)
        model = fingerprint(components)
        require_same(distribution.mesh, _what_is_done(model, config, distribution))
        return _train(
            components,
            source,
            config,
            folder,
            model=model,
            distribution=distribution,
            progress=progress,
            monitoring=monitoring,
        )


def _train(
    components: Components,
    source: Source,
    config: TrainingConfig,
    folder: Path,
    *,
    model: Mapping[str, str],
    distribution: Distribution,
    progress: bool,
    monitoring: Monitoring,
) -> Components:
    """`train`, in a folder that is locked."""
    architecture = Architecture.of(components, config.litefocus)
    mesh = distribution.mesh
    checkpoints = Checkpoints[TrainingState](
        folder / CHECKPOINTS,
        config=config.to_dict(),
        model=model,
        keep=config.keep,
        free=_FREE_FIELDS,
        mesh=mesh,
    )
    with together(mesh, "looking for a checkpoint and the first clips"):
        free = _fields_free_in(checkpoints, config, folder)
        # Before any work: which clips there are is what the model is to say of itself.
        first = own_share(source, 0, config.batch_size, config.gradient_accumulation, distribution)
        frames = first.batch.latents.mean.shape[1]
    state = jax.eval_shape(lambda: initial_state(components, config))
    if checkpoints.newest() is not None:
        state = checkpoints.restore(state, distribution.shardings(state), free=free)
    else:
        state = state_laid_out(trained_weights(components, config), config, distribution)
    frozen = distribution.lay_out(frozen_weights(components, config))

    def trained(average: Weights) -> Components:
        return trained_components(components, average, config, training_frames=frames)

    def validate(state: TrainingState, step: int) -> dict[str, float]:
        del step
        loss = validation_loss(
            validation,
            state.average,
            frozen,
            batch_size=clips.batch_size,
            architecture=architecture,
            config=config,
            distribution=distribution,
        )
        return {"validation_loss": loss}

    def make_samples(state: TrainingState, step: int) -> dict[str, float]:
        assert monitoring.make_samples is not None
        average = distribution.to_host(state.average)
        if distribution.is_first:
            monitoring.make_samples(trained(average), step)
        return {}

    clips = ValidationClips.of(monitoring.validation)
    with together(mesh, "reading the clips to validate with"):
        validation = clips.spread(distribution)
    observations = [Observation(monitoring.validate_every, validate)] if validation else []
    if monitoring.make_samples is not None:
        observations.append(Observation(monitoring.samples_every, make_samples))
    done = int(state.updates)
    with contextlib.ExitStack() as stack:
        updates = Updates(
            title="Training",
            steps=config.steps,
            load=lambda index: load(source, index, config.batch_size, config.gradient_accumulation, distribution),
            update=_updater(frozen, architecture, config, distribution),
            checkpoints=checkpoints,
            save_every=config.save_every,
            log=folder / LOG,
            progress=progress,
            observations=observations,
            mesh=mesh,
        )
        if monitoring.tensorboard and distribution.is_first:
            on_line = stack.enter_context(tensorboard_lines(folder / TENSORBOARD, after=done))
            updates = dataclasses.replace(updates, on_line=on_line)
        try:
            state = updates.to_the_end(state, done)
        except NonFiniteFigureError as error:
            raise _non_finite_loss(error, checkpoints) from None
    average = distribution.to_host(state.average)
    result = trained(average)
    with together(mesh, "writing the model"):
        if distribution.is_first:
            save_native(result, folder / MODEL, overwrite=True)
            if config.lora is not None:
                save_adapter(folder / ADAPTER, average["unet"], config.lora, overwrite=True)
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


def _updater(
    frozen: Weights, architecture: Architecture, config: TrainingConfig, distribution: Distribution
) -> Callable[[TrainingState, Batch, int], tuple[TrainingState, Figures]]:
    """Gives the state after an update; the state itself knows its number."""
    key = distribution.replicate(jax.random.key(config.seed))

    def updated(state: TrainingState, batch: Batch, number: int) -> tuple[TrainingState, Figures]:
        del number
        state, figures = update(
            state, frozen, batch, key, architecture=architecture, config=config, distribution=distribution
        )
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


def _what_is_done(model: Mapping[str, str], config: TrainingConfig, distribution: Distribution) -> dict[str, Any]:
    """All that has to be the same in every process, by what a user knows it as."""
    return {
        "the model": model,
        "the sounds": config.data,
        "the options of the training": {**config.to_dict(), "data": None, "shard": distribution.shard},
        "order of the mesh's devices": [device.id for device in distribution.mesh.devices.flat],
        "version of JAX": jax.__version__,
    }
