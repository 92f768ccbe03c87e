"""Turn token ids into what AudioLDM2's UNet attends to: CLAP and Flan-T5, joined and continued by GPT-2."""

import functools
from collections.abc import Sequence
from typing import NamedTuple, Self

import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from litefocus_jax.models.clap.text import ClapTextModel
from litefocus_jax.models.generation_defaults import PromptPadding
from litefocus_jax.models.gpt2 import GPT2
from litefocus_jax.models.projection import ProjectionModel
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.text_layers import padded_to
from litefocus_jax.models.tokenization import PromptTokens, Tokenizer, tokenize_prompts
from litefocus_jax.models.unet.network import Context, UNet

_T5_START = 4  # columns before the first T5 token: start, CLAP, end, start_1


class TextConditioning(NamedTuple):
    """What the UNet gets to know about a batch of prompts.

    Attributes:
        generated_prompt_embeds: vectors of the language model; none of them is padding.
        prompt_embeds: Flan-T5's vector of each token.
        attention_mask: true on the tokens of ``prompt_embeds`` that are not padding.
    """

    generated_prompt_embeds: Float[Array, "batch new_tokens language_model_dim"]
    prompt_embeds: Float[Array, "batch tokens t5_dim"]
    attention_mask: Bool[Array, "batch tokens"]

    def context(self, unet: UNet) -> Context:
        """What the UNet reads of it, which no step changes."""
        return unet.project_context(
            self.generated_prompt_embeds.astype(unet.dtype), self.prompt_embeds.astype(unet.dtype), self.attention_mask
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> "TextConditioning":
        """One batch of several; shorter ones are padded to the longest, which changes nothing: padding is masked."""
        padded = functools.partial(padded_to, max(part.prompt_embeds.shape[1] for part in parts))
        return TextConditioning(
            jnp.concatenate([part.generated_prompt_embeds for part in parts]),
            jnp.concatenate([padded(part.prompt_embeds) for part in parts]),
            jnp.concatenate([padded(part.attention_mask) for part in parts]),
        )


class TextEncoders(NamedTuple):
    """The networks that read AudioLDM2's prompts.

    Attributes:
        text_encoder: CLAP's text tower.
        text_encoder_2: Flan-T5's encoder.
        projection_model: joins both.
        language_model: goes on from there.
    """

    text_encoder: ClapTextModel
    text_encoder_2: T5Encoder
    projection_model: ProjectionModel
    language_model: GPT2

    def tokenize(
        self,
        tokenizers: Sequence[Tokenizer],
        prompts: Sequence[str],
        negative_prompts: Sequence[str] = (),
        padding: PromptPadding = "batch",
    ) -> PromptTokens:
        """Tokenize the negative prompts followed by the prompts; see `tokenize_prompts`.

        Args:
            tokenizers: CLAP's and T5's.
            prompts: the batch.
            negative_prompts: as many texts, or none without guidance.
            padding: whether a prompt counts as padded to the longest of the batch.
        """
        clap, t5 = tokenizers
        return tokenize_prompts(clap, t5, prompts, negative_prompts, padding=padding)

    def encode(self, tokens: PromptTokens) -> TextConditioning:
        """What the UNet gets to know; see `encode_text`."""
        return encode_text(*self, tokens)


def encode_text(
    clap: ClapTextModel,
    t5: T5Encoder,
    projection: ProjectionModel,
    language_model: GPT2,
    tokens: PromptTokens,
) -> TextConditioning:
    """Encode prompts, as diffusers' ``AudioLDM2Pipeline.encode_prompt`` does.

    In diffusers, T5 prompts are padded to a common length, and although padding is masked, it counts where positions
    of the language model are concerned: how far it reaches changes the generated vectors. That length is ``t5_length``
    here; one for each prompt encodes it as if it had no neighbours. The arrays may be longer, so that prompts of like
    length share one compiled program: columns from ``t5_length`` on are masked and take no position, and change
    nothing.

    Args:
        clap: CLAP's text tower.
        t5: Flan-T5's encoder.
        projection: joins both.
        language_model: continues the joined sequence, by its configuration's ``max_new_tokens``.
        tokens: of the prompts.

    Raises:
        ValueError: when the prompts are longer than the language model, or learned positions, hold.
    """
    clap_ids, clap_mask, t5_ids, t5_mask = (jnp.asarray(array) for array in tokens[:4])
    t5_length = jnp.asarray(tokens.t5_length)
    columns = jnp.arange(t5_ids.shape[1])
    t5_mask = t5_mask.astype(bool) & (columns < t5_length[..., None])
    clap_states = clap(clap_ids, clap_mask)[:, None, :]  # [batch, 1, projection_dim]
    prompt_embeds = t5(t5_ids, t5_mask)
    sequence, sequence_mask = projection(clap_states, jnp.ones(clap_states.shape[:2], bool), prompt_embeds, t5_mask)
    # The end vector stands after the bucket's padding, and has the position it would have without.
    places = jnp.broadcast_to(jnp.arange(sequence.shape[1]), (*t5_length.shape, sequence.shape[1]))
    positions = places.at[..., -1].set(_T5_START + t5_length)
    generated = language_model.generate(
        sequence,
        sequence_mask,
        positions,
        next_position=_T5_START + 1 + t5_length,
        max_new_tokens=language_model.config.max_new_tokens,
    )
    return TextConditioning(generated, prompt_embeds, t5_mask)


def zero_generated(conditioning: TextConditioning, rows: Bool[Array, " batch"]) -> TextConditioning:
    """The same with zeros in the place of the language model's vectors in some rows.

    Args:
        conditioning: of a batch of prompts.
        rows: true where they are zeros.
    """
    generated = conditioning.generated_prompt_embeds
    return conditioning._replace(generated_prompt_embeds=jnp.where(rows[:, None, None], 0, generated))
