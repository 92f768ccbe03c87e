"""Latents of a loop to sound whose end runs into its beginning.

A short loop is decoded whole by networks on a circle of time. A long one is decoded in tiles, for which its ends are
written out beyond each other as far as the decoders look; what that makes beyond the loop is dropped.
"""

from collections.abc import Callable, Iterator

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from litefocus_jax.decoding.plan import DecodingPlan, vae_reach, vocoder_reach
from litefocus_jax.decoding.sound import sound_blocks
from litefocus_jax.models.vae import VAE, VAEConfig
from litefocus_jax.models.vocoder import Vocoder, VocoderConfig


def frames_beyond(vae: VAEConfig, vocoder: VocoderConfig, frames: int) -> int:
    """Latent frames on either side of a loop that is decoded in tiles: what its ends depend on, at most all of it."""
    mel_frames = max(vocoder_reach(vocoder))
    return min(frames, max(vae_reach(vae)) + -(-mel_frames // vae.scale_factor))


def loop_blocks(
    vae: VAE,
    vocoder: Vocoder,
    latents: Float[Array | np.ndarray, "time frequency channels"],
    plan: DecodingPlan,
    on_progress: Callable[[int], None] = lambda done: None,
    mesh: Mesh | None = None,
) -> Iterator[Float[np.ndarray, " samples"]]:
    """Decode one loop; the blocks in a row are the loop.

    Args:
        vae: the VAE whose decoder is used, on a circle of time where the plan is whole.
        vocoder: makes sound of mel, likewise.
        latents: latents of the whole loop, as the diffusion model has them.
        plan: from `plan_decoding`, for as many frames; or for those with `frames_beyond` on either side, where it is
            not whole.
        on_progress: told how many of ``plan.steps`` are done.
        mesh: devices that share the tiles, as for `sound_blocks`.

    Raises:
        NonFiniteError: when a block holds NaN or infinity; the message names the stage.
    """
    if plan.is_whole:
        yield from sound_blocks(vae, vocoder, latents, plan, on_progress, mesh)
        return
    latents = np.asarray(latents)
    beyond = (plan.frames - len(latents)) // 2
    around = np.concatenate([latents[len(latents) - beyond :], latents, latents[:beyond]])
    samples_per_frame = vocoder.config.hop_length * vae.config.scale_factor
    skip, left = beyond * samples_per_frame, len(latents) * samples_per_frame
    for block in sound_blocks(vae, vocoder, around, plan, on_progress, mesh):
        part = block[skip : skip + left]
        skip -= min(skip, len(block))
        left -= len(part)
        if len(part):
            yield part
