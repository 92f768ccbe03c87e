"""What the programs of a generation take: noise, keys, and the prompts as their encoders read them."""

from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.generation import sampling
from litefocus_jax.generation.embeddings import GivenPrompts, PromptEmbeddings, bucketed, tokens_beside
from litefocus_jax.generation.request import Request
from litefocus_jax.models.components import Components
from litefocus_jax.models.tokenization import Tokenizer, tokenize_prompts


class Inputs(NamedTuple):
    """What the programs of a generation take beside models, schedule and guidance.

    Attributes:
        keys: all randomness.
        latents: the noise to begin with.
        tokens: arguments of `sampling.encode`.
    """

    keys: sampling.RandomKeys
    latents: Float[Array, "sounds time frequency channels"]
    tokens: tuple[Any, ...]


def make_inputs(components: Components, tokenizer: Tokenizer, tokenizer_2: Tokenizer, request: Request) -> Inputs:
    """Draw the noise of a request, and tokenize its prompts.

    Args:
        components: the model.
        tokenizer: CLAP's.
        tokenizer_2: T5's.
        request: what is asked for.
    """
    keys = sampling.random_keys(request.seed, request.waveforms)
    latents = request.latents
    if latents is None:
        geometry = components.facts.geometry
        latents = sampling.initial_latents(keys.latents, (request.plan.frames, geometry.frequencies, geometry.channels))
    return Inputs(keys, latents, encode_arguments(components, tokenizer, tokenizer_2, request))


def encode_arguments(
    components: Components, tokenizer: Tokenizer, tokenizer_2: Tokenizer, request: Request
) -> tuple[Any, ...]:
    """What `sampling.encode` takes, for the negative prompts (under guidance) followed by the prompts.

    Takes what `make_inputs` does.
    """
    models = (
        components.text_encoder,
        components.text_encoder_2,
        components.projection_model,
        components.language_model,
    )
    guided, given = request.plan.guided, request.given or GivenPrompts(None, None)
    negative = given.negative if guided else None
    negative_prompts = request.negative_prompts if guided and negative is None else ()
    if given.positive is None:
        tokens = tokenize_prompts(
            tokenizer, tokenizer_2, request.prompts, negative_prompts, padding=request.prompt_padding
        )
    elif negative_prompts:
        length = given.positive.prompt_embeds.shape[1]
        tokens = tokens_beside(tokenizer, tokenizer_2, negative_prompts, length)
    else:
        tokens = None
    return *models, tokens, *(each and bucketed(each) for each in (negative, given.positive))


def encode_prompts(
    components: Components, tokenizer: Tokenizer, tokenizer_2: Tokenizer, request: Request
) -> PromptEmbeddings:
    """The prompts of a request as the network reads them, without the padding that programs share.

    Takes what `make_inputs` does.

    Returns:
        The negative prompts (under guidance) followed by the prompts, each repeated for its waveforms.
    """
    arguments = encode_arguments(components, tokenizer, tokenizer_2, request)
    encoded = sampling.encode(*arguments)
    length = int(np.max(arguments[4].t5_length))
    waveforms = request.num_waveforms_per_prompt
    parts = (encoded.prompt_embeds[:, :length], encoded.attention_mask[:, :length], encoded.generated_prompt_embeds)
    return PromptEmbeddings(*(jnp.repeat(part, waveforms, axis=0) for part in parts))
