"""What the trainings of the decoders share: their budget, and weights with their moving average and optimiser."""

import dataclasses
from collections.abc import Callable
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import Array, Float, Int, Key

from examples.foley.stage import Figures

_WARM_UP_SHARE = 0.05
_LONGEST_WARM_UP = 200
_CLIP_NORM = 1.0
_WEIGHT_DECAY = 1e-3
_ROOT_MEAN_SQUARE_OF_ADAMW = 0.2  # of its changes, as arXiv 2502.16982 found
_AVERAGE_DECAY = 0.999


@dataclasses.dataclass(frozen=True, kw_only=True)
class DecoderBudget:
    """How long the VAE and the vocoder are trained, and on how much at a time.

    Attributes:
        autoencoder_steps: updates of the VAE.
        autoencoder_batch: crops in each.
        autoencoder_frames: length of its crops; the last fifth of the updates sees whole clips, and fewer of them.
        vocoder_steps: updates of the vocoder by spectral distances alone.
        adversarial_steps: updates with discriminators after those.
        vocoder_batch: crops in each update of the vocoder.
        vocoder_frames: length of its crops.

    Raises:
        ValueError: when a number is below 1 (`adversarial_steps`: below 0), or the VAE's crops are no multiple of 4.
    """

    autoencoder_steps: int
    autoencoder_batch: int
    autoencoder_frames: int = 64
    vocoder_steps: int
    adversarial_steps: int
    vocoder_batch: int
    vocoder_frames: int = 64

    def __post_init__(self) -> None:
        for field in dataclasses.fields(self):
            value, smallest = getattr(self, field.name), 0 if field.name == "adversarial_steps" else 1
            if value < smallest:
                raise ValueError(f"{field.name} = {value}; expected at least {smallest}")
        if self.autoencoder_frames % 4:
            raise ValueError(f"autoencoder_frames = {self.autoencoder_frames}; expected a multiple of 4")


class Learner(NamedTuple):
    """Weights in training: a pytree of arrays, so that it can be stored and donated whole.

    Attributes:
        weights: what the optimiser moves.
        average: their exponential moving average, which is what is kept in the end.
        moments: the optimiser's state.
        updates: how many there have been.
    """

    weights: Any
    average: Any
    moments: optax.OptState
    updates: Int[Array, ""]


def optimiser(
    steps: int,
    learning_rate: float,
    *,
    betas: tuple[float, float] = (0.9, 0.99),
    last_share: float = 0.0,
    orthogonal: bool = False,
) -> optax.GradientTransformation:
    """AdamW with a clipped gradient, a short linear warm-up, and a cosine decay to a share of the learning rate.

    Args:
        steps: until the learning rate is at its last.
        learning_rate: at its highest.
        betas: decays of AdamW's moments.
        last_share: of the learning rate that is left at the end.
        orthogonal: move the kernels of convolutions by Muon instead (Jordan, "Muon", 2024), in steps as long as
            AdamW's (Liu et al., arXiv 2502.16982).
    """
    warm_up = max(1, min(_LONGEST_WARM_UP, int(_WARM_UP_SHARE * steps)))
    schedule = optax.warmup_cosine_decay_schedule(
        0.1 * learning_rate, learning_rate, warm_up, max(steps, warm_up + 1), end_value=last_share * learning_rate
    )
    if orthogonal:
        method = optax.contrib.muon(
            schedule,
            consistent_rms=_ROOT_MEAN_SQUARE_OF_ADAMW,
            weight_decay=_WEIGHT_DECAY,
            adam_b1=betas[0],
            adam_b2=betas[1],
            adam_weight_decay=_WEIGHT_DECAY,
            muon_weight_dimension_numbers=_kernels,
        )
    else:
        method = optax.adamw(schedule, b1=betas[0], b2=betas[1], weight_decay=_WEIGHT_DECAY)
    # Muon asks for the direction of each kernel's gradient alone. By the norm of all together, one array with a large
    # gradient (the vocoder's last bias, where a crop is silent) would take the others' say away.
    clip = _each_clipped() if orthogonal else optax.clip_by_global_norm(_CLIP_NORM)
    return optax.chain(clip, method)


def _each_clipped() -> optax.GradientTransformation:
    """Scale every array of the gradient down to `_CLIP_NORM`, where it is longer."""

    def clip(gradients: Any, weights: Any) -> Any:
        del weights
        return jax.tree.map(
            lambda gradient: gradient / jnp.maximum(1.0, jnp.linalg.norm(gradient) / _CLIP_NORM), gradients
        )

    return optax.stateless(clip)


def _kernels(weights: Any) -> Any:
    """Of every kernel ``[taps, in, out]`` with several channels on either side, the axes that make it a matrix."""

    def axes(weight: Array) -> optax.contrib.MuonDimensionNumbers | None:
        is_matrix = weight.ndim == 3 and min(weight.shape[1:]) > 1
        return optax.contrib.MuonDimensionNumbers((0, 1), (2,)) if is_matrix else None

    return jax.tree.map(axes, weights)


def begin(weights: Any, transformation: optax.GradientTransformation) -> Learner:
    """A learner that has learnt nothing yet."""
    # Copies: updates take over the memory of both, which they may share neither with one another nor with the caller.
    weights, average = (jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), weights) for _ in range(2))
    return Learner(weights, average, transformation.init(weights), jnp.zeros((), jnp.int32))


def update_by(
    loss: Callable[[Any, Any, Key[Array, ""]], tuple[Float[Array, ""], Figures]],
    transformation: optax.GradientTransformation,
) -> Callable[[Learner, Any, Key[Array, ""]], tuple[Learner, Figures]]:
    """The function from a learner, a batch and a key to the learner after one update, and what it found.

    Args:
        loss: of weights, a batch and a key; returns the loss, and its parts by name.
        transformation: the optimiser.
    """

    def update(learner: Learner, batch: Any, key: Array) -> tuple[Learner, Figures]:
        (value, parts), gradients = jax.value_and_grad(loss, has_aux=True)(learner.weights, batch, key)
        figures = {"loss": value, **parts, "gradient_norm": optax.tree.norm(gradients)}
        return learn(learner, gradients, transformation), figures

    return update


def learn(learner: Learner, gradients: Any, transformation: optax.GradientTransformation) -> Learner:
    """Apply one update, and follow it with the average.

    The average forgets faster while it is young: its decay after ``n`` updates is at most ``(1 + n) / (10 + n)``.
    """
    changes, moments = transformation.update(gradients, learner.moments, learner.weights)
    weights = optax.apply_updates(learner.weights, changes)
    decay = jnp.minimum(_AVERAGE_DECAY, (1.0 + learner.updates) / (10.0 + learner.updates))
    average = jax.tree.map(lambda old, new: old + (1.0 - decay) * (new - old), learner.average, weights)
    return Learner(weights, average, moments, learner.updates + 1)
