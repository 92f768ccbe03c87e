"""One update: the gradient of the loss over all devices and parts of a batch, and what the optimiser makes of it."""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int, Key

from litefocus_jax.parallel.mesh import DATA_AXIS, EVERYWHERE
from litefocus_jax.training.config import TrainingConfig, learning_rate_at
from litefocus_jax.training.distribution import PER_CLIP, Distribution
from litefocus_jax.training.losses import Batch, diffusion_loss
from litefocus_jax.training.state import Architecture, TrainingState, Weights, apply_gradient, weights_in_loss

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


@functools.partial(jax.jit, static_argnames=("architecture", "config", "distribution"), donate_argnames="state")
def update(
    state: TrainingState,
    frozen: Weights,
    batch: Batch,
    key: Key[Array, ""],
    *,
    architecture: Architecture,
    config: TrainingConfig,
    distribution: Distribution,
) -> tuple[TrainingState, Figures]:
    """Train on one batch, spread over the devices of a mesh.

    All that is drawn for a clip depends on the key, the number of the update and the clip's place in the batch alone,
    so that the number of devices and of accumulated parts changes nothing but the rounding of sums.

    Args:
        state: before the update; its memory is taken over by the new state.
        frozen: weights in the loss that are not trained, those that an adapter is added to among them.
        batch: ``config.batch_size`` clips, as `Distribution.spread_clips` gives them to the devices.
        key: of the whole training.
        architecture: of the models.
        config: of the training.
        distribution: of clips and weights over devices.

    Returns:
        The new state, which lies as the old one, and what there is to tell.
    """
    specs, frozen_specs = distribution.specs(state.weights), distribution.specs(frozen)
    clips, clip_weights = distribution.clip_weights(config.batch_size, config.gradient_accumulation)
    per_clip = jax.tree.map(lambda _: PER_CLIP, (batch, clips, clip_weights))
    spread = jax.shard_map(
        functools.partial(
            _gradient_on_one_device,
            architecture=architecture,
            config=config,
            distribution=distribution,
            specs=(specs, frozen_specs),
        ),
        mesh=distribution.mesh,
        in_specs=(specs, frozen_specs, per_clip, EVERYWHERE),
        out_specs=(EVERYWHERE, specs),
        # The models' loops begin with zeros, which the check takes for values that all devices share.
        check_vma=False,
    )
    key = jax.random.fold_in(key, state.updates)
    value, gradient = spread(state.weights, frozen, (batch, clips, clip_weights), key)
    learning_rate = learning_rate_at(config, state.updates)
    # Of arrays that lie in shares, XLA updates the shares, and adds up the norms of all.
    state, norm = apply_gradient(state, gradient, config)
    state = jax.lax.with_sharding_constraint(state, distribution.shardings(state))
    return state, Figures(value, norm, learning_rate)


def _gradient_on_one_device(
    weights: Weights,
    frozen: Weights,
    share: tuple[Batch, Int[Array, " clips"], Float[Array, " clips"] | None],
    key: Array,
    *,
    architecture: Architecture,
    config: TrainingConfig,
    distribution: Distribution,
    specs: tuple[Any, Any],
) -> tuple[Array, Weights]:
    """The loss of the whole batch, and this device's share of its gradient.

    Args:
        weights: this device's share of them, as ``specs`` has it.
        frozen: likewise.
        share: this device's clips, their places in the batch, and how much they count.
        key: of the update.
        architecture: of the models.
        config: of the training.
        distribution: over devices.
        specs: how weights and frozen ones lie.
    """
    # The longest caption of all devices and parts: it counts where GPT-2's positions are concerned.
    t5_length = jax.lax.pmax(share[0].t5_length, DATA_AXIS)

    def loss(weights: Weights, batch: Batch, clips: Array, clip_weights: Array | None) -> Array:
        weights, whole_frozen = distribution.put_together((weights, frozen), specs)
        return diffusion_loss(
            architecture.assemble(weights_in_loss(weights, whole_frozen, config)),
            architecture.scheduler,
            architecture.scaling_factor,
            batch,
            t5_length,
            jax.vmap(jax.random.fold_in, (None, 0))(key, clips),
            attention=architecture.attention,
            litefocus_key=jax.random.fold_in(key, _LITEFOCUS_NUMBER),
            rematerialise=config.rematerialise,
            timestep_shift=config.timestep_shift,
            clip_weights=clip_weights,
        )

    value_and_gradient = jax.value_and_grad(distribution.dropping(loss))
    if config.gradient_accumulation == 1:
        value, gradient = value_and_gradient(weights, *share)
    else:

        def add(total: Any, part: tuple[Batch, Array, Array | None]) -> tuple[Any, None]:
            return jax.tree.map(jnp.add, total, value_and_gradient(weights, *part)), None

        zeros = (jnp.zeros((), jnp.float32), jax.tree.map(jnp.zeros_like, weights))
        parts = jax.tree.map(lambda array: array.reshape(config.gradient_accumulation, -1, *array.shape[1:]), share)
        total, _ = jax.lax.scan(add, zeros, parts)
        value, gradient = jax.tree.map(lambda leaf: leaf / config.gradient_accumulation, total)
    return jax.lax.pmean(value, DATA_AXIS), distribution.mean_gradient(gradient, specs[0])
