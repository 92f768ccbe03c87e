"""The programs that decode a sound, before anything is computed: to compile them, or to ask what memory they take."""

from typing import Any

import jax
import jax.numpy as jnp
from jax.stages import Lowered

from litefocus_jax import generate
from litefocus_jax.decoding.far_keys import FarKeys
from litefocus_jax.decoding.mel import no_corrections
from litefocus_jax.decoding.plan import DecodingPlan
from litefocus_jax.decoding.vae_windows import (
    Context,
    Windows,
    decode_window,
    keys_of_window,
    look_at_sample,
    look_for_keys,
)
from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder


def lower_programs(
    vae: VAE, vocoder: Vocoder, plan: DecodingPlan, frequencies: int
) -> tuple[list[Lowered], list[Lowered]]:
    """The programs of the VAE and those of the vocoder, which run one at a time.

    Args:
        vae: the VAE; shapes in place of its weights will do.
        vocoder: likewise.
        plan: from `litefocus_jax.decoding.plan_decoding`.
        frequencies: of the latents.
    """
    size = plan.frames if plan.is_whole else plan.vae_size
    latents = _float32(1, size, frequencies, vae.config.latent_channels)
    scaling_factor = jnp.float32(vae.config.scaling_factor)
    if plan.is_whole:
        mel = jax.eval_shape(generate.decode_latents, vae, latents, scaling_factor)
        return [generate.decode_latents.lower(vae, latents, scaling_factor)], [generate.vocode.lower(vocoder, mel)]

    sampled = _float32(len(plan.sample), plan.sample_size, *latents.shape[2:])
    sample = (vae, sampled, scaling_factor, _windows(len(plan.sample)), no_corrections(vae))
    programs = []
    far = None
    if vae.decoder.mid_block.attentions:
        first_moments = jax.eval_shape(look_for_keys, *sample)
        programs += [
            look_for_keys.lower(*sample),
            keys_of_window.lower(vae, latents, scaling_factor, first_moments),
        ]
        tokens = _float32(len(plan.key_frames) * frequencies, vae.config.block_out_channels[-1])
        far = FarKeys(tokens, tokens, _int32(len(plan.key_frames)))
    moments, _ = jax.eval_shape(look_at_sample, *sample, far)
    programs += [
        look_at_sample.lower(*sample, far),
        decode_window.lower(vae, latents, scaling_factor, _windows(1), Context(moments, far)),
    ]
    mel = _float32(1, plan.vocoder_size, vocoder.config.model_in_dim)
    return programs, [generate.vocode.lower(vocoder, mel)]


def _windows(count: int) -> Windows:
    return Windows(_int32(count), _int32(count), _int32(count), _int32())


def _int32(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def _float32(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.float32)
