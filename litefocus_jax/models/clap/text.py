"""The text tower of CLAP: a RoBERTa encoder whose first token, projected, is the prompt's place in the joint space.

Wu et al., "Large-scale Contrastive Language-Audio Pretraining" (arXiv 2211.06687). The numbers are those of
transformers' ``ClapModel.get_text_features``.
"""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.models import parameters
from litefocus_jax.models.clap.deaf_audio import DEAF_AUDIO_CONFIG, deaf_audio_tensors
from litefocus_jax.models.clap.projection import ClapProjection, unit_vectors
from litefocus_jax.models.keys import KeyTable, Network, Rule
from litefocus_jax.models.layers import LayerNorm
from litefocus_jax.models.text_layers import Embedding, activation_named, multi_head_attention
from litefocus_jax.system.json_config import ConfigError, Count, Epsilon, JsonConfig, Layers
from litefocus_jax.system.messages import shown
from litefocus_jax.system.typed_json import Range


@dataclasses.dataclass(frozen=True)
class ClapTextConfig(JsonConfig):
    """The text tower of transformers' ``ClapModel``: a RoBERTa encoder, its pooler and a two-layer projection."""

    STRICT = False
    REQUIRED: ClassVar = {
        "is_decoder": (False,),
        "add_cross_attention": (False,),
        "position_embedding_type": ("absolute",),
    }

    vocab_size: Count = 50265
    hidden_size: Count = 768
    num_hidden_layers: Layers = 12
    num_attention_heads: Count = 12
    intermediate_size: Count = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: Count = 514
    type_vocab_size: Count = 1
    layer_norm_eps: Epsilon = 1e-12
    pad_token_id: Annotated[int, Range(0, 2**31 - 1)] = 1
    projection_dim: Count = 512
    projection_hidden_act: str = "relu"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "configuration") -> Self:
        """Read a ``ClapModel``'s JSON (text fields under ``text_config``) or a text tower's own.

        As in transformers, the outer ``projection_dim`` and ``projection_hidden_act`` win over the text tower's.

        Raises:
            ConfigError: when the JSON belongs to another model, or a field is not supported.
        """
        if values.get("model_type") not in ("clap", "clap_text_model", None):
            raise ConfigError(f"{source}: model_type = {shown(values['model_type'])}; expected 'clap'")
        if "text_config" in values:
            shared = {key: values[key] for key in ("projection_dim", "projection_hidden_act") if key in values}
            defaults = {"projection_dim": 512, "projection_hidden_act": "relu"}
            if not isinstance(values["text_config"], Mapping):
                raise ConfigError(f"{source}: text_config = {shown(values['text_config'])}; expected an object")
            values = {**values["text_config"], **defaults, **shared}
        return super().from_dict(values, source)

    def __post_init__(self) -> None:
        for name in ("hidden_act", "projection_hidden_act"):
            activation_named(getattr(self, name), name)
        for name, most in (("pad_token_id", self.vocab_size), ("pad_token_id", self.max_position_embeddings)):
            if getattr(self, name) >= most:
                raise ConfigError(f"{name} = {getattr(self, name)}; expected less than {most}")
        if self.hidden_size % self.num_attention_heads:
            raise ConfigError(
                f"hidden_size = {self.hidden_size} is not a multiple of num_attention_heads = "
                f"{self.num_attention_heads}"
            )

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a ``ClapModel`` that has only its text tower."""
        projection = {key: getattr(self, key) for key in ("projection_dim", "projection_hidden_act")}
        return {"model_type": "clap", **projection, "text_config": dataclasses.asdict(self)}

    @classmethod
    def tiny(cls) -> Self:
        """Two layers, a few features wide; the vocabulary holds one token per byte."""
        return cls(
            vocab_size=300,
            hidden_size=16,
            num_hidden_layers=2,
            num_attention_heads=2,
            intermediate_size=32,
            max_position_embeddings=40,
            projection_dim=8,
        )


@dataclasses.dataclass(frozen=True)
class ClapTextAloneConfig(ClapTextConfig):
    """The same tower as transformers' ``ClapTextModelWithProjection`` has it: the text fields alone."""

    def to_dict(self) -> dict[str, Any]:
        """The JSON of the text tower."""
        return {"model_type": "clap_text_model", **dataclasses.asdict(self)}


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
    """Bidirectional self-attention; kernels of ``nnx.MultiHeadAttention`` have an axis of heads, unlike checkpoints."""

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
        self.projection = ClapProjection(
            config.hidden_size, config.projection_dim, activation=config.projection_hidden_act, rngs=rngs
        )

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
        return unit_vectors(self.projection(jnp.tanh(self.pooler(hidden[:, 0]))))


