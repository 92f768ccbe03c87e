"""What all trainings share: weights with their moving average and optimiser, and the stage that they go through."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple, TypeAlias, TypeVar

import jax
import jax.numpy as jnp
import optax
from flax import nnx
from jaxtyping import Array, Float, Int, Key

from examples.foley.parts.stage import run_stage
from litefocus_jax.training.updates import Figures

Module = TypeVar("Module", bound=nnx.Module)
Batch = TypeVar("Batch")

Loss: TypeAlias = Callable[[Module, Batch, Key[Array, ""]], tuple[Float[Array, ""], Figures]]
"""From a module, a batch and a key to the loss, and its parts by name."""

_AVERAGE_DECAY = 0.999


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


def begin(weights: Any, transformation: optax.GradientTransformation) -> Learner:
    """A learner that has learnt nothing yet."""
    # Copies: updates take over the memory of both, which they may share neither with one another nor with the caller.
    weights, average = (jax.tree.map(lambda leaf: jnp.array(leaf, copy=True), weights) for _ in range(2))
    return Learner(weights, average, transformation.init(weights), jnp.zeros((), jnp.int32))


def update_of(
    graph: nnx.GraphDef[Module], fixed: Any, loss: Loss[Module, Batch], transformation: optax.GradientTransformation
) -> Callable[[Learner, Batch, Key[Array, ""]], tuple[Learner, Figures]]:
    """The function from a learner, a batch and a key to the learner after one update, and what it found.

    Args:
        graph: of the module whose weights are trained.
        fixed: the rest of its state.
        loss: of the module, a batch and a key; returns the loss, and its parts by name.
        transformation: the optimiser.
    """

    def loss_of(weights: Any, batch: Batch, key: Array) -> tuple[Array, Figures]:
        return loss(nnx.merge(graph, weights, fixed), batch, key)

    def update(learner: Learner, batch: Batch, key: Array) -> tuple[Learner, Figures]:
        (value, parts), gradients = jax.value_and_grad(loss_of, has_aux=True)(learner.weights, batch, key)
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


def train_module(
    module: Module,
    loss: Loss[Module, Batch],
    folder: Path,
    *,
    name: str,
    batch: Callable[[int], Batch],
    transformation: optax.GradientTransformation,
    steps: int,
    seed: int,
    progress: bool,
) -> Module:
    """Train all weights of a module in one stage; an interrupted training is taken up where it was.

    Args:
        module: to begin with; it stays as it is.
        loss: of the module, a batch and a key; returns the loss, and its parts by name.
        folder: where the stage keeps its checkpoints and its log.
        name: of the stage.
        batch: of an update, a pytree of numpy arrays; a function of the update's number alone.
        transformation: the optimiser.
        steps: updates in all.
        seed: of the keys.
        progress: draw a bar.

    Returns:
        A module with the moving average of the weights.

    Raises:
        CheckpointError: as `run_stage`, which may raise other errors too.
    """
    graph, weights, fixed = nnx.split(module, nnx.Param, ...)
    learner: Learner = run_stage(
        folder,
        name=name,
        initial=lambda: begin(weights, transformation),
        update=update_of(graph, fixed, loss, transformation),
        batch=batch,
        steps=steps,
        seed=seed,
        progress=progress,
    )
    return nnx.merge(graph, learner.average, fixed)
