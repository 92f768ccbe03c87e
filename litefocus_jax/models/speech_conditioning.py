"""What an AudioLDM2 for speech gets to know: CLAP's vector of a prompt and VITS' of phonemes, continued by GPT-2."""

from collections.abc import Sequence
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Int

from litefocus_jax.models.clap.text import ClapTextModel
from litefocus_jax.models.conditioning import TextConditioning
from litefocus_jax.models.gpt2 import GPT2, GPT2Config
from litefocus_jax.models.phonemes import PhonemeTokenizer
from litefocus_jax.models.projection import ProjectionConfig, ProjectionModel
from litefocus_jax.models.tokenization import Tokenizer, tokenize
from litefocus_jax.models.vits import VitsTextEncoder
from litefocus_jax.system.json_config import ConfigError

SPOKEN_VECTORS = 512
"""Vectors that GPT-2 makes for a clip of speech, in the published models."""

_EDGES = 5  # vectors beside those of phonemes: start, CLAP, end, start_1, end_1


class SpeechTokens(NamedTuple):
    """A batch of descriptions and of what is said in each.

    Attributes:
        clap_ids: CLAP's token ids of the descriptions; padding to any length changes nothing.
        clap_mask: true (or 1) on tokens, false (or 0) on padding.
        phoneme_ids: numbers of phonemes, always padded to the most that the model takes: GPT-2 counts padding too.
        phoneme_mask: true (or 1) on phonemes; a row without any is guided away from, and counts as silence.
    """

    clap_ids: Int[Array | np.ndarray, "batch clap_tokens"]
    clap_mask: Bool[Array | np.ndarray, "batch clap_tokens"]
    phoneme_ids: Int[Array | np.ndarray, "batch symbols"]
    phoneme_mask: Bool[Array | np.ndarray, "batch symbols"]


class SpeechEncoders(NamedTuple):
    """The networks that read what an AudioLDM2 for speech is asked for.

    Attributes:
        text_encoder: CLAP's text tower, which reads the description.
        text_encoder_2: VITS' encoder, which reads the phonemes.
        projection_model: joins both.
        language_model: goes on from there.
    """

    text_encoder: ClapTextModel
    text_encoder_2: VitsTextEncoder
    projection_model: ProjectionModel
    language_model: GPT2

    def tokenize(
        self,
        tokenizers: Sequence[Tokenizer],
        prompts: Sequence[str],
        negative_prompts: Sequence[str] = (),
        *,
        phonemes: Sequence[str],
    ) -> SpeechTokens:
        """Tokenize the negative prompts followed by the prompts with what is said in each; see `tokenize_speech`.

        Args:
            tokenizers: CLAP's and that of phonemes.
            prompts: the batch.
            negative_prompts: as many texts, or none without guidance.
            phonemes: as many texts.
        """
        clap, spoken = tokenizers
        if not isinstance(spoken, PhonemeTokenizer):
            raise TypeError(f"tokenizer_2 is a {type(spoken).__name__}; expected that of phonemes")
        return tokenize_speech(clap, spoken, prompts, phonemes, negative_prompts)

    def encode(self, tokens: SpeechTokens) -> TextConditioning:
        """What the UNet gets to know, as diffusers' ``AudioLDM2Pipeline.encode_prompt`` computes it with a VITS.

        The vectors of phonemes go along as ``prompt_embeds``, as in diffusers; UNets as published read GPT-2's alone.

        Raises:
            ValueError: when what is said is longer than the language model, or learned positions, hold.
        """
        clap_ids, clap_mask, phoneme_ids, phoneme_mask = map(jnp.asarray, tokens)
        phoneme_mask = phoneme_mask.astype(bool)
        clap_states = self.text_encoder(clap_ids, clap_mask)[:, None, :]  # [batch, 1, projection_dim]
        spoken = self.text_encoder_2(phoneme_ids, phoneme_mask)
        ones = jnp.ones(clap_states.shape[:2], bool)
        sequence, mask = self.projection_model(clap_states, ones, spoken, phoneme_mask)
        length = sequence.shape[1]
        generated = self.language_model.generate(
            sequence, mask, jnp.arange(length), length, self.language_model.config.max_new_tokens
        )
        return TextConditioning(generated, spoken, phoneme_mask)


def check_lengths(tokenizer_2: PhonemeTokenizer, projection: ProjectionConfig, language_model: GPT2Config) -> None:
    """Find out whether as many phonemes as the tokenizer pads to can be read.

    Raises:
        ConfigError: when there are fewer positions for them, or for them and what GPT-2 makes of them.
    """
    longest, positions = tokenizer_2.model_max_length, projection.max_seq_length
    if projection.has_learned_positions and longest != positions:
        raise ConfigError(
            f"tokenizer_2: model_max_length = {longest}, but projection_model: max_seq_length = {positions}; expected "
            "the same number of phonemes"
        )
    needed = longest + _EDGES + language_model.max_new_tokens - 1
    if needed > language_model.n_positions:
        raise ConfigError(
            f"language_model: n_positions = {language_model.n_positions}; expected at least {needed}, for {longest} "
            f"phonemes and {language_model.max_new_tokens} vectors made of them"
        )


def tokenize_speech(
    tokenizer: Tokenizer,
    tokenizer_2: PhonemeTokenizer,
    prompts: Sequence[str],
    phonemes: Sequence[str],
    negative_prompts: Sequence[str] = (),
) -> SpeechTokens:
    """Tokenize the negative prompts, which say nothing, followed by the prompts with what is said in each.

    Args:
        tokenizer: CLAP's tokenizer.
        tokenizer_2: of phonemes.
        prompts: descriptions.
        phonemes: as many texts.
        negative_prompts: as many descriptions, or none without guidance; any number where there are no prompts.

    Raises:
        UnknownPhonemesError: naming the symbols that the model does not know.
    """
    clap = tokenize(tokenizer, [*negative_prompts, *prompts])
    silent = len(negative_prompts)
    ids = np.full((silent + len(phonemes), tokenizer_2.model_max_length), tokenizer_2.pad_token_id, np.int32)
    lengths = np.zeros(len(ids), np.int32)
    for row, numbers in enumerate(tokenizer_2.fitting(phonemes), silent):
        ids[row, : len(numbers)], lengths[row] = numbers, len(numbers)
    return SpeechTokens(clap.input_ids, clap.attention_mask, ids, np.arange(ids.shape[1]) < lengths[:, None])
