"""The encoder of T5 v1.1 and Flan-T5 (Raffel et al., arXiv 1910.10683; Shazeer, arXiv 2002.05202).

The numbers are those of transformers' ``T5EncoderModel``. With half-precision weights the residual stream stays in
float32: its values grow past what float16 holds, and past what bfloat16 resolves.
"""

import math

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.config import T5Config
from litefocus_jax.models import parameters
from litefocus_jax.models.activations import gelu_tanh
from litefocus_jax.models.text_layers import Embedding, multi_head_attention


def relative_position_buckets(distances: np.ndarray, num_buckets: int, max_distance: int) -> np.ndarray:
    """The bucket of each signed distance from a query to a key.

    One half of the buckets is for keys behind the query, the other for keys ahead. In each half, short distances have
    a bucket of their own; longer ones share buckets that widen logarithmically, and the last holds everything from
    ``max_distance`` on.

    Args:
        distances: integers, key position minus query position.
        num_buckets: buckets in all.
        max_distance: distance from which all share the last bucket.
    """
    half = num_buckets // 2
    exact = half // 2
    magnitude = np.abs(distances)
    ratio = np.log(np.maximum(magnitude, exact) / exact) / math.log(max_distance / exact)
    logarithmic = np.minimum(exact + (ratio * (half - exact)).astype(np.int32), half - 1)
    return np.where(distances > 0, half, 0) + np.where(magnitude < exact, magnitude, logarithmic)


class T5RelativePositionBias(nnx.Module):
    """A learned score per head and bucket of distance, shared by all blocks."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.num_buckets = config.relative_attention_num_buckets
        self.max_distance = config.relative_attention_max_distance
        self.buckets = Embedding(config.relative_attention_num_buckets, config.num_heads, rngs=rngs)

    def __call__(self, num_tokens: int) -> Float[Array, "1 heads tokens tokens"]:
        """The bias of every pair of positions, in float32."""
        # On the host, in float64: the edges of buckets are exact logarithms, which a device may round either way.
        distances = np.arange(1 - num_tokens, num_tokens)
        buckets = relative_position_buckets(distances, self.num_buckets, self.max_distance)
        per_distance = self.buckets(jnp.asarray(buckets)).astype(jnp.float32)  # [2 * K - 1, H]
        positions = np.arange(num_tokens)
        bias = per_distance[positions[None, :] - positions[:, None] + num_tokens - 1]  # [Q, K, H]
        return bias.transpose(2, 0, 1)[None]


class RMSNorm(nnx.Module):
    """Root mean square normalisation (arXiv 1910.07467) in float32; the result has the weights' dtype."""

    def __init__(self, features: int, *, epsilon: float, rngs: nnx.Rngs) -> None:
        self.epsilon = epsilon
        self.scale = parameters.ones((features,), rngs)

    def __call__(self, x: Float[Array, "*axes features"]) -> Float[Array, "*axes features"]:
        """Divide each vector by its root mean square, then scale each feature."""
        x = x.astype(jnp.float32)
        scale = self.scale[...]
        normalised = x * jax.lax.rsqrt(jnp.mean(jnp.square(x), axis=-1, keepdims=True) + self.epsilon)
        return normalised.astype(scale.dtype) * scale


class T5Attention(nnx.Module):
    """Bidirectional self-attention; scores are not scaled, the initial weights of T5 having taken that in."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.num_heads = config.num_heads
        inner = config.num_heads * config.d_kv
        self.query = parameters.linear(config.d_model, inner, use_bias=False, rngs=rngs)
        self.key = parameters.linear(config.d_model, inner, use_bias=False, rngs=rngs)
        self.value = parameters.linear(config.d_model, inner, use_bias=False, rngs=rngs)
        self.output = _linear_to_float32(inner, config.d_model, rngs)

    def __call__(
        self,
        hidden: Float[Array, "batch tokens d_model"],
        mask: Bool[Array, "batch 1 1 tokens"],
        bias: Float[Array, "1 heads tokens tokens"],
    ) -> Float[Array, "batch tokens d_model"]:
        """Mix tokens, looking only at those under the mask."""
        mixed = multi_head_attention(
            self.query(hidden),
            self.key(hidden),
            self.value(hidden),
            num_heads=self.num_heads,
            scale=1.0,
            mask=mask,
            bias=bias,
        )
        return self.output(mixed)


class T5FeedForward(nnx.Module):
    """Two linear layers with relu between them."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.up = parameters.linear(config.d_model, config.d_ff, use_bias=False, rngs=rngs)
        self.down = _linear_to_float32(config.d_ff, config.d_model, rngs)

    def __call__(self, x: Float[Array, "batch tokens d_model"]) -> Float[Array, "batch tokens d_model"]:
        """Transform each token on its own."""
        return self.down(jax.nn.relu(self.up(x)))


