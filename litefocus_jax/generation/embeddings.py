"""Prompts that are given as vectors, under diffusers' names, in the place of text."""

import dataclasses
from collections.abc import Mapping
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from litefocus_jax.models.conditioning import TextConditioning
from litefocus_jax.models.tokenization import LENGTH_BUCKET, PromptTokens, Tokenizer, tokenize
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.system.same_run import digest

_TEXT_TRANSFORMERS = slice(2, None)  # of a layer; those before read the language model


class PromptEmbeddings(NamedTuple):
    """Prompts as the network reads them, in the order in which diffusers' ``encode_prompt`` returns them.

    ``pipe(**embeddings._asdict())`` makes sound of them.

    Attributes:
        prompt_embeds: Flan-T5's vector of each token.
        attention_mask: true on the tokens that are not padding.
        generated_prompt_embeds: GPT-2's vectors.
    """

    prompt_embeds: Float[Array, "prompts tokens t5_dim"]
    attention_mask: Bool[Array, "prompts tokens"]
    generated_prompt_embeds: Float[Array, "prompts new_tokens language_model_dim"]


@dataclasses.dataclass(frozen=True)
class GivenPrompts:
    """What a request holds of prompts as vectors; float32.

    Attributes:
        positive: in the place of the prompts, or None where these are text.
        negative: in the place of the negative prompts, one for each prompt, or None.
    """

    positive: PromptEmbeddings | None
    negative: PromptEmbeddings | None

    @property
    def digest(self) -> str:
        """Of all vectors, to tell requests apart by."""
        arrays = [np.asarray(array) for each in (self.positive, self.negative) if each is not None for array in each]
        return digest(b"".join(array.tobytes() for array in arrays))


def given_prompts(asked: Mapping[str, Any], unet: UNetConfig, num_prompts: int | None) -> GivenPrompts | None:
    """Check the prompts of a request that are vectors; None where all are text.

    Args:
        asked: the options of a request.
        unet: of the model; it says how wide vectors are.
        num_prompts: that are given as text, or None.

    Raises:
        TypeError: for what is no array of numbers.
        ValueError: where text and vectors are both given, or vectors are incomplete or of another shape.
    """
    positive, negative = _given(asked, "", unet), _given(asked, "negative_", unet)
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
        if positive is not None and _new_tokens(positive) != _new_tokens(negative):
            raise ValueError(
                f"negative_generated_prompt_embeds has {_new_tokens(negative)} vectors a prompt, and "
                f"generated_prompt_embeds {_new_tokens(positive)}; expected as many"
            )
        negative = PromptEmbeddings(*(jnp.repeat(array, count // found, axis=0) for array in negative))
    return GivenPrompts(positive, negative)


def bucketed(embeddings: PromptEmbeddings) -> TextConditioning:
    """Padded with masked vectors to a length that prompts of like length share, so that they share programs."""
    length = embeddings.prompt_embeds.shape[1]
    padding = _bucket(length) - length
    return TextConditioning(
        embeddings.generated_prompt_embeds,
        jnp.pad(embeddings.prompt_embeds, ((0, 0), (0, padding), (0, 0))),
        jnp.pad(embeddings.attention_mask, ((0, 0), (0, padding))),
    )


def tokens_beside(
    tokenizer: Tokenizer, tokenizer_2: Tokenizer, negative_prompts: tuple[str, ...], length: int
) -> PromptTokens:
    """Tokens of negative prompts beside prompts that are vectors, as in diffusers cut or padded to their length.

    Args:
        tokenizer: CLAP's.
        tokenizer_2: T5's.
        negative_prompts: as many texts as there are prompts.
        length: of the prompts, in vectors.
    """
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


def _bucket(length: int) -> int:
    return -(-length // LENGTH_BUCKET) * LENGTH_BUCKET


def _new_tokens(embeddings: PromptEmbeddings) -> int:
    return embeddings.generated_prompt_embeds.shape[1]


def _given(asked: Mapping[str, Any], sign: str, unet: UNetConfig) -> PromptEmbeddings | None:
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
    mask = jnp.ones(embeds.shape[:2], bool) if mask is None else _array(mask_name, mask) != 0
    if mask.shape != embeds.shape[:2]:
        raise ValueError(f"{mask_name} has shape {mask.shape}; expected {embeds.shape[:2]}, that of {embeds_name}")
    return PromptEmbeddings(embeds, mask, generated)


def _vectors(name: str, value: Any, widths: set[int | None]) -> Array:
    array = _array(name, value)
    width = next((each for each in widths if each is not None), None)
    if array.ndim != 3 or 0 in array.shape or (width is not None and array.shape[2] != width):
        raise ValueError(f"{name} has shape {array.shape}; expected [prompts, vectors, {width or 'features'}]")
    if not bool(jnp.isfinite(array).all()):
        raise ValueError(f"{name} holds NaN or infinity; expected finite numbers")
    return array


def _array(name: str, value: Any) -> Array:
    try:
        return jnp.asarray(value, jnp.float32)
    except (TypeError, ValueError) as error:
        raise TypeError(f"{name} is a {type(value).__name__}; expected an array of numbers") from error
