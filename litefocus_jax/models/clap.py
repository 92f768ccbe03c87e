"""The text tower of CLAP: a RoBERTa encoder whose first token, projected, is the prompt's place in the joint space.

Wu et al., "Large-scale Contrastive Language-Audio Pretraining" (arXiv 2211.06687). The numbers are those of
transformers' ``ClapModel.get_text_features``.
"""

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.config import ClapTextConfig
from litefocus_jax.models import parameters
from litefocus_jax.models.activations import activation_named
from litefocus_jax.models.layers import LayerNorm
from litefocus_jax.models.text_layers import Embedding, multi_head_attention


class ClapTextEmbeddings(nnx.Module):
    """The sum of word, position and segment embeddings, normalised."""

    def __init__(self, config: ClapTextConfig, *, rngs: nnx.Rngs) -> None:
        self.pad_token_id = config.pad_token_id
        self.word_embeddings = Embedding(config.vocab_size, config.hidden_size, rngs=rngs)
        self.position_embeddings = Embedding(config.max_position_embeddings, config.hidden_size, rngs=rngs)
        self.token_type_embeddings = Embedding(config.type_vocab_size, config.hidden_size, rngs=rngs)
        self.norm = LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps, rngs=rngs)

    def __call__(self, input_ids: Int[Array, "batch tokens"]) -> Float[Array, "batch tokens hidden_size"]:
        """Embed token ids. Positions count the tokens that are not padding, from ``pad_token_id + 1`` (fairseq)."""
        is_token = (input_ids != self.pad_token_id).astype(jnp.int32)
        positions = jnp.cumsum(is_token, axis=1) * is_token + self.pad_token_id
        segments = jnp.zeros_like(input_ids)  # one prompt is one segment
        return self.norm(
            self.word_embeddings(input_ids) + self.token_type_embeddings(segments) + self.position_embeddings(positions)
        )


class ClapAttention(nnx.Module):
    """Bidirectional self-attention."""

    def __init__(self, config: ClapTextConfig, *, rngs: nnx.Rngs) -> None:
        self.num_heads = config.num_attention_heads
        self.scale = (config.hidden_size // config.num_attention_heads) ** -0.5
        self.query = parameters.linear(config.hidden_size, config.hidden_size, rngs=rngs)
        self.key = parameters.linear(config.hidden_size, config.hidden_size, rngs=rngs)
        self.value = parameters.linear(config.hidden_size, config.hidden_size, rngs=rngs)
        self.output = parameters.linear(config.hidden_size, config.hidden_size, rngs=rngs)

    def __call__(
        self, hidden: Float[Array, "batch tokens hidden_size"], mask: Bool[Array, "batch 1 1 tokens"]
    ) -> Float[Array, "batch tokens hidden_size"]:
        """Mix tokens, looking only at those under the mask."""
        mixed = multi_head_attention(
            self.query(hidden),
            self.key(hidden),
            self.value(hidden),
            num_heads=self.num_heads,
            scale=self.scale,
            mask=mask,
        )
        return self.output(mixed)


class ClapTextLayer(nnx.Module):
    """Attention and a feed-forward network, each normalised after its residual sum, as in BERT."""

    def __init__(self, config: ClapTextConfig, *, rngs: nnx.Rngs) -> None:
        self.activation = activation_named(config.hidden_act, "hidden_act")
        self.attention = ClapAttention(config, rngs=rngs)
        self.attention_norm = LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps, rngs=rngs)
        self.intermediate = parameters.linear(config.hidden_size, config.intermediate_size, rngs=rngs)
        self.output = parameters.linear(config.intermediate_size, config.hidden_size, rngs=rngs)
        self.output_norm = LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps, rngs=rngs)

    @jax.jit
    def __call__(
        self, hidden: Float[Array, "batch tokens hidden_size"], mask: Bool[Array, "batch 1 1 tokens"]
    ) -> Float[Array, "batch tokens hidden_size"]:
        """One layer of the encoder."""
        hidden = self.attention_norm(hidden + self.attention(hidden, mask))
        return self.output_norm(hidden + self.output(self.activation(self.intermediate(hidden))))


class ClapProjection(nnx.Module):
    """Two linear layers into the space that text and sound share."""

    def __init__(self, config: ClapTextConfig, *, rngs: nnx.Rngs) -> None:
        self.activation = activation_named(config.projection_hidden_act, "projection_hidden_act")
        self.linear1 = parameters.linear(config.hidden_size, config.projection_dim, rngs=rngs)
        self.linear2 = parameters.linear(config.projection_dim, config.projection_dim, rngs=rngs)

    def __call__(self, pooled: Float[Array, "batch hidden_size"]) -> Float[Array, "batch projection_dim"]:
        """Project pooled features."""
        return self.linear2(self.activation(self.linear1(pooled)))


class ClapTextModel(nnx.Module):
    """Token ids to one unit vector per prompt.

    Padding with ``pad_token_id`` changes nothing: positions count tokens only, and no token sees padding. Prompts may
    therefore be padded to any length, although diffusers pads them to the tokenizer's maximum.

    Raises:
        ConfigError: when the configuration names an unknown activation.
    """

    def __init__(self, config: ClapTextConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.embeddings = ClapTextEmbeddings(config, rngs=rngs)
        self.layers = nnx.List([ClapTextLayer(config, rngs=rngs) for _ in range(config.num_hidden_layers)])
        self.pooler = parameters.linear(config.hidden_size, config.hidden_size, rngs=rngs)
        self.projection = ClapProjection(config, rngs=rngs)

    def __call__(
        self, input_ids: Int[Array, "batch tokens"], attention_mask: Bool[Array, "batch tokens"]
    ) -> Float[Array, "batch projection_dim"]:
        """Features of length one.

        Args:
            input_ids: token ids; their first column is the start token, which stands for the whole prompt.
            attention_mask: true (or 1) on tokens, false (or 0) on padding.
        """
        mask = attention_mask.astype(bool)[:, None, None, :]  # [B, 1, 1, K]
        hidden = self.embeddings(input_ids)
        for layer in self.layers:
            hidden = layer(hidden, mask)
        features = self.projection(jnp.tanh(self.pooler(hidden[:, 0])))
        norm = jnp.linalg.norm(features.astype(jnp.float32), axis=-1, keepdims=True)
        return (features / jnp.maximum(norm, 1e-12)).astype(features.dtype)
