"""Batch normalisation as judges use it: with the statistics of their training, which never change."""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.models import parameters


class BatchNorm(nnx.Module):
    """Scale and shift each channel by stored statistics, as ``torch.nn.BatchNorm2d`` in evaluation mode.

    Args:
        channels: size of the last axis.
        epsilon: added to the variance; PyTorch's default.
        rngs: source of the initial weights.
    """

    def __init__(self, channels: int, *, epsilon: float = 1e-5, rngs: nnx.Rngs) -> None:
        self.epsilon = epsilon
        self.scale = parameters.ones((channels,), rngs)
        self.bias = parameters.zeros((channels,), rngs)
        # Statistics of the training set, not weights: an optimiser of nnx.Param leaves them alone.
        self.mean = nnx.Variable(jnp.zeros(channels))
        self.var = nnx.Variable(jnp.ones(channels))

    def __call__(self, x: Float[Array, "*axes channels"]) -> Float[Array, "*axes channels"]:
        """Normalise every channel."""
        scale = self.scale[...] * jax.lax.rsqrt(self.var[...] + self.epsilon)
        return (x - self.mean[...]) * scale + self.bias[...]
