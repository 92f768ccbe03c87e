"""Prompts that are given as vectors, under diffusers' names, in the place of text."""

import dataclasses
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from litefocus_jax.models.class_conditioning import ClapTokens, ClassConditioning, tokenize_for_clap
from litefocus_jax.models.conditioning import TextConditioning
from litefocus_jax.models.model_type import ModelType
from litefocus_jax.models.phonemes import PhonemeTokenizer
from litefocus_jax.models.speech_conditioning import SpeechTokens, tokenize_speech
from litefocus_jax.models.t5_conditioning import T5Conditioning, T5Tokens
from litefocus_jax.models.text_layers import padded_to
from litefocus_jax.models.tokenization import LENGTH_BUCKET, PromptTokens, Tokenizer, tokenize
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.system.same_run import digest

_TEXT_TRANSFORMERS = slice(2, None)  # of a layer; those before read the language model


class PromptEmbeddings(NamedTuple):
    """Prompts as AudioLDM2's network reads them, in the order in which diffusers' ``encode_prompt`` returns them.

    ``pipe(**embeddings._asdict())`` makes sound of them.

    Attributes:
        prompt_embeds: Flan-T5's vector of each token, or VITS' of each phoneme.
        attention_mask: true on the tokens that are not padding.
        generated_prompt_embeds: GPT-2's vectors.
    """

    prompt_embeds: Float[Array, "prompts tokens t5_dim"]
    attention_mask: Bool[Array, "prompts tokens"]
    generated_prompt_embeds: Float[Array, "prompts new_tokens language_model_dim"]

    @property
    def conditioning(self) -> TextConditioning:
        """Padded with masked vectors to a length that prompts of like length share, so that they share programs."""
        length = _bucket(self.prompt_embeds.shape[1])
        return TextConditioning(
            self.generated_prompt_embeds, padded_to(length, self.prompt_embeds), padded_to(length, self.attention_mask)
        )

    def tokens_beside(
        self, tokenizers: Sequence[Tokenizer], negative_prompts: tuple[str, ...]
    ) -> PromptTokens | SpeechTokens:
        """Tokens of negative prompts beside these, as in diffusers cut or padded to their length.

        Args:
            tokenizers: CLAP's, and T5's or that of phonemes.
            negative_prompts: as many texts as there are prompts.
        """
        tokenizer, tokenizer_2 = tokenizers
        if isinstance(tokenizer_2, PhonemeTokenizer):
            return tokenize_speech(tokenizer, tokenizer_2, (), (), negative_prompts)
        length = self.prompt_embeds.shape[1]
        t5 = tokenize(tokenizer_2, negative_prompts, max_length=length, reason="as many as prompt_embeds has vectors")
        padding = ((0, 0), (0, max(0, _bucket(length) - t5.input_ids.shape[1])))
        clap = tokenize(tokenizer, negative_prompts)
        return PromptTokens(
            clap.input_ids,
            clap.attention_mask,
            np.pad(t5.input_ids, padding, constant_values=tokenizer_2.pad_token_id),
            np.pad(t5.attention_mask, padding),
            np.int32(length),
        )


class LabelEmbeddings(NamedTuple):
    """Prompts as the network of AudioLDM or MusicLDM reads them: CLAP's vector of each, and nothing else.

    ``pipe(**embeddings._asdict())`` makes sound of them.

    Attributes:
        prompt_embeds: vectors of length one; diffusers' name.
    """

    prompt_embeds: Float[Array, "prompts projection_dim"]

    @property
    def conditioning(self) -> ClassConditioning:
        """What the UNet gets to know of them."""
        return ClassConditioning(self.prompt_embeds)

    def tokens_beside(self, tokenizers: Sequence[Tokenizer], negative_prompts: tuple[str, ...]) -> ClapTokens:
        """Tokens of negative prompts beside these; see `PromptEmbeddings.tokens_beside`."""
        return tokenize_for_clap(tokenizers[0], negative_prompts)


class WordEmbeddings(NamedTuple):
    """Prompts as a network reads them that reads T5's states and nothing else.

    ``pipe(**embeddings._asdict())`` makes sound of them.

    Attributes:
        prompt_embeds: T5's vector of each token.
        attention_mask: true on the tokens that are not padding.
    """

    prompt_embeds: Float[Array, "prompts tokens t5_dim"]
    attention_mask: Bool[Array, "prompts tokens"]

    @property
    def conditioning(self) -> T5Conditioning:
        """Padded with masked vectors to a length that prompts of like length share, so that they share programs."""
        length = _bucket(self.prompt_embeds.shape[1])
        return T5Conditioning(padded_to(length, self.prompt_embeds), padded_to(length, self.attention_mask))

    def tokens_beside(self, tokenizers: Sequence[Tokenizer], negative_prompts: tuple[str, ...]) -> T5Tokens:
        """Tokens of negative prompts beside these; see `PromptEmbeddings.tokens_beside`."""
        tokens = tokenize(tokenizers[0], negative_prompts)
        return T5Tokens(tokens.input_ids, tokens.attention_mask)


Embeddings = PromptEmbeddings | LabelEmbeddings | WordEmbeddings
"""Prompts as a network reads them."""


@dataclasses.dataclass(frozen=True)
class GivenPrompts:
    """What a request holds of prompts as vectors; float32.

    Attributes:
        positive: in the place of the prompts, or None where these are text.
        negative: in the place of the negative prompts, one for each prompt, or None.
    """

    positive: Embeddings | None
    negative: Embeddings | None

    @property
    def digest(self) -> str:
        """Of all vectors, to tell requests apart by."""
        arrays = [np.asarray(array) for each in (self.positive, self.negative) if each is not None for array in each]
        return digest(b"".join(array.tobytes() for array in arrays))


