"""How judges are trained and kept: the weights of each in a file, under their dotted paths."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from examples.foley.parts.learner import train_module
from examples.foley.parts.optimiser import optimiser
from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.weights import fill, leaves, to_numpy
from litefocus_jax.system.files import written_beside
from litefocus_jax.training.updates import Figures

Judge = TypeVar("Judge", bound=nnx.Module)
Batch = TypeVar("Batch")


def train_judge(
    judge: Judge,
    loss: Callable[[Judge, Batch], tuple[Float[Array, ""], Figures]],
    path: Path,
    *,
    name: str,
    batch: Callable[[int], Batch],
    learning_rate: float,
    steps: int,
    seed: int,
    progress: bool,
) -> Judge:
    """Train a judge and write its weights; an interrupted training is taken up where it was.

    Args:
        judge: with its first weights.
        loss: of the judge and a batch; returns the loss, and what else there is to tell by name.
        path: of the weights when they are done. The stage keeps its checkpoints and its log beside it.
        name: of the stage.
        batch: of an update; a function of the update's number alone.
        learning_rate: at its highest.
        steps: updates in all.
        seed: of the training.
        progress: draw a bar.

    Returns:
        The judge with the moving average of its weights, which `load_weights` reads again.
    """
    trained = train_module(
        judge,
        lambda judge, batch, key: loss(judge, batch),
        path.parent,
        name=name,
        batch=batch,
        transformation=optimiser(steps, learning_rate),
        steps=steps,
        seed=seed,
        progress=progress,
    )
    with written_beside(path) as partial:
        safetensors_files.write_file(partial, to_numpy(trained))
    return trained


def load_weights(module: Any, path: Path) -> Any:
    """Fill an abstract module with the float32 weights of a file, each under its dotted path.

    Raises:
        FileNotFoundError: when there is no such file.
        ValueError: when the file holds other names or shapes.
    """
    if not path.exists():
        raise FileNotFoundError(f"{path} does not exist; expected the weights that examples.foley.train writes")
    tensors = safetensors_files.read_file(path)
    expected = {name: leaf.shape for name, leaf in leaves(module).items()}
    found = {name: tensor.shape for name, tensor in tensors.items()}
    if found != expected:
        different = sorted(name for name in found.keys() | expected.keys() if found.get(name) != expected.get(name))
        raise ValueError(
            f"{path} does not hold the weights of {type(module).__name__}: {', '.join(different[:5])} "
            f"({len(different)} in all) are missing, unknown or of another shape; train it again in another folder"
        )
    return fill(module, {name: np.asarray(tensor.read()) for name, tensor in tensors.items()}, jnp.float32)
