"""What the programs of a generation take: noise, keys, and the prompts as their encoders read them."""

from collections.abc import Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.decoding.encoding import encode_sound
from litefocus_jax.diffusion.inpainting import Known, weight_of_frames
from litefocus_jax.diffusion.noise import add_noise, noise_levels
from litefocus_jax.generation import sampling
from litefocus_jax.generation.edit import Edit
from litefocus_jax.generation.embeddings import (
    Embeddings,
    GivenPrompts,
    LabelEmbeddings,
    PromptEmbeddings,
    WordEmbeddings,
)
from litefocus_jax.generation.request import Request
from litefocus_jax.models.class_conditioning import ClassConditioning
from litefocus_jax.models.components import Components
from litefocus_jax.models.conditioning import TextConditioning
from litefocus_jax.models.speech_conditioning import SpeechEncoders, SpeechTokens
from litefocus_jax.models.tokenization import Tokenizer
from litefocus_jax.system.waiting import require_finite


class Inputs(NamedTuple):
    """What the programs of a generation take beside models, schedule and guidance.

    Attributes:
        keys: all randomness.
        latents: what denoising begins with: noise, or a sound that is given with noise.
        tokens: arguments of `sampling.encode`.
        known: what is held of a sound that is given, or None.
    """

    keys: sampling.RandomKeys
    latents: Float[Array, "sounds time frequency channels"]
    tokens: tuple[Any, ...]
    known: Known | None = None


def make_inputs(components: Components, tokenizers: Sequence[Tokenizer], request: Request) -> Inputs:
    """Draw the noise of a request, encode the sound that it may begin with, and tokenize its prompts.

    Args:
        components: the model.
        tokenizers: of the model: CLAP's, and T5's or that of phonemes if it has one.
        request: what is asked for.
    """
    sides = request.sides
    # Both sides of a sound have its noise.
    keys = sampling.random_keys(request.seed, [number for number in request.waveforms for _ in range(sides)])
    latents = None if request.latents is None else jnp.repeat(request.latents, sides, axis=0)
    if latents is None:
        geometry = components.facts.geometry
        latents = sampling.initial_latents(keys.latents, (request.plan.frames, geometry.frequencies, geometry.channels))
    tokens = encode_arguments(components, tokenizers, request)
    if request.edit is None or (request.skipped_steps == 0 and not request.edit.spans):
        return Inputs(keys, latents, tokens)
    known = _known(components, request, request.edit, latents)
    if request.skipped_steps:
        timesteps = request.schedule.steps.timestep[:1]
        # Where no step is left, there is no noise either.
        latents = (
            add_noise(components.scheduler, known.latents, latents, timesteps) if len(timesteps) else known.latents
        )
    return Inputs(keys, latents, tokens, known if request.edit.spans else None)


def _known(components: Components, request: Request, edit: Edit, noise: Array) -> Known:
    """The sound that is given, as latents, with the noise that it is held with."""
    geometry = components.facts.geometry
    frames, per_frame = request.plan.frames, geometry.samples_per_latent_frame
    latents = np.zeros((request.sides, frames, geometry.frequencies, geometry.channels), np.float32)
    for side, waveform in zip(latents, edit.encoder_inputs(per_frame), strict=True):
        encoded = encode_sound(components.vae, components.vocoder.config, waveform)
        side[edit.encoded[0] : edit.encoded[1]] = encoded
        require_finite("VAE", encoded)
    weight = weight_of_frames(frames, edit.frame_spans(per_frame), loop=request.plan.loop)
    sounds = len(noise)
    return Known(
        jnp.tile(latents, (sounds // request.sides, 1, 1, 1)),
        jnp.asarray(noise),
        jnp.broadcast_to(weight[None, :, None, None], (sounds, frames, 1, 1)),
        *map(jnp.asarray, noise_levels(components.scheduler)),
    )


def encode_arguments(components: Components, tokenizers: Sequence[Tokenizer], request: Request) -> tuple[Any, ...]:
    """What `sampling.encode` takes, for the negative prompts (under guidance) followed by the prompts.

    Takes what `make_inputs` does.
    """
    guided, given = request.plan.guided, request.given or GivenPrompts(None, None)
    prompts, negative_prompts = request.encoded_prompts
    negative = given.negative if guided else None
    negative_prompts = negative_prompts if guided and negative is None else ()
    if given.positive is None:
        encoders, speech = components.encoders, request.speech
        if isinstance(encoders, SpeechEncoders):
            phonemes = () if speech is None else speech.phonemes
            tokens = encoders.tokenize(tokenizers, prompts, negative_prompts, phonemes=phonemes)
        else:
            tokens = encoders.tokenize(tokenizers, prompts, negative_prompts, request.prompt_padding)
    elif negative_prompts:
        tokens = given.positive.tokens_beside(tokenizers, negative_prompts)
    else:
        tokens = None
    zeros = None
    if request.force_zeros_for_empty_prompt and negative_prompts:
        encoded = (*negative_prompts, *(prompts if given.positive is None else ()))
        zeros = np.array([row < len(negative_prompts) and not text.strip() for row, text in enumerate(encoded)])
    return components.encoders, tokens, *(each and each.conditioning for each in (negative, given.positive)), zeros


def encode_prompts(components: Components, tokenizers: Sequence[Tokenizer], request: Request) -> Embeddings:
    """The prompts of a request as the network reads them, without the padding that programs share.

    Takes what `make_inputs` does.

    Returns:
        The negative prompts (under guidance) followed by the prompts, each repeated for its waveforms.
    """
    arguments = encode_arguments(components, tokenizers, request)
    encoded = sampling.encode(*arguments)
    waveforms = request.num_waveforms_per_prompt
    if isinstance(encoded, ClassConditioning):
        return LabelEmbeddings(jnp.repeat(encoded.class_labels, waveforms, axis=0))
    tokens, mask = arguments[1], encoded.attention_mask
    if isinstance(tokens, SpeechTokens):
        length = mask.shape[1]
    else:
        length = int(np.max(tokens.t5_length if isinstance(encoded, TextConditioning) else jnp.sum(mask, axis=1)))
    parts = [encoded.prompt_embeds[:, :length], mask[:, :length]]
    if isinstance(encoded, TextConditioning):
        parts.append(encoded.generated_prompt_embeds)
    kind = PromptEmbeddings if isinstance(encoded, TextConditioning) else WordEmbeddings
    return kind(*(jnp.repeat(part, waveforms, axis=0) for part in parts))
