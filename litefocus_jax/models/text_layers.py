"""What the three text models share: the embedding table, multi-head attention, and activations by name.

Letters in shape comments: B batch, Q queries, K keys, H heads, D head width, C features.
"""

from collections.abc import Callable, Mapping
from types import MappingProxyType

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.models import parameters
from litefocus_jax.system.json_config import ConfigError


class Embedding(nnx.Module):
    """A table of vectors. Unlike ``nnx.Embed``, whose dtype is fixed when built, it answers in its weights' dtype."""

    def __init__(self, num_embeddings: int, features: int, *, rngs: nnx.Rngs) -> None:
        self.embedding = parameters.embeddings((num_embeddings, features), rngs)

    def __call__(self, ids: Int[Array, "*axes"]) -> Float[Array, "*axes features"]:
        """Look vectors up; an id past the end gives NaN, which is noticed, rather than a neighbour's vector."""
        return jnp.take(self.embedding[...], ids, axis=0, mode="fill", fill_value=jnp.nan)


def padded_to(length: int, array: Array) -> Array:
    """Zeros, or false, behind what each batch entry has along the second axis, until it is so long."""
    return jnp.pad(array, ((0, 0), (0, length - array.shape[1]), *[(0, 0)] * (array.ndim - 2)))


def multi_head_attention(
    query: Float[Array, "batch queries features"],
    key: Float[Array, "batch keys features"],
    value: Float[Array, "batch keys features"],
    *,
    num_heads: int,
    scale: float,
    mask: Bool[Array, "#batch 1 #queries keys"],
    bias: Float[Array, "1 heads queries keys"] | None = None,
) -> Float[Array, "batch queries features"]:
    """Dense attention with float32 scores and softmax, ``softmax(scale * query @ key + bias) @ value``.

    Prompts are short, so the plain form serves on every device. (``jax.nn.dot_product_attention`` refuses float16 on a
    CPU.)

    Args:
        query: what asks; the features of all heads lie side by side.
        key: what is compared.
        value: what is mixed.
        num_heads: number of heads, a divisor of the features.
        scale: multiplies the scores before the bias.
        mask: true where a query may look at a key.
        bias: added to the scores.
    """

    def split_heads(states: Array) -> Array:
        return states.reshape(*states.shape[:2], num_heads, -1)  # [B, Q or K, H, D]

    scores = scale * jnp.einsum(
        "bqhd,bkhd->bhqk", split_heads(query), split_heads(key), preferred_element_type=jnp.float32
    )
    if bias is not None:
        scores = scores + bias
    weights = jax.nn.softmax(jnp.where(mask, scores, jnp.finfo(jnp.float32).min), axis=-1)  # [B, H, Q, K]
    mixed = jnp.einsum("bhqk,bkhd->bqhd", weights.astype(value.dtype), split_heads(value))
    return mixed.reshape(query.shape)  # [B, Q, C]


Activation = Callable[[jax.Array], jax.Array]


def gelu_exact(x: jax.Array) -> jax.Array:
    """Gaussian error linear unit with the error function (Hendrycks and Gimpel, arXiv 1606.08415)."""
    return jax.nn.gelu(x, approximate=False)


def gelu_tanh(x: jax.Array) -> jax.Array:
    """Gaussian error linear unit in its tanh approximation, which GPT-2 and T5 v1.1 were trained with."""
    return jax.nn.gelu(x, approximate=True)


# JAX's own two are objects without a name, by which what was traced of a network could not be known again (`KeptJit`).


def relu(x: jax.Array) -> jax.Array:
    """Rectified linear unit."""
    return jax.nn.relu(x)


def silu(x: jax.Array) -> jax.Array:
    """Sigmoid linear unit, also called swish."""
    return jax.nn.silu(x)


ACTIVATIONS: Mapping[str, Activation] = MappingProxyType(
    {
        "gelu": gelu_exact,
        "gelu_new": gelu_tanh,
        "gelu_pytorch_tanh": gelu_tanh,
        "relu": relu,
        "silu": silu,
        "swish": silu,
        "tanh": jnp.tanh,
    }
)


def activation_named(name: str, field: str) -> Activation:
    """The activation that a configuration names.

    Args:
        name: a name as transformers spells it.
        field: the field of the configuration that held it, for the error message.

    Raises:
        ConfigError: when the name is not supported, with those that are.
    """
    if name not in ACTIVATIONS:
        raise ConfigError(f"{field} = {name!r} is not supported; expected one of {', '.join(ACTIVATIONS)}")
    return ACTIVATIONS[name]
