"""What training carries from update to update: flat dictionaries of arrays, from which models are put together."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from litefocus_jax.checkpoint.weights import abstract, leaves
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.components import NETWORKS, Components
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.system.extras import import_extra
from litefocus_jax.system.json_config import JsonConfig
from litefocus_jax.training.config import LOSS_MODELS, TrainingConfig, average_decay_at, learning_rate_at

Weights = Mapping[str, Mapping[str, Array]]
"""Arrays by sub-model, then by dotted path, as `litefocus_jax.checkpoint.weights.leaves` names them."""


class TrainingState(NamedTuple):
    """A pytree of arrays, all that an update reads and writes.

    Attributes:
        updates: how many there have been.
        weights: in training, float32.
        average: their exponential moving average, float32.
        moments: the optimiser's state.
    """

    updates: Int[Array, ""]
    weights: Weights
    average: Weights
    moments: Any


@dataclasses.dataclass(frozen=True)
class Architecture:
    """What is static about the models in the loss. With it, weights are a model.

    Attributes:
        configs: of each of `LOSS_MODELS`, in that order.
        scheduler: the noise schedule.
        scaling_factor: of the VAE's latents.
        attention: of the UNet.
    """

    configs: tuple[JsonConfig, ...]
    scheduler: SchedulerConfig
    scaling_factor: float
    attention: AttentionLayout = DENSE

    @classmethod
    def of(cls, components: Components, litefocus: LiteFocusConfig | None = None) -> "Architecture":
        """That of a model, trained with sparse attention or, with None, dense."""
        frame_in_s = components.facts.geometry.frame_in_s
        configs = tuple(components.modules[name].config for name in LOSS_MODELS)
        attention = DENSE if litefocus is None else litefocus.layout(frame_in_s)
        return cls(configs, components.scheduler, components.vae.config.scaling_factor, attention)

    def assemble(self, weights: Weights) -> dict[str, nnx.Module]:
        """The sub-models that ``weights`` has arrays for."""
        return {
            name: with_weights(abstract(NETWORKS[name].model_class, config), weights[name])
            for name, config in zip(LOSS_MODELS, self.configs, strict=True)
            if name in weights
        }


def with_weights(module: Any, weights: Mapping[str, Array]) -> Any:
    """A module like the given one, with other arrays: one for each of its dotted paths.

    Raises:
        KeyError: when an array is missing.
    """
    graph, state = nnx.split(module)
    flat = [(path, leaf.replace(weights[".".join(map(str, path))])) for path, leaf in nnx.to_flat_state(state)]
    return nnx.merge(graph, nnx.from_flat_state(flat))


def trained_weights(components: Components, config: TrainingConfig) -> Weights:
    """Float32 copies of the weights that are trained."""
    return {
        name: {path: jnp.array(leaf, jnp.float32, copy=True) for path, leaf in leaves(components.modules[name]).items()}
        for name in config.trainable
    }


def frozen_weights(components: Components, config: TrainingConfig) -> Weights:
    """The weights in the loss that are not trained, in the type of the computation."""
    return {
        name: {path: jnp.asarray(leaf, config.dtype) for path, leaf in leaves(components.modules[name]).items()}
        for name in LOSS_MODELS
        if name not in config.trainable
    }


def initial_state(components: Components, config: TrainingConfig) -> TrainingState:
    """The state before the first update of a model; it shares no memory with the model.

    Raises:
        MissingExtraError: when optax is not installed.
    """
    return first_state(trained_weights(components, config), config)


def first_state(weights: Weights, config: TrainingConfig) -> TrainingState:
    """The state in which training of these weights begins; they become part of it."""
    # The average is a copy of its own, because an update takes over the memory of both.
    average = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), weights)
    return TrainingState(jnp.zeros((), jnp.int32), weights, average, _optimiser(config).init(weights))


def apply_gradient(
    state: TrainingState, gradient: Weights, config: TrainingConfig
) -> tuple[TrainingState, Float[Array, ""]]:
    """One update by AdamW, on the gradient scaled down to ``config.clip_norm``, followed by the moving average.

    Args:
        state: before the update.
        gradient: of the loss, float32, with the names of ``state.weights``.
        config: of the training.

    Returns:
        The state after the update, and the norm of the gradient before it was scaled.
    """
    optax = import_extra("optax")
    norm = optax.tree.norm(gradient)
    changes, moments = _optimiser(config).update(gradient, state.moments, state.weights)
    weights = optax.apply_updates(state.weights, changes)
    share = 1.0 - average_decay_at(config, state.updates)
    average = jax.tree.map(lambda old, new: old + share * (new - old), state.average, weights)
    return TrainingState(state.updates + 1, weights, average, moments), norm


def trained_components(components: Components, average: Weights) -> Components:
    """A float32 model with the averaged weights in the place of those that were trained."""
    replaced: dict[str, Any] = {}
    for name, module in components.modules.items():
        if name in average:
            replaced[name] = with_weights(module, {path: jnp.asarray(leaf) for path, leaf in average[name].items()})
        else:
            replaced[name] = jax.tree.map(lambda leaf: jnp.asarray(leaf, jnp.float32), module)
    return dataclasses.replace(components, **replaced, dtype="float32")


def _optimiser(config: TrainingConfig) -> Any:
    optax = import_extra("optax")
    return optax.chain(
        optax.clip_by_global_norm(config.clip_norm),
        optax.adamw(
            lambda update: learning_rate_at(config, update),
            b1=config.adam_beta_1,
            b2=config.adam_beta_2,
            eps=config.adam_epsilon,
            weight_decay=config.weight_decay,
        ),
    )
