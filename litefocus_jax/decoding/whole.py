"""A sound decoded in one piece: latents to log-mel spectrogram to samples."""

import functools

from jax.sharding import Mesh
from jaxtyping import Array, Float

from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder
from litefocus_jax.parallel.mesh import EVERYWHERE, along_all, map_shares
from litefocus_jax.system.kept_jit import KeptJit
from litefocus_jax.system.platform import LowMemoryJit


@functools.partial(KeptJit, jit=LowMemoryJit, static_argnames="mesh")
def decode_latents(
    vae: VAE, latents: Float[Array, "sounds time frequency channels"], *, mesh: Mesh | None = None
) -> Float[Array, "sounds mel_frames mel_bins"]:
    """The VAE's own latents (`VAE.unscaled`) to log-mel spectrograms.

    On a mesh each device makes its share of them, of which there are as many as devices or a multiple.
    """
    if mesh is not None:
        return map_shares(mesh, decode_latents, (EVERYWHERE, along_all(mesh)))(vae, latents)
    return vae.decode(latents)[..., 0]


@functools.partial(KeptJit, jit=LowMemoryJit, static_argnames="mesh")
def vocode(
    vocoder: Vocoder, mel: Float[Array, "sounds mel_frames mel_bins"], *, mesh: Mesh | None = None
) -> Float[Array, "sounds samples"]:
    """Turn log-mel spectrograms into sound in [-1, 1], by the vocoder; on a mesh as `decode_latents`."""
    if mesh is not None:
        return map_shares(mesh, vocode, (EVERYWHERE, along_all(mesh)))(vocoder, mel)
    return vocoder(mel)
