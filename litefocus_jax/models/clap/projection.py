"""The last layers of both towers of CLAP, into the space that they share."""

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.models import parameters
from litefocus_jax.models.text_layers import activation_named


class ClapProjection(nnx.Module):
    """Two linear layers into the space that text and sound share.

    Args:
        hidden_size: of the tower's features.
        projection_dim: of the space.
        activation: between the layers, by its name in transformers.
        rngs: source of the initial weights.

    Raises:
        ConfigError: when the activation is unknown.
    """

    def __init__(self, hidden_size: int, projection_dim: int, *, activation: str, rngs: nnx.Rngs) -> None:
        self.activation = activation_named(activation, "projection_hidden_act")
        self.linear1 = parameters.linear(hidden_size, projection_dim, rngs=rngs)
        self.linear2 = parameters.linear(projection_dim, projection_dim, rngs=rngs)

    def __call__(self, pooled: Float[Array, "batch hidden_size"]) -> Float[Array, "batch projection_dim"]:
        """Project pooled features."""
        return self.linear2(self.activation(self.linear1(pooled)))


def unit_vectors(features: Float[Array, "batch features"]) -> Float[Array, "batch features"]:
    """Features of length one, in their own type."""
    norm = jnp.linalg.norm(features.astype(jnp.float32), axis=-1, keepdims=True)
    return (features / jnp.maximum(norm, 1e-12)).astype(features.dtype)
