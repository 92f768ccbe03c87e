"""What is looked at while a model is trained; nothing of it changes the weights."""

import contextlib
import dataclasses
import functools
import logging
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from litefocus_jax.models.components import Components
from litefocus_jax.parallel.mesh import DATA_AXIS, EVERYWHERE
from litefocus_jax.system.extras import import_extra
from litefocus_jax.training.config import TrainingConfig
from litefocus_jax.training.distribution import PER_CLIP, Distribution
from litefocus_jax.training.losses import Batch, diffusion_loss
from litefocus_jax.training.sources import ValidationClips
from litefocus_jax.training.state import Architecture, Weights, weights_in_loss

logger = logging.getLogger(__name__)

_SEED = 0  # of noise and timesteps in validation, whatever the seed of the training


@dataclasses.dataclass(frozen=True, kw_only=True)
class Monitoring:
    """What is looked at, and how often. It is done before the first update and after the last one too.

    Attributes:
        validation: batches, or where they are read, whose loss under the averaged weights is logged as
            ``validation_loss``. Noise and timesteps are the same each time, so that it tells how the model changes and
            not what was drawn.
        validate_every: updates from one validation to the next.
        make_samples: called with the averaged model and the number of updates, to make sounds with it.
        samples_every: updates from one call of that to the next.
        tensorboard: write what the log says for TensorBoard too, into a folder of the run.

    Raises:
        ValueError: when a number of updates is less than 1.
    """

    validation: Sequence[Batch] | ValidationClips = ()
    validate_every: int = 100
    make_samples: Callable[[Components, int], None] | None = None
    samples_every: int = 500
    tensorboard: bool = False

    def __post_init__(self) -> None:
        for name in ("validate_every", "samples_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} = {getattr(self, name)}; expected a whole number from 1")


def validation_loss(
    batches: Sequence[Batch],
    average: Weights,
    frozen: Weights,
    *,
    batch_size: int,
    architecture: Architecture,
    config: TrainingConfig,
    distribution: Distribution,
) -> float:
    """The mean loss of some batches, each clip with noise and a timestep of its own that are the same at every call.

    Timesteps are drawn evenly, whatever ``config.timestep_shift`` is, so that trainings can be compared too.

    Args:
        batches: as `Distribution.spread_clips` gives them to the devices.
        average: of the weights that are trained, laid out as they are.
        frozen: the other ones in the loss, likewise.
        batch_size: clips in each of the batches.
        architecture: of the models.
        config: of the training.
        distribution: of clips and weights over devices.
    """
    losses = [
        _loss(
            average,
            frozen,
            batch,
            jnp.asarray(number * batch_size),
            batch_size=batch_size,
            architecture=architecture,
            config=_without_steps(config),
            distribution=distribution,
        )
        for number, batch in enumerate(batches)
    ]
    return float(np.mean(jax.device_get(losses)))


def _without_steps(config: TrainingConfig) -> TrainingConfig:
    """What the program of the loss depends on, so that all trainings of a process share it."""
    return TrainingConfig(steps=1, batch_size=1, warmup_steps=0, dtype=config.dtype, lora=config.lora)


@functools.partial(jax.jit, static_argnames=("batch_size", "architecture", "config", "distribution"))
def _loss(
    average: Weights,
    frozen: Weights,
    batch: Batch,
    first: Int[Array, ""],
    *,
    batch_size: int,
    architecture: Architecture,
    config: TrainingConfig,
    distribution: Distribution,
) -> Float[Array, ""]:
    key = jax.random.key(_SEED)
    specs = distribution.specs((average, frozen))
    clips, clip_weights = distribution.clip_weights(batch_size)

    def on_one_device(weights: Any, share: tuple[Batch, Array, Array | None], key: Array) -> Array:
        batch, clips, clip_weights = share
        average, frozen = distribution.put_together(weights, specs)
        loss = diffusion_loss(
            architecture.assemble(weights_in_loss(average, frozen, config)),
            architecture.scheduler,
            architecture.scaling_factor,
            batch,
            jax.lax.pmax(batch.t5_length, DATA_AXIS),
            jax.vmap(jax.random.fold_in, (None, 0))(key, clips),
            attention=architecture.attention,
            litefocus_key=key,
            clip_weights=clip_weights,
        )
        return jax.lax.pmean(loss, DATA_AXIS)

    share = (batch, first + clips, clip_weights)
    per_clip = jax.tree.map(lambda _: PER_CLIP, share)
    spread = jax.shard_map(
        on_one_device,
        mesh=distribution.mesh,
        in_specs=(specs, per_clip, EVERYWHERE),
        out_specs=EVERYWHERE,
        check_vma=False,  # as for an update
    )
    return spread((average, frozen), share, key)


@contextlib.contextmanager
def tensorboard_lines(folder: Path, *, after: int) -> Iterator[Callable[[Mapping[str, Any]], None]]:
    """Write lines of a log as TensorBoard reads them; yields a function that is told each line.

    Args:
        folder: of the event files.
        after: number of updates that count; TensorBoard forgets what an earlier part of the run said of later ones.

    Raises:
        MissingExtraError: when tensorboardX is not installed.
    """
    writer = import_tensorboard().SummaryWriter(str(folder), purge_step=after + 1 if after else None, flush_secs=10)

    def write(line: Mapping[str, Any]) -> None:
        for name, value in line.items():
            if name != "step" and value is not None:
                writer.add_scalar(name, value, line["step"])

    try:
        yield write
    finally:
        writer.close()


def import_tensorboard() -> Any:
    """The package that writes for TensorBoard.

    Raises:
        MissingExtraError: when it is not installed.
    """
    return import_extra("tensorboardX", extra="tensorboard", purpose="--log-to tensorboard")