class T5GatedFeedForward(nnx.Module):
    """A linear layer gated by the tanh-approximated gelu of another, as in T5 v1.1."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.gate = parameters.linear(config.d_model, config.d_ff, use_bias=False, rngs=rngs)
        self.value = parameters.linear(config.d_model, config.d_ff, use_bias=False, rngs=rngs)
        self.down = _linear_to_float32(config.d_ff, config.d_model, rngs)

    def __call__(self, x: Float[Array, "batch tokens d_model"]) -> Float[Array, "batch tokens d_model"]:
        """Transform each token on its own."""
        return self.down(gelu_tanh(self.gate(x)) * self.value(x))


class T5Block(nnx.Module):
    """Attention and a feed-forward network, each normalised before and added to the float32 residual stream."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        feed_forward = T5GatedFeedForward if config.is_gated else T5FeedForward
        self.attention_norm = RMSNorm(config.d_model, epsilon=config.layer_norm_epsilon, rngs=rngs)
        self.attention = T5Attention(config, rngs=rngs)
        self.feed_forward_norm = RMSNorm(config.d_model, epsilon=config.layer_norm_epsilon, rngs=rngs)
        self.feed_forward = feed_forward(config, rngs=rngs)

    @jax.jit
    def __call__(
        self,
        hidden: Float[Array, "batch tokens d_model"],
        mask: Bool[Array, "batch 1 1 tokens"],
        bias: Float[Array, "1 heads tokens tokens"],
    ) -> Float[Array, "batch tokens d_model"]:
        """One block of the encoder."""
        hidden = hidden + self.attention(self.attention_norm(hidden), mask, bias)
        return hidden + self.feed_forward(self.feed_forward_norm(hidden))


class T5Encoder(nnx.Module):
    """Token ids to one vector per token."""

    def __init__(self, config: T5Config, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.token_embedding = Embedding(config.vocab_size, config.d_model, rngs=rngs)
        self.relative_position_bias = T5RelativePositionBias(config, rngs=rngs)
        self.blocks = nnx.List([T5Block(config, rngs=rngs) for _ in range(config.num_layers)])
        self.final_norm = RMSNorm(config.d_model, epsilon=config.layer_norm_epsilon, rngs=rngs)

    def __call__(
        self, input_ids: Int[Array, "batch tokens"], attention_mask: Bool[Array, "batch tokens"]
    ) -> Float[Array, "batch tokens d_model"]:
        """Encode a batch; padding on the right changes no token's vector.

        Args:
            input_ids: token ids.
            attention_mask: true (or 1) on tokens, false (or 0) on padding.

        Returns:
            Vectors in the weights' dtype. Those of padding are finite and mean nothing.
        """
        mask = attention_mask.astype(bool)[:, None, None, :]  # [B, 1, 1, K]
        bias = self.relative_position_bias(input_ids.shape[1])
        hidden = self.token_embedding(input_ids).astype(jnp.float32)
        for block in self.blocks:
            hidden = block(hidden, mask, bias)
        return self.final_norm(hidden)


def _linear_to_float32(in_features: int, out_features: int, rngs: nnx.Rngs) -> nnx.Linear:
    """A linear layer that writes to the residual stream: multiplied in the weights' dtype, summed into float32."""
    return parameters.linear(in_features, out_features, use_bias=False, preferred_element_type=jnp.float32, rngs=rngs)
