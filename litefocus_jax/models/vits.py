"""VITS' encoder of phonemes, which reads what an AudioLDM2 for speech is to say.

Kim et al., "Conditional Variational Autoencoder with Adversarial Learning for End-to-End Text-to-Speech" (arXiv
2106.06103), section 2.5.1: a transformer with relative positions (Shaw et al., arXiv 1803.02155) within a few symbols.
Letters in shape comments: B batch, T symbols, H heads, D head width, W window, C features.
"""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Self

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.models import parameters
from litefocus_jax.models.keys import KeyTable, Network, Rule
from litefocus_jax.models.layers import LayerNorm
from litefocus_jax.models.text_layers import Embedding, activation_named
from litefocus_jax.system.json_config import ConfigError, Count, Epsilon, JsonConfig, Layers
from litefocus_jax.system.messages import shown
from litefocus_jax.system.typed_json import Range


@dataclasses.dataclass(frozen=True)
class VitsConfig(JsonConfig):
    """Fields of transformers' ``VitsModel`` JSON that its encoder of text goes by."""

    STRICT = False

    vocab_size: Count = 38
    hidden_size: Count = 192
    num_hidden_layers: Layers = 6
    num_attention_heads: Count = 2
    window_size: Annotated[int, Range(1, 1024)] = 4
    use_bias: bool = True
    ffn_dim: Count = 768
    ffn_kernel_size: Annotated[int, Range(1, 64)] = 3
    flow_size: Count = 192
    hidden_act: str = "relu"
    layer_norm_eps: Epsilon = 1e-5

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "configuration") -> Self:
        """Read a ``VitsModel``'s JSON.

        Raises:
            ConfigError: when the JSON belongs to another model.
        """
        if values.get("model_type") not in ("vits", None):
            raise ConfigError(f"{source}: model_type = {shown(values['model_type'])}; expected 'vits'")
        return super().from_dict(values, source)

    def __post_init__(self) -> None:
        activation_named(self.hidden_act, "hidden_act")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"hidden_size = {self.hidden_size} is not a multiple of num_attention_heads = "
                f"{self.num_attention_heads}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a ``VitsModel``."""
        return {"architectures": ["VitsModel"], "model_type": "vits", **super().to_dict()}

    @classmethod
    def tiny(cls) -> Self:
        """Two layers, a few features wide, that know the symbols of the published models."""
        return cls(
            vocab_size=183,
            hidden_size=24,
            num_hidden_layers=2,
            num_attention_heads=2,
            window_size=3,
            ffn_dim=32,
            flow_size=8,
        )


