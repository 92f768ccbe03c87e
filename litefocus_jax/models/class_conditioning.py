"""What AudioLDM and MusicLDM get to know of a prompt: CLAP's vector of it, and nothing else."""

from collections.abc import Sequence
from typing import NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.models.clap.text import ClapTextModel
from litefocus_jax.models.generation_defaults import PromptPadding
from litefocus_jax.models.tokenization import Tokenizer, tokenize
from litefocus_jax.models.unet.network import Context, UNet


class ClapTokens(NamedTuple):
    """A batch of prompts as CLAP reads it.

    Attributes:
        clap_ids: token ids; padding to any length changes nothing.
        clap_mask: true (or 1) on tokens, false (or 0) on padding.
    """

    clap_ids: Int[Array | np.ndarray, "batch tokens"]
    clap_mask: Bool[Array | np.ndarray, "batch tokens"]


class ClassConditioning(NamedTuple):
    """What the UNet gets to know about a batch of prompts.

    Attributes:
        class_labels: CLAP's vector of each, of length one; diffusers' name for what the UNet takes.
    """

    class_labels: Float[Array, "batch projection_dim"]

    def context(self, unet: UNet) -> Context:
        """What the UNet reads of it, which no step changes."""
        return unet.project_context(class_labels=self.class_labels.astype(unet.dtype))

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> "ClassConditioning":
        """One batch of several."""
        return ClassConditioning(jnp.concatenate([part.class_labels for part in parts]))


class ClapEncoder(NamedTuple):
    """The network that reads the prompts of AudioLDM and MusicLDM.

    Attributes:
        text_encoder: CLAP's text tower.
    """

    text_encoder: ClapTextModel

    def tokenize(
        self,
        tokenizers: Sequence[Tokenizer],
        prompts: Sequence[str],
        negative_prompts: Sequence[str] = (),
        padding: PromptPadding = "alone",
    ) -> ClapTokens:
        """Tokenize the negative prompts followed by the prompts; see `tokenize_for_clap`.

        Args:
            tokenizers: CLAP's.
            prompts: the batch.
            negative_prompts: as many texts, or none without guidance.
            padding: changes nothing here.
        """
        del padding
        (tokenizer,) = tokenizers
        return tokenize_for_clap(tokenizer, prompts, negative_prompts)

    def encode(self, tokens: ClapTokens) -> ClassConditioning:
        """What the UNet gets to know, as diffusers' ``AudioLDMPipeline._encode_prompt`` computes it."""
        return ClassConditioning(self.text_encoder(jnp.asarray(tokens.clap_ids), jnp.asarray(tokens.clap_mask)))


def tokenize_for_clap(tokenizer: Tokenizer, prompts: Sequence[str], negative_prompts: Sequence[str] = ()) -> ClapTokens:
    """Tokenize the negative prompts followed by the prompts.

    diffusers cuts negative prompts to as many tokens as CLAP's vector has numbers; in published models that is what
    CLAP takes.

    Args:
        tokenizer: CLAP's tokenizer.
        prompts: the batch.
        negative_prompts: as many texts, or none without guidance.
    """
    tokens = tokenize(tokenizer, [*negative_prompts, *prompts])
    return ClapTokens(tokens.input_ids, tokens.attention_mask)
