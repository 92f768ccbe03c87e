"""Captions as both tokenizers of a model write them."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Bool, Int

from litefocus_jax.models.components import AudioLDM2Components
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.models.tokenization import Tokens, tokenize_for_each


class CaptionTokens(NamedTuple):
    """A row of tokens for CLAP and one for T5 of every caption."""

    clap: Tokens
    t5: Tokens

    @classmethod
    def of(cls, components: AudioLDM2Components, captions: Sequence[str]) -> "CaptionTokens":
        """Tokenize captions by the tokenizers of a model."""
        clap = load_tokenizer(components.tokenizer, components.text_encoder.config.vocab_size)
        t5 = load_tokenizer(components.tokenizer_2, components.text_encoder_2.config.vocab_size)
        return cls(*tokenize_for_each((clap, t5), captions))

    @property
    def lengths(self) -> Int[np.ndarray, " captions"]:
        """Tokens of each caption for T5."""
        return self.t5.attention_mask.sum(axis=1)

    def rows(
        self, rows: Int[np.ndarray, " rows"]
    ) -> tuple[
        Int[np.ndarray, "rows clap_tokens"],
        Bool[np.ndarray, "rows clap_tokens"],
        Int[np.ndarray, "rows tokens"],
        Bool[np.ndarray, "rows tokens"],
    ]:
        """CLAP's token ids and mask and T5's of some captions: what text encoders take."""
        clap, t5 = self.clap, self.t5
        return clap.input_ids[rows], clap.attention_mask[rows], t5.input_ids[rows], t5.attention_mask[rows]
