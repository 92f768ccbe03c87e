"""The encoder of T5 v1.1 and Flan-T5 (Raffel et al., arXiv 1910.10683; Shazeer, arXiv 2002.05202).

The numbers are those of transformers' ``T5EncoderModel``. With half-precision weights the residual stream stays in
float32: its values grow past what float16 holds, and past what bfloat16 resolves.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.models import parameters
from litefocus_jax.models.keys import KeyTable, Network, Rule, Tied
from litefocus_jax.models.text_layers import Embedding, gelu_tanh, multi_head_attention
from litefocus_jax.system.json_config import ConfigError, Count, Epsilon, JsonConfig, Layers
from litefocus_jax.system.messages import shown
from litefocus_jax.system.typed_json import Range


@dataclasses.dataclass(frozen=True)
class T5Config(JsonConfig):
    """Fields of transformers' ``T5EncoderModel`` JSON."""

    STRICT = False
    REQUIRED: ClassVar = {"is_decoder": (False,)}

    vocab_size: Count = 32128
    d_model: Count = 512
    d_kv: Count = 64
    d_ff: Count = 2048
    num_layers: Layers = 6
    num_heads: Count = 8
    relative_attention_num_buckets: Count = 32
    relative_attention_max_distance: Annotated[int, Range(1, 2**24)] = 128
    layer_norm_epsilon: Epsilon = 1e-6
    feed_forward_proj: str = "relu"
    pad_token_id: Annotated[int, Range(0, 2**31 - 1)] = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "configuration") -> Self:
        """Read a ``T5EncoderModel``'s JSON.

        Raises:
            ConfigError: when the JSON belongs to another model.
        """
        if values.get("model_type") not in ("t5", None):
            raise ConfigError(
                f"{source}: model_type = {shown(values['model_type'])} is not supported as the second text encoder; "
                "expected 't5'"
            )
        return super().from_dict(values, source)

    def __post_init__(self) -> None:
        if self.pad_token_id >= self.vocab_size:
            raise ConfigError(f"pad_token_id = {self.pad_token_id}; expected less than vocab_size = {self.vocab_size}")
        if self.feed_forward_proj not in ("relu", "gated-gelu"):
            raise ConfigError(
                f"feed_forward_proj = {self.feed_forward_proj!r} is not supported; expected 'relu' or 'gated-gelu'"
            )
        # A quarter of the buckets holds single distances behind the query; the rest widen up to the largest distance.
        if self.relative_attention_num_buckets < 4:
            raise ConfigError(
                f"relative_attention_num_buckets = {self.relative_attention_num_buckets} is too few; "
                "expected at least 4"
            )
        if self.relative_attention_max_distance <= self.relative_attention_num_buckets // 4:
            raise ConfigError(
                f"relative_attention_max_distance = {self.relative_attention_max_distance} is too short for "
                f"{self.relative_attention_num_buckets} buckets; expected more than a quarter of their number"
            )

    @property
    def is_gated(self) -> bool:
        """Whether the feed-forward networks have a gate (T5 v1.1 and Flan-T5)."""
        return self.feed_forward_proj.startswith("gated-")

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a ``T5EncoderModel``."""
        return {"architectures": ["T5EncoderModel"], "model_type": "t5", **super().to_dict()}

    @classmethod
    def tiny(cls) -> Self:
        """Two gated blocks, a few features wide, with distances that short prompts exhaust."""
        return cls(
            vocab_size=300,
            d_model=24,
            d_kv=6,
            d_ff=32,
            num_layers=2,
            num_heads=2,
            relative_attention_num_buckets=8,
            relative_attention_max_distance=12,
            feed_forward_proj="gated-gelu",
        )


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
    """Root mean square normalisation (arXiv 1910.07467) in float32; the result has the weights' dtype.

    ``nnx.RMSNorm`` would answer in float32, as the residual stream is, and every product after it would be of float32.
    """

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
    """Bidirectional self-attention; scores are not scaled, the initial weights of T5 having taken that in.

    ``nnx.MultiHeadAttention`` scales them, and takes no bias that layers share.
    """

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


_T5_BLOCK = r"encoder.block.{n:\d+}.layer."
_T5_BIAS = "encoder.block.0.layer.0.SelfAttention.relative_attention_bias.weight"

_RULES = (
    Rule("shared.weight", "token_embedding.embedding"),
    Rule(_T5_BIAS, "relative_position_bias.buckets.embedding"),
    Rule(_T5_BLOCK + "0.layer_norm.weight", "blocks.{n}.attention_norm.scale"),
    Rule(_T5_BLOCK + "0.SelfAttention.q.weight", "blocks.{n}.attention.query.kernel", "linear"),
    Rule(_T5_BLOCK + "0.SelfAttention.k.weight", "blocks.{n}.attention.key.kernel", "linear"),
    Rule(_T5_BLOCK + "0.SelfAttention.v.weight", "blocks.{n}.attention.value.kernel", "linear"),
    Rule(_T5_BLOCK + "0.SelfAttention.o.weight", "blocks.{n}.attention.output.kernel", "linear"),
    Rule(_T5_BLOCK + "1.layer_norm.weight", "blocks.{n}.feed_forward_norm.scale"),
    # Gated feed-forward networks have wi_0 and wi_1, others wi.
    Rule(_T5_BLOCK + "1.DenseReluDense.wi_0.weight", "blocks.{n}.feed_forward.gate.kernel", "linear", optional=True),
    Rule(_T5_BLOCK + "1.DenseReluDense.wi_1.weight", "blocks.{n}.feed_forward.value.kernel", "linear", optional=True),
    Rule(_T5_BLOCK + "1.DenseReluDense.wi.weight", "blocks.{n}.feed_forward.up.kernel", "linear", optional=True),
    Rule(_T5_BLOCK + "1.DenseReluDense.wo.weight", "blocks.{n}.feed_forward.down.kernel", "linear"),
    Rule("encoder.final_layer_norm.weight", "final_norm.scale"),
)
_IGNORED = (
    # A whole T5 may be stored; only its encoder is used.
    "decoder.{rest}",
    "lm_head.weight",
)
_ORIGINAL = (Rule("cond_stage_models.1.model.{rest}", "{rest}"),)

NETWORK = Network(
    config_class=T5Config,
    model_class=T5Encoder,
    keys=KeyTable(_RULES, _IGNORED, spellings=(Tied("shared.weight", "encoder.embed_tokens.weight"),)),
    library="transformers",
    class_names=("T5EncoderModel",),
    model_type="t5",
    original=lambda config: _ORIGINAL,
)
