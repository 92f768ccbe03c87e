"""One update: the gradient of the loss over all devices and parts of a batch, and what the optimiser makes of it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jax.sharding import Mesh, PartitionSpec
from jaxtyping import Array, Float, Int, Key

from litefocus_jax.parallel.mesh import DATA_AXIS, EVERYWHERE
from litefocus_jax.training.config import TrainingConfig, learning_rate_at
from litefocus_jax.training.losses import Batch, diffusion_loss
from litefocus_jax.training.state import Architecture, TrainingState, Weights, apply_gradient, weights_in_loss

PER_CLIP = PartitionSpec(DATA_AXIS)

# Beside the clips' own keys, which are numbered from 0.
_LITEFOCUS_NUMBER = 2**31 - 1


class Figures(NamedTuple):
    """What an update tells, on the device.

    Attributes:
        loss: before the update.
        gradient_norm: before it is clipped.
        learning_rate: of the update.
    """

    loss: Float[Array, ""]
    gradient_norm: Float[Array, ""]
    learning_rate: Float[Array, ""]


@functools.partial(jax.jit, static_argnames=("architecture", "config", "mesh"), donate_argnames="state")
def update(
    state: TrainingState,
    frozen: Weights,
    batch: Batch,
    key: Key[Array, ""],
    *,
    architecture: Architecture,
    config: TrainingConfig,
    mesh: Mesh,
) -> tuple[TrainingState, Figures]:
    """Train on one batch, spread over the devices of a mesh.

    All that is drawn for a clip depends on the key, the number of the update and the clip's place in the batch alone,
    so that the number of devices and of accumulated parts changes nothing but the rounding of sums.

    Args:
        state: before the update; its memory is taken over by the new state.
        frozen: weights in the loss that are not trained, those that an adapter is added to among them.
        batch: ``config.batch_size`` clips, a multiple of the mesh's devices times ``config.gradient_accumulation``.
        key: of the whole training.
        architecture: of the models.
        config: of the training.
        mesh: with one axis, `DATA_AXIS`.

    Returns:
        The new state, the same on all devices, and what there is to tell.
    """
    spread = jax.shard_map(
        functools.partial(_update_on_one_device, architecture=architecture, config=config),
        mesh=mesh,
        in_specs=(EVERYWHERE, EVERYWHERE, PER_CLIP, PER_CLIP, EVERYWHERE),
        out_specs=(EVERYWHERE, EVERYWHERE),
        # The models' loops begin with zeros, which the check takes for values that all devices share.
        check_vma=False,
    )
    return spread(state, frozen, batch, jnp.arange(config.batch_size), key)


def _update_on_one_device(
    state: TrainingState,
    frozen: Weights,
    batch: Batch,
    clips: Int[Array, " clips"],
    key: Array,
    *,
    architecture: Architecture,
    config: TrainingConfig,
) -> tuple[TrainingState, Figures]:
    """The body of `update`: ``batch`` holds this device's share, ``clips`` the places of its clips in the batch."""
    key = jax.random.fold_in(key, state.updates)
    # The longest caption of all devices and parts: it counts where GPT-2's positions are concerned.
    t5_length = jax.lax.pmax(batch.t5_length, DATA_AXIS)

    def loss(weights: Weights, batch: Batch, clips: Array) -> Array:
        return diffusion_loss(
            architecture.assemble(weights_in_loss(weights, frozen, config)),
            architecture.scheduler,
            architecture.scaling_factor,
            batch,
            t5_length,
            jax.vmap(jax.random.fold_in, (None, 0))(key, clips),
            attention=architecture.attention,
            litefocus_key=jax.random.fold_in(key, _LITEFOCUS_NUMBER),
            rematerialise=config.rematerialise,
            timestep_shift=config.timestep_shift,
        )

    value_and_gradient = jax.value_and_grad(loss)
    if config.gradient_accumulation == 1:
        mean = value_and_gradient(state.weights, batch, clips)
    else:

        def add(total: Any, part: tuple[Batch, Array]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, value_and_gradient(state.weights, *part)), None

        zeros = (jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, state.weights))
        parts = jax.tree.map(
            lambda array: array.reshape(config.gradient_accumulation, -1, *array.shape[1:]), (batch, clips)
        )
        total, _ = jax.lax.scan(add, zeros, parts)
        mean = jax.tree.map(lambda leaf: leaf / config.gradient_accumulation, total)
    value, gradient = jax.lax.pmean(mean, DATA_AXIS)
    learning_rate = learning_rate_at(config, state.updates)
    state, norm = apply_gradient(state, gradient, config)
    return state, Figures(value, norm, learning_rate)