class VitsAttention(nnx.Module):
    """Self-attention that also goes by how far apart two symbols are, up to ``window_size``; all heads alike."""

    def __init__(self, config: VitsConfig, *, rngs: nnx.Rngs) -> None:
        width, bias = config.hidden_size, config.use_bias
        self.num_heads, self.window = config.num_attention_heads, config.window_size
        self.query = parameters.linear(width, width, use_bias=bias, rngs=rngs)
        self.key = parameters.linear(width, width, use_bias=bias, rngs=rngs)
        self.value = parameters.linear(width, width, use_bias=bias, rngs=rngs)
        self.output = parameters.linear(width, width, use_bias=bias, rngs=rngs)
        # [1, 2W + 1, D], as stored: from W symbols before the query to W after it
        relative = (1, 2 * config.window_size + 1, width // config.num_attention_heads)
        self.relative_keys = parameters.kernel(relative, rngs)
        self.relative_values = parameters.kernel(relative, rngs)

    def __call__(
        self, hidden: Float[Array, "batch symbols features"], mask: Bool[Array, "batch symbols"]
    ) -> Float[Array, "batch symbols features"]:
        """Mix each vector with those that are not padding."""
        batch, symbols, features = hidden.shape
        split = (batch, symbols, self.num_heads, features // self.num_heads)
        scale = (features // self.num_heads) ** -0.5
        query = self.query(hidden).reshape(split) * scale
        key, value = self.key(hidden).reshape(split), self.value(hidden).reshape(split)
        distance = jnp.arange(symbols)[None, :] - jnp.arange(symbols)[:, None]  # [T, T]
        is_near = jnp.abs(distance) <= self.window
        place = jnp.clip(distance + self.window, 0, 2 * self.window)

        scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32)
        near = jnp.einsum("bqhd,rd->bhqr", query, self.relative_keys[...][0], preferred_element_type=jnp.float32)
        near = jnp.take_along_axis(near, jnp.broadcast_to(place, scores.shape), axis=-1)
        scores = jnp.where(mask[:, None, None, :], scores + jnp.where(is_near, near, 0), jnp.finfo(jnp.float32).min)
        weights = jax.nn.softmax(scores, axis=-1)  # [B, H, T, T]
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights.astype(value.dtype), value)

        # The weight of what stands r symbols further, for each r; nothing stands beyond the ends.
        padded = jnp.pad(weights, ((0, 0), (0, 0), (0, 0), (self.window, self.window)))
        reached = jnp.arange(symbols)[:, None] + jnp.arange(2 * self.window + 1)[None, :]  # [T, 2W + 1]
        by_distance = jnp.take_along_axis(padded, jnp.broadcast_to(reached, (*weights.shape[:3], reached.shape[1])), -1)
        mixed = mixed + jnp.einsum("bhqr,rd->bqhd", by_distance.astype(value.dtype), self.relative_values[...][0])
        return self.output(mixed.reshape(hidden.shape))


class VitsFeedForward(nnx.Module):
    """Two convolutions along the symbols, with an activation between them."""

    def __init__(self, config: VitsConfig, *, rngs: nnx.Rngs) -> None:
        width = config.ffn_kernel_size
        padding = [((width - 1) // 2, width // 2)]
        self.activation = activation_named(config.hidden_act, "hidden_act")
        self.conv_1 = parameters.conv(config.hidden_size, config.ffn_dim, (width,), padding=padding, rngs=rngs)
        self.conv_2 = parameters.conv(config.ffn_dim, config.hidden_size, (width,), padding=padding, rngs=rngs)

    def __call__(
        self, hidden: Float[Array, "batch symbols features"], kept: Float[Array, "batch symbols 1"]
    ) -> Float[Array, "batch symbols features"]:
        """Transform each vector with its neighbours; ``kept`` is 0 on padding, which counts as silence."""
        return self.conv_2(self.activation(self.conv_1(hidden * kept)) * kept) * kept


class VitsBlock(nnx.Module):
    """Attention and a feed-forward network, each normalised after its residual sum."""

    def __init__(self, config: VitsConfig, *, rngs: nnx.Rngs) -> None:
        self.attention = VitsAttention(config, rngs=rngs)
        self.attention_norm = LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps, rngs=rngs)
        self.feed_forward = VitsFeedForward(config, rngs=rngs)
        self.feed_forward_norm = LayerNorm(config.hidden_size, epsilon=config.layer_norm_eps, rngs=rngs)

    @jax.jit
    def __call__(
        self, hidden: Float[Array, "batch symbols features"], mask: Bool[Array, "batch symbols"]
    ) -> Float[Array, "batch symbols features"]:
        """One block."""
        hidden = self.attention_norm(hidden + self.attention(hidden, mask))
        kept = mask[..., None].astype(hidden.dtype)
        return self.feed_forward_norm(hidden + self.feed_forward(hidden, kept))


class VitsTextEncoder(nnx.Module):
    """The ``text_encoder`` of a ``VitsModel``, up to its hidden states.

    ``project``, which makes means and variances of these, is read by nothing here; it is kept so that a checkpoint can
    be written back whole.

    Raises:
        ConfigError: when the configuration names an unknown activation.
    """

    def __init__(self, config: VitsConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.token_embedding = Embedding(config.vocab_size, config.hidden_size, rngs=rngs)
        self.blocks = nnx.List([VitsBlock(config, rngs=rngs) for _ in range(config.num_hidden_layers)])
        self.project = parameters.linear(config.hidden_size, 2 * config.flow_size, rngs=rngs)

    def __call__(
        self, input_ids: Int[Array, "batch symbols"], attention_mask: Bool[Array, "batch symbols"]
    ) -> Float[Array, "batch symbols features"]:
        """Last hidden states; zeros on padding.

        Args:
            input_ids: numbers of phonemes.
            attention_mask: true (or 1) on phonemes, false (or 0) on padding, of which a row may be made altogether.
        """
        mask = attention_mask.astype(bool)
        kept = mask[..., None]
        hidden = self.token_embedding(input_ids) * math.sqrt(self.config.hidden_size)
        hidden = jnp.where(kept, hidden, 0)
        for block in self.blocks:
            hidden = block(hidden, mask)
        return jnp.where(kept, hidden, 0)


_LAYER = r"text_encoder.encoder.layers.{n:\d+}."
_PROJECTIONS = {"q_proj": "query", "k_proj": "key", "v_proj": "value", "out_proj": "output"}

_RULES = (
    Rule("text_encoder.embed_tokens.weight", "token_embedding.embedding"),
    *(
        rule
        for theirs, ours in _PROJECTIONS.items()
        for rule in (
            Rule(f"{_LAYER}attention.{theirs}.weight", f"blocks.{{n}}.attention.{ours}.kernel", "linear"),
            Rule(f"{_LAYER}attention.{theirs}.bias", f"blocks.{{n}}.attention.{ours}.bias", optional=True),
        )
    ),
    Rule(_LAYER + "attention.emb_rel_k", "blocks.{n}.attention.relative_keys"),
    Rule(_LAYER + "attention.emb_rel_v", "blocks.{n}.attention.relative_values"),
    Rule(_LAYER + "layer_norm.weight", "blocks.{n}.attention_norm.scale"),
    Rule(_LAYER + "layer_norm.bias", "blocks.{n}.attention_norm.bias"),
    Rule(_LAYER + "feed_forward.{conv:conv_[12]}.weight", "blocks.{n}.feed_forward.{conv}.kernel", "conv1d"),
    Rule(_LAYER + "feed_forward.{conv:conv_[12]}.bias", "blocks.{n}.feed_forward.{conv}.bias"),
    Rule(_LAYER + "final_layer_norm.weight", "blocks.{n}.feed_forward_norm.scale"),
    Rule(_LAYER + "final_layer_norm.bias", "blocks.{n}.feed_forward_norm.bias"),
    Rule("text_encoder.project.weight", "project.kernel", "linear_of_width_1"),
    Rule("text_encoder.project.bias", "project.bias"),
)
# The rest of VITS, which makes speech by itself; AudioLDM2 does not.
_IGNORED = ("{part:decoder|flow|posterior_encoder|duration_predictor|embed_speaker}.{rest}",)

_THEIRS = "cond_stage_models.0.cond_stage_models.1.text_encoder."
_THEIR_ATTENTION = _THEIRS + r"encoder.attn_layers.{n:\d+}."
_ORIGINAL = (
    Rule(_THEIRS + "emb.weight", "text_encoder.embed_tokens.weight"),
    *(
        rule
        for letter, name in {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "out_proj"}.items()
        for rule in (
            Rule(
                f"{_THEIR_ATTENTION}conv_{letter}.weight",
                f"text_encoder.encoder.layers.{{n}}.attention.{name}.weight",
                "from_width_1",
            ),
            Rule(f"{_THEIR_ATTENTION}conv_{letter}.bias", f"text_encoder.encoder.layers.{{n}}.attention.{name}.bias"),
        )
    ),
    Rule(_THEIR_ATTENTION + "{table:emb_rel_[kv]}", "text_encoder.encoder.layers.{n}.attention.{table}"),
    *(
        Rule(
            rf"{_THEIRS}encoder.norm_layers_{place}.{{n:\d+}}.{theirs}",
            f"text_encoder.encoder.layers.{{n}}.{norm}.{ours}",
        )
        for place, norm in ((1, "layer_norm"), (2, "final_layer_norm"))
        for theirs, ours in (("gamma", "weight"), ("beta", "bias"))
    ),
    Rule(
        _THEIRS + r"encoder.ffn_layers.{n:\d+}.{conv:conv_[12]}.{kind:weight|bias}",
        "text_encoder.encoder.layers.{n}.feed_forward.{conv}.{kind}",
    ),
    Rule(_THEIRS + "proj.{kind:weight|bias}", "text_encoder.project.{kind}"),
)

NETWORK = Network(
    config_class=VitsConfig,
    model_class=VitsTextEncoder,
    keys=KeyTable(_RULES, _IGNORED),
    library="transformers",
    class_names=("VitsModel",),
    model_type="vits",
    original=lambda config: _ORIGINAL,
)