def given_prompts(
    asked: Mapping[str, Any], model_type: ModelType, unet: UNetConfig, num_prompts: int | None
) -> GivenPrompts | None:
    """Check the prompts of a request that are vectors; None where all are text.

    Args:
        asked: the options of a request.
        model_type: of the model; it says which vectors there are.
        unet: of the model; it says how wide they are.
        num_prompts: that are given as text, or None.

    Raises:
        TypeError: for what is no array of numbers.
        ValueError: where text and vectors are both given, or vectors are incomplete or of another shape.
    """
    positive, negative = (_given(asked, sign, model_type, unet) for sign in ("", "negative_"))
    if positive is None and negative is None:
        return None
    if positive is not None and num_prompts is not None:
        raise ValueError("prompt and prompt_embeds are both given; expected one of them")
    if negative is not None and asked["negative_prompt"] is not None:
        raise ValueError("negative_prompt and negative_prompt_embeds are both given; expected one of them")
    count = num_prompts if positive is None else len(positive.prompt_embeds)
    if negative is not None and count is not None:
        found = len(negative.prompt_embeds)
        if found not in (1, count):
            raise ValueError(f"negative_prompt_embeds has {found} rows for {count} prompts; expected one, or one each")
        if isinstance(positive, PromptEmbeddings) and isinstance(negative, PromptEmbeddings):
            _check_as_many(positive, negative)
        negative = type(negative)(*(jnp.repeat(array, count // found, axis=0) for array in negative))
    return GivenPrompts(positive, negative)


def _bucket(length: int) -> int:
    return -(-length // LENGTH_BUCKET) * LENGTH_BUCKET


def _check_as_many(positive: PromptEmbeddings, negative: PromptEmbeddings) -> None:
    """Refuse another number of GPT-2's vectors for negative prompts than for prompts."""
    expected, found = (each.generated_prompt_embeds.shape[1] for each in (positive, negative))
    if found != expected:
        raise ValueError(
            f"negative_generated_prompt_embeds has {found} vectors a prompt, and generated_prompt_embeds {expected}; "
            "expected as many"
        )


def _given(asked: Mapping[str, Any], sign: str, model_type: ModelType, unet: UNetConfig) -> Embeddings | None:
    if unet.class_labels_dim is not None:
        name = f"{sign}prompt_embeds"
        return None if asked[name] is None else LabelEmbeddings(_labels(name, asked[name], unet.class_labels_dim))
    if not model_type.has_language_model:
        return _given_words(asked, sign, unet)
    names = tuple(sign + name for name in PromptEmbeddings._fields)
    values = [asked[name] for name in names]
    if all(value is None for value in values):
        return None
    embeds_name, mask_name, generated_name = names
    embeds, mask, generated = values
    for name, value in ((embeds_name, embeds), (generated_name, generated)):
        if value is None:
            raise ValueError(f"{name} is missing; {embeds_name} and {generated_name} are given together")
    dims = unet.cross_attention_dim_per_level
    embeds = _vectors(embeds_name, embeds, {dim for each in dims for dim in each[_TEXT_TRANSFORMERS]})
    generated = _vectors(generated_name, generated, {dim for each in dims for dim in each[: _TEXT_TRANSFORMERS.start]})
    if len(generated) != len(embeds):
        raise ValueError(f"{generated_name} has {len(generated)} rows, {embeds_name} {len(embeds)}; expected as many")
    return PromptEmbeddings(embeds, _mask(mask_name, mask, embeds_name, embeds), generated)


def _given_words(asked: Mapping[str, Any], sign: str, unet: UNetConfig) -> WordEmbeddings | None:
    embeds_name, mask_name = (sign + name for name in WordEmbeddings._fields)
    embeds, mask = asked[embeds_name], asked[mask_name]
    if embeds is None and mask is None:
        return None
    if embeds is None:
        raise ValueError(f"{embeds_name} is missing; {mask_name} says which of its vectors are padding")
    embeds = _vectors(embeds_name, embeds, {dim for each in unet.cross_attention_dim_per_level for dim in each})
    return WordEmbeddings(embeds, _mask(mask_name, mask, embeds_name, embeds))


def _mask(name: str, value: Any, embeds_name: str, embeds: Array) -> Array:
    """Which of some vectors are not padding; all where nothing is given."""
    mask = jnp.ones(embeds.shape[:2], bool) if value is None else _array(name, value) != 0
    if mask.shape != embeds.shape[:2]:
        raise ValueError(f"{name} has shape {mask.shape}; expected {embeds.shape[:2]}, that of {embeds_name}")
    return mask


def _labels(name: str, value: Any, width: int) -> Array:
    array = _array(name, value)
    if array.ndim != 2 or 0 in array.shape or array.shape[1] != width:
        raise ValueError(f"{name} has shape {array.shape}; expected [prompts, {width}], CLAP's vector of each")
    return _finite(name, array)


def _vectors(name: str, value: Any, widths: set[int | None]) -> Array:
    array = _array(name, value)
    width = next((each for each in widths if each is not None), None)
    if array.ndim != 3 or 0 in array.shape or (width is not None and array.shape[2] != width):
        raise ValueError(f"{name} has shape {array.shape}; expected [prompts, vectors, {width or 'features'}]")
    return _finite(name, array)


def _finite(name: str, array: Array) -> Array:
    if not bool(jnp.isfinite(array).all()):
        raise ValueError(f"{name} holds NaN or infinity; expected finite numbers")
    return array


def _array(name: str, value: Any) -> Array:
    try:
        return jnp.asarray(value, jnp.float32)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is a {type(value).__name__}; expected an array of numbers") from error
