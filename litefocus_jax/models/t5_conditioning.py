"""What a model gets to know of a prompt by T5 alone, which it reads word by word: ``audioldm_16k_crossattn_t5``."""

import functools
from collections.abc import Sequence
from typing import NamedTuple, Self

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.models.generation_defaults import PromptPadding
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.text_layers import padded_to
from litefocus_jax.models.tokenization import Tokenizer, tokenize
from litefocus_jax.models.unet.network import Context, UNet


class T5Tokens(NamedTuple):
    """A batch of prompts as T5 reads it.

    Attributes:
        t5_ids: token ids; padding to any length changes nothing.
        t5_mask: true (or 1) on tokens, false (or 0) on padding.
    """

    t5_ids: Int[Array | np.ndarray, "batch tokens"]
    t5_mask: Bool[Array | np.ndarray, "batch tokens"]


class T5Conditioning(NamedTuple):
    """What the UNet gets to know about a batch of prompts.

    Attributes:
        prompt_embeds: T5's vector of each token.
        attention_mask: true on the tokens that are not padding.
    """

    prompt_embeds: Float[Array, "batch tokens t5_dim"]
    attention_mask: Bool[Array, "batch tokens"]

    def context(self, unet: UNet) -> Context:
        """What the UNet reads of it, which no step changes."""
        return unet.project_context(
            self.prompt_embeds.astype(unet.dtype), encoder_attention_mask=self.attention_mask.astype(bool)
        )

    @classmethod
    def joined(cls, parts: Sequence[Self]) -> "T5Conditioning":
        """One batch of several; shorter ones are padded to the longest, which changes nothing: padding is masked."""
        padded = functools.partial(padded_to, max(part.prompt_embeds.shape[1] for part in parts))
        return T5Conditioning(
            jnp.concatenate([padded(part.prompt_embeds) for part in parts]),
            jnp.concatenate([padded(part.attention_mask) for part in parts]),
        )


class T5TextEncoder(NamedTuple):
    """The network that reads the prompts.

    Attributes:
        text_encoder: T5's encoder.
    """

    text_encoder: T5Encoder

    def tokenize(
        self,
        tokenizers: Sequence[Tokenizer],
        prompts: Sequence[str],
        negative_prompts: Sequence[str] = (),
        padding: PromptPadding = "alone",
    ) -> T5Tokens:
        """Tokenize the negative prompts followed by the prompts.

        Args:
            tokenizers: T5's.
            prompts: the batch.
            negative_prompts: as many texts, or none without guidance.
            padding: changes nothing here.
        """
        del padding
        (tokenizer,) = tokenizers
        tokens = tokenize(tokenizer, [*negative_prompts, *prompts])
        return T5Tokens(tokens.input_ids, tokens.attention_mask)

    def encode(self, tokens: T5Tokens) -> T5Conditioning:
        """What the UNet gets to know."""
        ids, mask = jnp.asarray(tokens.t5_ids), jnp.asarray(tokens.t5_mask).astype(bool)
        return T5Conditioning(self.text_encoder(ids, mask), mask)
