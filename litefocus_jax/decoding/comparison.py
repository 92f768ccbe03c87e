"""How far a spectrogram decoded in tiles lies from the one decoded whole."""

import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.decoding.plan import DecodingPlan
from litefocus_jax.decoding.sound import mel_blocks
from litefocus_jax.decoding.whole import decode_latents
from litefocus_jax.models.vae import VAE

_DB_PER_UNIT = 20.0 / math.log(10.0)  # the spectrogram holds natural logarithms of magnitudes


class MelError(NamedTuple):
    """Differences of two log-mel spectrograms.

    Attributes:
        root_mean_square: root mean square over all frames and bins, in dB.
        largest: largest difference of all bins, in dB.
    """

    root_mean_square: float
    largest: float


def mel_error(vae: VAE, latents: Float[Array | np.ndarray, "time frequency channels"], plan: DecodingPlan) -> MelError:
    """Decode a sound both in tiles and whole, and compare.

    The whole takes memory in proportion to the length of the sound, and time that grows faster.

    Args:
        vae: the VAE whose decoder is used.
        latents: latents of the whole sound, as the diffusion model has them.
        plan: from `plan_decoding`, for as many frames; tiles are used even if it says that the sound is decoded whole.
    """
    whole = decode_latents(vae, vae.unscaled(jnp.asarray(latents)[None]))
    tiles = np.concatenate([*mel_blocks(vae, np.asarray(latents), plan)])
    error = _DB_PER_UNIT * (tiles.astype(np.float64) - np.asarray(whole[0]))
    return MelError(float(np.sqrt(np.mean(error**2))), float(np.abs(error).max()))
