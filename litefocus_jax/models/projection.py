"""The bridge from the two text encoders to the language model (diffusers' ``AudioLDM2ProjectionModel``)."""

import dataclasses
from typing import Self

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Bool, Float

from litefocus_jax.models import parameters
from litefocus_jax.models.keys import KeyTable, Network, Rule
from litefocus_jax.system.json_config import ConfigError, Count, JsonConfig


@dataclasses.dataclass(frozen=True)
class ProjectionConfig(JsonConfig):
    """Fields of ``AudioLDM2ProjectionModel``'s JSON; ``langauge_model_dim`` is spelt as published."""

    CLASS_NAME = "AudioLDM2ProjectionModel"

    text_encoder_dim: Count
    text_encoder_1_dim: Count
    langauge_model_dim: Count
    use_learned_position_embedding: bool | None = None
    max_seq_length: Count | None = None

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


class ProjectionModel(nnx.Module):
    """Projects both encoders' outputs to one width and joins them, each between learned start and end vectors.

    As in the checkpoint, names ending in ``_1`` belong to the second encoder.
    """

    def __init__(self, config: ProjectionConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        width = config.langauge_model_dim
        self.projection = parameters.linear(config.text_encoder_dim, width, rngs=rngs)
        self.projection_1 = parameters.linear(config.text_encoder_1_dim, width, rngs=rngs)
        self.sos_embed = parameters.ones((width,), rngs)
        self.eos_embed = parameters.ones((width,), rngs)
        self.sos_embed_1 = parameters.ones((width,), rngs)
        self.eos_embed_1 = parameters.ones((width,), rngs)
        # [1, features, positions], as stored
        positions_shape = (1, config.text_encoder_1_dim, config.max_seq_length or 0)
        self.position_embedding = parameters.zeros(positions_shape, rngs) if config.has_learned_positions else None

    def __call__(
        self,
        hidden_states: Float[Array, "batch tokens text_encoder_dim"],
        attention_mask: Bool[Array, "batch tokens"],
        hidden_states_1: Float[Array, "batch tokens_1 text_encoder_1_dim"],
        attention_mask_1: Bool[Array, "batch tokens_1"],
    ) -> tuple[Float[Array, "batch tokens+tokens_1+4 width"], Bool[Array, "batch tokens+tokens_1+4"]]:
        """Join both sequences as ``[start, first, end, start_1, second, end_1]``.

        Args:
            hidden_states: states of the first encoder: CLAP's features as a sequence of one.
            attention_mask: true (or 1) on what is not padding.
            hidden_states_1: states of the second encoder: T5's, one per token.
            attention_mask_1: true (or 1) on what is not padding.

        Returns:
            The sequence and its mask; start and end vectors are never masked.

        Raises:
            ValueError: when there are learned positions, and fewer of them than vectors of the second encoder.
        """
        if self.position_embedding is not None:
            num_tokens, num_positions = hidden_states_1.shape[1], self.position_embedding.shape[2]
            if num_tokens > num_positions:
                raise ValueError(
                    f"hidden_states_1 has {num_tokens} vectors, but the projection model has learned positions for "
                    f"max_seq_length = {num_positions}; shorten the prompt, or pad it less"
                )
            # diffusers accepts exactly max_seq_length vectors; shorter sequences have the first positions.
            hidden_states_1 = hidden_states_1 + self.position_embedding[...][:, :, :num_tokens].swapaxes(1, 2)
        first = _between(self.sos_embed[...], self.projection(hidden_states), self.eos_embed[...])
        second = _between(self.sos_embed_1[...], self.projection_1(hidden_states_1), self.eos_embed_1[...])
        masks = [_unmasked_ends(attention_mask), _unmasked_ends(attention_mask_1)]
        return jnp.concatenate([first, second], axis=1), jnp.concatenate(masks, axis=1)


def _between(
    start: Float[Array, " width"], states: Float[Array, "batch tokens width"], end: Float[Array, " width"]
) -> Float[Array, "batch tokens+2 width"]:
    start, end = (jnp.broadcast_to(edge, (states.shape[0], 1, edge.shape[0])) for edge in (start, end))
    return jnp.concatenate([start, states, end], axis=1)


def _unmasked_ends(mask: Bool[Array, "batch tokens"]) -> Bool[Array, "batch tokens+2"]:
    return jnp.pad(mask.astype(bool), ((0, 0), (1, 1)), constant_values=True)


_RULES = (
    Rule("{name:projection|projection_1}.weight", "{name}.kernel", "linear"),
    Rule("{name:projection|projection_1}.bias", "{name}.bias"),
    Rule("{name:[se]os_embed|[se]os_embed_1}", "{name}"),
    Rule("learnable_positional_embedding", "position_embedding", optional=True),
)
_JOINT = "cond_stage_models.0."
_ORIGINAL = (
    Rule(_JOINT + "input_sequence_embed_linear.0.{kind:weight|bias}", "projection.{kind}"),
    Rule(_JOINT + "input_sequence_embed_linear.1.{kind:weight|bias}", "projection_1.{kind}"),
    # Rows of tables for up to 32 encoders, taken apart by `litefocus_jax.checkpoint.original`.
    Rule(_JOINT + "start_of_sequence_tokens.weight[0]", "sos_embed"),
    Rule(_JOINT + "start_of_sequence_tokens.weight[1]", "sos_embed_1"),
    Rule(_JOINT + "end_of_sequence_tokens.weight[0]", "eos_embed"),
    Rule(_JOINT + "end_of_sequence_tokens.weight[1]", "eos_embed_1"),
)
_ORIGINAL_POSITIONS = Rule(
    _JOINT + "cond_stage_models.1.learnable_positional_embedding", "learnable_positional_embedding"
)

NETWORK = Network(
    config_class=ProjectionConfig,
    model_class=ProjectionModel,
    keys=KeyTable(_RULES),
    library="audioldm2",
    class_names=("AudioLDM2ProjectionModel",),
    weights="diffusion_pytorch_model",
    original=lambda config: (*_ORIGINAL, *([_ORIGINAL_POSITIONS] if config.has_learned_positions else [])),
)
