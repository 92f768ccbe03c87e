"""The text encoders that learn together, beside CLAP, which does not."""

import dataclasses

from flax import nnx

from litefocus_jax.models.clap.text import ClapTextModel
from litefocus_jax.models.components import AudioLDM2Components
from litefocus_jax.models.conditioning import TextConditioning, encode_text
from litefocus_jax.models.tokenization import PromptTokens


class Encoders(nnx.Module):
    """T5, GPT-2 and the projection of a model."""

    def __init__(self, components: AudioLDM2Components) -> None:
        self.text_encoder_2 = components.text_encoder_2
        self.projection_model = components.projection_model
        self.language_model = components.language_model

    def __call__(self, clap: ClapTextModel, tokens: PromptTokens) -> TextConditioning:
        """What the UNet reads."""
        return encode_text(clap, self.text_encoder_2, self.projection_model, self.language_model, tokens)

    def put_into(self, components: AudioLDM2Components) -> AudioLDM2Components:
        """The model with these in the place of its own."""
        return dataclasses.replace(
            components,
            text_encoder_2=self.text_encoder_2,
            projection_model=self.projection_model,
            language_model=self.language_model,
        )
