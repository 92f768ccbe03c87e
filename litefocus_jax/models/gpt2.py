"""GPT-2 as AudioLDM2 uses it: it continues a sequence of vectors, and its tokens play no part.

Radford et al., "Language Models are Unsupervised Multitask Learners" (2019); AudioLDM2, arXiv 2308.05734, section 3.2.
Letters in shape comments: B batch, P prompt, N new vectors, S = P + N - 1 places in the cache, C features.
"""

import dataclasses
from typing import Any, ClassVar, NamedTuple, Self, TypeAlias

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.models import parameters
from litefocus_jax.models.keys import KeyTable, Network, Prefix, Rule
from litefocus_jax.models.layers import LayerNorm
from litefocus_jax.models.text_layers import Embedding, activation_named, multi_head_attention
from litefocus_jax.system.json_config import ConfigError, Count, Epsilon, JsonConfig, Layers


@dataclasses.dataclass(frozen=True)
class GPT2Config(JsonConfig):
    """Fields of transformers' ``GPT2Model`` JSON, with AudioLDM2's ``max_new_tokens``."""

    STRICT = False
    REQUIRED: ClassVar = {"add_cross_attention": (False,), "model_type": ("gpt2",)}

    vocab_size: Count = 50257
    n_positions: Count = 1024
    n_embd: Count = 768
    n_layer: Layers = 12
    n_head: Count = 12
    n_inner: Count | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: Epsilon = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    max_new_tokens: Count = 8

    def __post_init__(self) -> None:
        activation_named(self.activation_function, "activation_function")
        if self.n_embd % self.n_head:
            raise ConfigError(f"n_embd = {self.n_embd} is not a multiple of n_head = {self.n_head}")
        if self.max_new_tokens > self.n_positions:
            raise ConfigError(
                f"max_new_tokens = {self.max_new_tokens} is more than n_positions = {self.n_positions}; expected fewer"
            )

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a ``GPT2Model``."""
        return {"architectures": ["GPT2Model"], "model_type": "gpt2", **super().to_dict()}

    @classmethod
    def tiny(cls) -> Self:
        """Two layers, a few features wide, generating four vectors."""
        return cls(vocab_size=30, n_positions=96, n_embd=16, n_layer=2, n_head=2, max_new_tokens=4)


class KeyValues(NamedTuple):
    """Keys and values of one layer for the whole sequence; places not yet reached hold zeros."""

    key: Float[Array, "batch places features"]
    value: Float[Array, "batch places features"]


Cache: TypeAlias = tuple[KeyValues, ...]
"""One entry per layer."""


class GPT2Attention(nnx.Module):
    """Self-attention that writes its keys and values into a cache and looks at the whole of it.

    ``nnx.MultiHeadAttention`` keeps such a cache in itself; here it goes in and out, as a pure function's state does.
    """

    def __init__(self, config: GPT2Config, layer_index: int, *, rngs: nnx.Rngs) -> None:
        self.num_heads = config.n_head
        scale = (config.n_embd // config.n_head) ** -0.5 if config.scale_attn_weights else 1.0
        self.scale = scale / (layer_index + 1) if config.scale_attn_by_inverse_layer_idx else scale
        self.query_key_value = parameters.linear(config.n_embd, 3 * config.n_embd, rngs=rngs)
        self.output = parameters.linear(config.n_embd, config.n_embd, rngs=rngs)

    def __call__(
        self,
        hidden: Float[Array, "batch tokens features"],
        mask: Bool[Array, "batch 1 tokens places"],
        cache: KeyValues,
        start: Int[Array, ""] | int,
    ) -> tuple[Float[Array, "batch tokens features"], KeyValues]:
        """Mix vectors standing at the places from ``start`` on; also returns the cache with theirs written in."""
        query, key, value = jnp.split(self.query_key_value(hidden), 3, axis=-1)
        cache = KeyValues(
            jax.lax.dynamic_update_slice_in_dim(cache.key, key, start, axis=1),
            jax.lax.dynamic_update_slice_in_dim(cache.value, value, start, axis=1),
        )
        mixed = multi_head_attention(
            query, cache.key, cache.value, num_heads=self.num_heads, scale=self.scale, mask=mask
        )
        return self.output(mixed), cache


class GPT2FeedForward(nnx.Module):
    """Two linear layers with an activation between them."""

    def __init__(self, config: GPT2Config, *, rngs: nnx.Rngs) -> None:
        inner = 4 * config.n_embd if config.n_inner is None else config.n_inner
        self.activation = activation_named(config.activation_function, "activation_function")
        self.up = parameters.linear(config.n_embd, inner, rngs=rngs)
        self.down = parameters.linear(inner, config.n_embd, rngs=rngs)

    def __call__(self, x: Float[Array, "batch tokens features"]) -> Float[Array, "batch tokens features"]:
        """Transform each vector on its own."""
        return self.down(self.activation(self.up(x)))


class GPT2Block(nnx.Module):
    """Attention and a feed-forward network, each normalised before its residual sum."""

    def __init__(self, config: GPT2Config, layer_index: int, *, rngs: nnx.Rngs) -> None:
        self.attention_norm = LayerNorm(config.n_embd, epsilon=config.layer_norm_epsilon, rngs=rngs)
        self.attention = GPT2Attention(config, layer_index, rngs=rngs)
        self.feed_forward_norm = LayerNorm(config.n_embd, epsilon=config.layer_norm_epsilon, rngs=rngs)
        self.feed_forward = GPT2FeedForward(config, rngs=rngs)

    @jax.jit
    def __call__(
        self,
        hidden: Float[Array, "batch tokens features"],
        mask: Bool[Array, "batch 1 tokens places"],
        cache: KeyValues,
        start: Int[Array, ""] | int,
    ) -> tuple[Float[Array, "batch tokens features"], KeyValues]:
        """One block, with its cache brought up to date."""
        mixed, cache = self.attention(self.attention_norm(hidden), mask, cache, start)
        hidden = hidden + mixed
        return hidden + self.feed_forward(self.feed_forward_norm(hidden)), cache


class GPT2(nnx.Module):
    """A causal transformer over vectors.

    ``token_embedding`` is read by nothing here; it is kept so that a checkpoint can be written back whole.

    Raises:
        ConfigError: when the configuration names an unknown activation.
    """

    def __init__(self, config: GPT2Config, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.token_embedding = Embedding(config.vocab_size, config.n_embd, rngs=rngs)
        self.position_embedding = Embedding(config.n_positions, config.n_embd, rngs=rngs)
        self.blocks = nnx.List([GPT2Block(config, index, rngs=rngs) for index in range(config.n_layer)])
        self.final_norm = LayerNorm(config.n_embd, epsilon=config.layer_norm_epsilon, rngs=rngs)

    def __call__(
        self,
        inputs_embeds: Float[Array, "batch tokens features"],
        attention_mask: Bool[Array, "batch tokens"],
        position_ids: Int[Array, "*batch tokens"],
    ) -> Float[Array, "batch tokens features"]:
        """Last hidden states of a whole sequence at once.

        Args:
            inputs_embeds: the sequence.
            attention_mask: true (or 1) on vectors that later ones may look at.
            position_ids: place of each vector in the position embedding.

        Raises:
            ValueError: when the sequence is longer than the position embedding.
        """
        num_tokens = inputs_embeds.shape[1]
        self._check_length(num_tokens)
        hidden = self._embed(inputs_embeds, position_ids)
        mask = _causal_mask(attention_mask, num_tokens)
        return self._advance(hidden, mask, self._empty_cache(hidden, num_tokens), 0)[0]

    def generate(
        self,
        inputs_embeds: Float[Array, "batch prompt features"],
        attention_mask: Bool[Array, "batch prompt"],
        position_ids: Int[Array, "*batch prompt"],
        next_position: Int[Array, "*batch"] | int,
        max_new_tokens: int,
    ) -> Float[Array, "batch max_new_tokens features"]:
        """Continue a sequence by its own last hidden states, one after the other, with cached keys and values.

        The last column must be a real vector: the first new one is its hidden state. Columns before it may be padding
        of any amount, as long as they are masked and ``position_ids`` passes them over.

        Args:
            inputs_embeds: the prompt.
            attention_mask: true (or 1) on real columns, false (or 0) on padding.
            position_ids: place of each column in the position embedding.
            next_position: place of the first new vector, of all sequences or of each.
            max_new_tokens: number of new vectors, at least one; static.

        Returns:
            The new vectors, in the weights' dtype.

        Raises:
            ValueError: when ``max_new_tokens`` is below one, or prompt (with padding) and new vectors are more than
                the position embedding holds.
        """
        if max_new_tokens < 1:
            raise ValueError(f"max_new_tokens = {max_new_tokens}; expected at least 1")
        prompt_length = inputs_embeds.shape[1]
        num_places = prompt_length + max_new_tokens - 1  # the last new vector is not fed back
        self._check_length(num_places)

        hidden = self._embed(inputs_embeds, position_ids)
        cache = self._empty_cache(hidden, num_places)
        hidden, cache = self._advance(hidden, _causal_mask(attention_mask, num_places), cache, 0)
        first = hidden[:, -1:]  # [B, 1, C]

        new_columns = ((0, 0), (0, num_places - prompt_length))
        is_real = jnp.pad(attention_mask.astype(bool), new_columns, constant_values=True)

        def step(carry: tuple[Array, Cache], index: Array) -> tuple[tuple[Array, Cache], Array]:
            vector, cache = carry
            place = prompt_length + index
            mask = is_real & (jnp.arange(num_places) <= place)[None, :]
            hidden = self._embed(vector, jnp.expand_dims(next_position + index, -1))
            vector, cache = self._advance(hidden, mask[:, None, None, :], cache, place)
            return (vector, cache), vector[:, 0]

        _, following = jax.lax.scan(step, (first, cache), jnp.arange(max_new_tokens - 1))  # [N - 1, B, C]
        return jnp.concatenate([first, following.swapaxes(0, 1)], axis=1)

    def _check_length(self, length: int) -> None:
        if length > self.config.n_positions:
            raise ValueError(
                f"prompt and generated vectors take {length} positions, but the language model has n_positions = "
                f"{self.config.n_positions}; shorten the prompt, pad it less, or generate fewer vectors"
            )

    def _embed(self, vectors: Array, positions: Array) -> Array:
        embedded = self.position_embedding(positions)
        # [tokens, C] or [B, tokens, C], to the rank of the vectors
        embedded = embedded.reshape(-1, *embedded.shape[-2:])
        return vectors.astype(embedded.dtype) + embedded

    def _empty_cache(self, hidden: Array, num_places: int) -> Cache:
        zeros = jnp.zeros((hidden.shape[0], num_places, hidden.shape[2]), hidden.dtype)
        return (KeyValues(zeros, zeros),) * len(self.blocks)

    def _advance(self, hidden: Array, mask: Array, cache: Cache, start: Array | int) -> tuple[Array, Cache]:
        """Run all blocks on the vectors at the places from ``start`` on."""
        updated = []
        for block, layer_cache in zip(self.blocks, cache, strict=True):
            hidden, layer_cache = block(hidden, mask, layer_cache, start)
            updated.append(layer_cache)
        return self.final_norm(hidden), tuple(updated)


def _causal_mask(
    attention_mask: Bool[Array, "batch prompt"], num_places: int
) -> Bool[Array, "batch 1 prompt num_places"]:
    """Each column of the prompt looks at itself and at real columns before it; places past the prompt are empty."""
    prompt_length = attention_mask.shape[1]
    is_past = jnp.tril(jnp.ones((prompt_length, num_places), bool))
    is_real = jnp.pad(attention_mask.astype(bool), ((0, 0), (0, num_places - prompt_length)))
    return (is_past[None] & is_real[:, None, :])[:, None]


_GPT2_BLOCK = r"h.{n:\d+}."

# transformers stores the weights of GPT-2's linear layers ("Conv1D") as [in, out], as we do.
_RULES = (
    Rule("wte.weight", "token_embedding.embedding"),
    Rule("wpe.weight", "position_embedding.embedding"),
    Rule(_GPT2_BLOCK + "ln_1.weight", "blocks.{n}.attention_norm.scale"),
    Rule(_GPT2_BLOCK + "ln_1.bias", "blocks.{n}.attention_norm.bias"),
    Rule(_GPT2_BLOCK + "attn.c_attn.weight", "blocks.{n}.attention.query_key_value.kernel"),
    Rule(_GPT2_BLOCK + "attn.c_attn.bias", "blocks.{n}.attention.query_key_value.bias"),
    Rule(_GPT2_BLOCK + "attn.c_proj.weight", "blocks.{n}.attention.output.kernel"),
    Rule(_GPT2_BLOCK + "attn.c_proj.bias", "blocks.{n}.attention.output.bias"),
    Rule(_GPT2_BLOCK + "ln_2.weight", "blocks.{n}.feed_forward_norm.scale"),
    Rule(_GPT2_BLOCK + "ln_2.bias", "blocks.{n}.feed_forward_norm.bias"),
    Rule(_GPT2_BLOCK + "mlp.c_fc.weight", "blocks.{n}.feed_forward.up.kernel"),
    Rule(_GPT2_BLOCK + "mlp.c_fc.bias", "blocks.{n}.feed_forward.up.bias"),
    Rule(_GPT2_BLOCK + "mlp.c_proj.weight", "blocks.{n}.feed_forward.down.kernel"),
    Rule(_GPT2_BLOCK + "mlp.c_proj.bias", "blocks.{n}.feed_forward.down.bias"),
    Rule("ln_f.weight", "final_norm.scale"),
    Rule("ln_f.bias", "final_norm.bias"),
)
_IGNORED = (
    # Buffers of old files: the causal mask and the number that masks.
    r"h.{n:\d+}.attn.{buffer:bias|masked_bias}",
    # Tied to wte; no tokens are predicted.
    "lm_head.weight",
)
_ORIGINAL = (Rule("cond_stage_models.0.model.{rest}", "{rest}"),)

NETWORK = Network(
    config_class=GPT2Config,
    model_class=GPT2,
    keys=KeyTable(_RULES, _IGNORED, spellings=(Prefix("transformer."),)),
    library="transformers",
    # As published it is a GPT2Model; diffusers calls a method on it that transformers 5 has only on the
    # GPT2LMHeadModel around it, whose head is tied to the embedding and not stored.
    class_names=("GPT2LMHeadModel", "GPT2Model"),
    model_type="gpt2",
    written_prefix="transformer.",
    # It generates vectors; transformers' own numbers of these tokens may lie outside of a small vocabulary.
    extra_config=(("bos_token_id", None), ("eos_token_id", None)),
    original=lambda config: _ORIGINAL,
)