_CLAP_LAYER = r"text_model.encoder.layer.{n:\d+}."

_RULES = (
    Rule("text_model.embeddings.{table:[a-z_]+_embeddings}.weight", "embeddings.{table}.embedding"),
    Rule("text_model.embeddings.LayerNorm.weight", "embeddings.norm.scale"),
    Rule("text_model.embeddings.LayerNorm.bias", "embeddings.norm.bias"),
    Rule(_CLAP_LAYER + "attention.self.{role:query|key|value}.weight", "layers.{n}.attention.{role}.kernel", "linear"),
    Rule(_CLAP_LAYER + "attention.self.{role:query|key|value}.bias", "layers.{n}.attention.{role}.bias"),
    Rule(_CLAP_LAYER + "attention.output.dense.weight", "layers.{n}.attention.output.kernel", "linear"),
    Rule(_CLAP_LAYER + "attention.output.dense.bias", "layers.{n}.attention.output.bias"),
    Rule(_CLAP_LAYER + "attention.output.LayerNorm.weight", "layers.{n}.attention_norm.scale"),
    Rule(_CLAP_LAYER + "attention.output.LayerNorm.bias", "layers.{n}.attention_norm.bias"),
    Rule(_CLAP_LAYER + "{layer:intermediate|output}.dense.weight", "layers.{n}.{layer}.kernel", "linear"),
    Rule(_CLAP_LAYER + "{layer:intermediate|output}.dense.bias", "layers.{n}.{layer}.bias"),
    Rule(_CLAP_LAYER + "output.LayerNorm.weight", "layers.{n}.output_norm.scale"),
    Rule(_CLAP_LAYER + "output.LayerNorm.bias", "layers.{n}.output_norm.bias"),
    Rule("text_model.pooler.dense.weight", "pooler.kernel", "linear"),
    Rule("text_model.pooler.dense.bias", "pooler.bias"),
    Rule("text_projection.{layer:linear[12]}.weight", "projection.{layer}.kernel", "linear"),
    Rule("text_projection.{layer:linear[12]}.bias", "projection.{layer}.bias"),
)
_IGNORED = (
    # Sound is never an input; the audio tower only ranks finished waveforms.
    "audio_model.{rest}",
    "audio_projection.{rest}",
    # Temperatures of the contrastive loss.
    "logit_scale_{tower:[at]}",
    # Buffers that hold 0, 1, 2, ... and zeros.
    "text_model.embeddings.{buffer:position_ids|token_type_ids}",
)
_TOWERS = "cond_stage_models.0.cond_stage_models.0.model."
_ORIGINAL = (
    Rule(_TOWERS + "text_branch.{rest}", "text_model.{rest}"),
    Rule(_TOWERS + "text_projection.0.{kind:weight|bias}", "text_projection.linear1.{kind}"),
    Rule(_TOWERS + "text_projection.2.{kind:weight|bias}", "text_projection.linear2.{kind}"),
)


def _buffers(config: ClapTextConfig) -> dict[str, np.ndarray]:
    """What the text tower of transformers has beside its parameters."""
    positions = np.arange(config.max_position_embeddings)[None]
    return {
        "text_model.embeddings.position_ids": positions,
        "text_model.embeddings.token_type_ids": np.zeros_like(positions),
    }


def _rest_of_clap(config: ClapTextConfig) -> dict[str, np.ndarray]:
    """What a ``ClapModel`` has beside its text tower: buffers, and a tower for sound."""
    return {**deaf_audio_tensors(config.projection_dim), **_buffers(config)}


NETWORK = Network(
    config_class=ClapTextConfig,
    model_class=ClapTextModel,
    keys=KeyTable(_RULES, _IGNORED),
    library="transformers",
    class_names=("ClapModel",),
    model_type="clap",
    extra_config=DEAF_AUDIO_CONFIG,
    extra_tensors=_rest_of_clap,
    original=lambda config: _ORIGINAL,
)

TEXT_ALONE = dataclasses.replace(
    NETWORK,
    config_class=ClapTextAloneConfig,
    class_names=("ClapTextModelWithProjection",),
    model_type="clap_text_model",
    extra_config=(),
    extra_tensors=_buffers,
)
"""The text tower without one for sound, as AudioLDM comes with it."""

EITHER = dataclasses.replace(NETWORK, class_names=("ClapModel", "ClapTextModelWithProjection"))
"""CLAP as MusicLDM may have it: with a tower for sound, or without."""
