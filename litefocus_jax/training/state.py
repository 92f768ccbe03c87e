"""What training carries from update to update: flat dictionaries of arrays, from which models are put together."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float, Int

from litefocus_jax.checkpoint import lora
from litefocus_jax.checkpoint.weights import abstract, leaves, with_weights
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.components import Components
from litefocus_jax.models.model_type import AUDIOLDM2, ModelType
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.system.extras import import_extra
from litefocus_jax.system.json_config import JsonConfig
from litefocus_jax.training.config import LOSS_MODELS, TrainingConfig, average_decay_at, learning_rate_at
from litefocus_jax.training.distribution import Distribution

Weights = Mapping[str, Mapping[str, Array]]
"""Arrays by sub-model, then by dotted path, as `litefocus_jax.checkpoint.weights.leaves` names them; of an adapter, as
`litefocus_jax.checkpoint.lora.Adapter` does."""


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
        configs: of each of `LOSS_MODELS` that the model has, by name.
        scheduler: the noise schedule.
        scaling_factor: of the VAE's latents.
        attention: of the UNet.
        model_type: which of the family it is, and so which networks they are.
    """

    configs: tuple[tuple[str, JsonConfig], ...]
    scheduler: SchedulerConfig
    scaling_factor: float
    attention: AttentionLayout = DENSE
    model_type: ModelType = AUDIOLDM2

    @classmethod
    def of(cls, components: Components, litefocus: LiteFocusConfig | None = None) -> "Architecture":
        """That of a model, trained with sparse attention or, with None, dense."""
        frame_in_s = components.facts.geometry.frame_in_s
        modules = components.modules
        configs = tuple((name, modules[name].config) for name in LOSS_MODELS if name in modules)
        attention = DENSE if litefocus is None else litefocus.layout(frame_in_s)
        scaling_factor = components.vae.config.scaling_factor
        return cls(configs, components.scheduler, scaling_factor, attention, components.model_type)

    def assemble(self, weights: Weights) -> dict[str, nnx.Module]:
        """The sub-models that ``weights`` has arrays for."""
        return {
            name: with_weights(abstract(self.model_type.networks[name].model_class, config), weights[name])
            for name, config in self.configs
            if name in weights
        }


def trained_weights(components: Components, config: TrainingConfig) -> Weights:
    """Float32 copies of the weights that are trained; or an adapter that adds nothing yet.

    As PEFT begins: ``lora_A`` is uniform, of a variance of a third over the number of inputs, and ``lora_B`` zero.

    Raises:
        ValueError: when a sub-model is to be trained that the model has not.
    """
    if absent := [name for name in config.trainable if name not in components.modules]:
        known = ", ".join(name for name in LOSS_MODELS if name in components.modules)
        raise ValueError(
            f"trainable names {', '.join(absent)}, but the model is {components.model_type.described}; expected some "
            f"of {known}"
        )
    if config.lora is None:
        return {
            name: {
                path: jnp.array(leaf, jnp.float32, copy=True) for path, leaf in leaves(components.modules[name]).items()
            }
            for name in config.trainable
        }
    adapters: dict[str, dict[str, Array]] = {}
    for name in config.trainable:
        kernels = lora.adapted_kernels(leaves(components.modules[name]), config.lora.target)
        keys = jax.random.split(jax.random.key(config.seed), max(1, len(kernels)))
        adapters[name] = {}
        for key, (path, (inputs, outputs)) in zip(keys, kernels.items(), strict=True):
            layer, bound = path.removesuffix(".kernel"), inputs**-0.5
            adapters[name][f"{layer}.lora_A"] = jax.random.uniform(
                key, (inputs, config.lora.rank), jnp.float32, -bound, bound
            )
            adapters[name][f"{layer}.lora_B"] = jnp.zeros((config.lora.rank, outputs), jnp.float32)
    return adapters


def frozen_weights(components: Components, config: TrainingConfig) -> Weights:
    """The weights in the loss that are not trained, in the type of the computation."""
    return {
        name: {path: jnp.asarray(leaf, config.dtype) for path, leaf in leaves(components.modules[name]).items()}
        for name in LOSS_MODELS
        if name in components.modules and (config.lora is not None or name not in config.trainable)
    }


def weights_in_loss(weights: Weights, frozen: Weights, config: TrainingConfig) -> Weights:
    """All that the loss runs through, in the type of the computation: an adapter is added to what it adapts."""
    if config.lora is None:
        return {**frozen, **jax.tree.map(lambda leaf: leaf.astype(config.dtype), weights)}
    return {**frozen, **{name: lora.added(frozen[name], weights[name], config.lora.scale) for name in weights}}


def initial_state(components: Components, config: TrainingConfig) -> TrainingState:
    """The state before the first update of a model, on one device; it shares no memory with the model.

    Raises:
        MissingExtraError: when optax is not installed.
    """
    return first_state(trained_weights(components, config), config)


def first_state(weights: Weights, config: TrainingConfig) -> TrainingState:
    """The state in which training of these weights begins; they become part of it."""
    # The average is a copy of its own, because an update takes over the memory of both.
    average = jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), weights)
    return TrainingState(jnp.zeros((), jnp.int32), weights, average, _optimiser(config).init(weights))


def state_laid_out(weights: Weights, config: TrainingConfig, distribution: Distribution) -> TrainingState:
    """`first_state` of weights that every process has whole, laid out over devices, none of which holds it whole."""
    state = jax.eval_shape(lambda weights: first_state(weights, config), weights)
    make = jax.jit(lambda weights: first_state(weights, config), out_shardings=distribution.shardings(state))
    return make(distribution.lay_out(weights))


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


def trained_components(
    components: Components, average: Weights, config: TrainingConfig, *, training_frames: int | None = None
) -> Components:
    """A float32 model with the averaged weights in the place of those that were trained.

    Args:
        components: the model that training began with.
        average: of its weights, or of an adapter.
        config: of the training.
        training_frames: latent frames of the clips that it was trained on, which the UNet's ``sample_size`` is to say;
            what the model says unless given.
    """
    replaced: dict[str, Any] = {}
    for name, module in components.modules.items():
        arrays = {path: jnp.asarray(leaf, jnp.float32) for path, leaf in leaves(module).items()}
        if name in average and config.lora is not None:
            arrays = lora.added(arrays, average[name], config.lora.scale)
        elif name in average:
            arrays = {path: jnp.asarray(leaf) for path, leaf in average[name].items()}
        if name == "unet" and training_frames is not None:
            module = abstract(type(module), dataclasses.replace(module.config, sample_size=training_frames))
        replaced[name] = with_weights(module, arrays)
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
