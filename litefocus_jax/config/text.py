"""Configurations of the text side: CLAP text tower, Flan-T5 encoder, GPT-2 and the projection between them."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any, ClassVar, Self

from litefocus_jax.config.reading import ConfigError, JsonConfig


@dataclasses.dataclass(frozen=True)
class ClapTextConfig(JsonConfig):
    """The text tower of transformers' ``ClapModel``: a RoBERTa encoder, its pooler and a two-layer projection."""

    STRICT = False
    REQUIRED: ClassVar = {
        "is_decoder": (False,),
        "add_cross_attention": (False,),
        "position_embedding_type": ("absolute",),
    }

    vocab_size: int = 50265
    hidden_size: int = 768
    num_hidden_layers: int = 12
    num_attention_heads: int = 12
    intermediate_size: int = 3072
    hidden_act: str = "gelu"
    max_position_embeddings: int = 514
    type_vocab_size: int = 1
    layer_norm_eps: float = 1e-12
    pad_token_id: int = 1
    projection_dim: int = 512
    projection_hidden_act: str = "relu"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "configuration") -> Self:
        """Read a ``ClapModel``'s JSON (text fields under ``text_config``) or a text tower's own.

        As in transformers, the outer ``projection_dim`` and ``projection_hidden_act`` win over the text tower's.

        Raises:
            ConfigError: when the JSON belongs to another model, or a field is not supported.
        """
        if values.get("model_type") not in ("clap", "clap_text_model", None):
            raise ConfigError(f"{source}: model_type = {values['model_type']!r}; expected 'clap'")
        if "text_config" in values:
            shared = {key: values[key] for key in ("projection_dim", "projection_hidden_act") if key in values}
            defaults = {"projection_dim": 512, "projection_hidden_act": "relu"}
            values = {**values["text_config"], **defaults, **shared}
        return super().from_dict(values, source)

    def __post_init__(self) -> None:
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
class T5Config(JsonConfig):
    """Fields of transformers' ``T5EncoderModel`` JSON."""

    STRICT = False
    REQUIRED: ClassVar = {"is_decoder": (False,)}

    vocab_size: int = 32128
    d_model: int = 512
    d_kv: int = 64
    d_ff: int = 2048
    num_layers: int = 6
    num_heads: int = 8
    relative_attention_num_buckets: int = 32
    relative_attention_max_distance: int = 128
    layer_norm_epsilon: float = 1e-6
    feed_forward_proj: str = "relu"
    pad_token_id: int = 0

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "configuration") -> Self:
        """Read a ``T5EncoderModel``'s JSON.

        Raises:
            ConfigError: when the JSON belongs to another model (a VITS text encoder, say).
        """
        if values.get("model_type") not in ("t5", None):
            raise ConfigError(
                f"{source}: model_type = {values['model_type']!r} is not supported as the second text encoder; "
                "expected 't5' (text-to-speech checkpoints with a VITS encoder cannot be run)"
            )
        return super().from_dict(values, source)

    def __post_init__(self) -> None:
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


@dataclasses.dataclass(frozen=True)
class GPT2Config(JsonConfig):
    """Fields of transformers' ``GPT2Model`` JSON, with AudioLDM2's ``max_new_tokens``."""

    STRICT = False
    REQUIRED: ClassVar = {"add_cross_attention": (False,), "model_type": ("gpt2",)}

    vocab_size: int = 50257
    n_positions: int = 1024
    n_embd: int = 768
    n_layer: int = 12
    n_head: int = 12
    n_inner: int | None = None
    activation_function: str = "gelu_new"
    layer_norm_epsilon: float = 1e-5
    scale_attn_weights: bool = True
    scale_attn_by_inverse_layer_idx: bool = False
    max_new_tokens: int = 8

    def __post_init__(self) -> None:
        if self.n_embd % self.n_head:
            raise ConfigError(f"n_embd = {self.n_embd} is not a multiple of n_head = {self.n_head}")
        if self.max_new_tokens < 1:
            raise ConfigError(f"max_new_tokens = {self.max_new_tokens}; expected at least 1")

    def to_dict(self) -> dict[str, Any]:
        """The JSON of a ``GPT2Model``."""
        return {"architectures": ["GPT2Model"], "model_type": "gpt2", **super().to_dict()}

    @classmethod
    def tiny(cls) -> Self:
        """Two layers, a few features wide, generating four vectors."""
        return cls(vocab_size=30, n_positions=96, n_embd=16, n_layer=2, n_head=2, max_new_tokens=4)


@dataclasses.dataclass(frozen=True)
class ProjectionConfig(JsonConfig):
    """Fields of ``AudioLDM2ProjectionModel``'s JSON; ``langauge_model_dim`` is spelt as published."""

    CLASS_NAME = "AudioLDM2ProjectionModel"

    text_encoder_dim: int
    text_encoder_1_dim: int
    langauge_model_dim: int
    use_learned_position_embedding: bool | None = None
    max_seq_length: int | None = None

    def __post_init__(self) -> None:
        # diffusers builds the embedding whenever the flag is not None, so that False counts as True.
        if self.has_learned_positions and self.max_seq_length is None:
            raise ConfigError("use_learned_position_embedding is set, but max_seq_length is missing")

    @property
    def has_learned_positions(self) -> bool:
        """Whether the second encoder's vectors get learned positions."""
        return self.use_learned_position_embedding is not None

    @classmethod
    def tiny(cls) -> Self:
        """The widths of the other tiny text models, without learned positions, as published."""
        return cls(text_encoder_dim=8, text_encoder_1_dim=24, langauge_model_dim=16)
