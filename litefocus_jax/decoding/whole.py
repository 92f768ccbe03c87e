"""A sound decoded in one piece: latents to log-mel spectrogram to samples."""

from jaxtyping import Array, Float

from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder
from litefocus_jax.system.platform import LowMemoryJit


@LowMemoryJit
def decode_latents(
    vae: VAE, latents: Float[Array, "sounds time frequency channels"]
) -> Float[Array, "sounds mel_frames mel_bins"]:
    """The VAE's own latents (`VAE.unscaled`) to log-mel spectrograms."""
    return vae.decode(latents)[..., 0]


@LowMemoryJit
def vocode(vocoder: Vocoder, mel: Float[Array, "sounds mel_frames mel_bins"]) -> Float[Array, "sounds samples"]:
    """Turn log-mel spectrograms into sound in [-1, 1], by the vocoder."""
    return vocoder(mel)
