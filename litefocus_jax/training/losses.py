"""The loss of a latent diffusion model: how far the UNet's prediction is from the noise that was added.

Ho, Jain and Abbeel, "Denoising Diffusion Probabilistic Models" (arXiv 2006.11239), equation 14; for a network that
predicts the velocity, appendix D of Salimans and Ho, "Progressive Distillation" (arXiv 2202.00512).
"""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Int, Key

from litefocus_jax.diffusion.noise import add_noise, velocity
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.class_conditioning import ClapTokens
from litefocus_jax.models.encoders import Conditioning, encoders_of
from litefocus_jax.models.t5_conditioning import T5Tokens
from litefocus_jax.models.tokenization import PromptTokens
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.vae import LatentDistribution
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout


class Batch(NamedTuple):
    """Sounds with their captions, as the models read them; every array begins with the axis of clips.

    A caption that is dropped, so that the model learns to go without, is the caption ``""``: the source of the batch
    has seen to it.

    Attributes:
        latents: what the VAE's encoder gives, not multiplied by its scaling factor.
        clap_ids: CLAP's token ids, padded to any length; None for models that have no CLAP.
        clap_mask: true on tokens, false on padding, likewise.
        t5_ids: Flan-T5's token ids, padded on the right to any length; None for models that have no T5.
        t5_mask: true on tokens, false on padding, likewise. Its longest row is the length that the batch counts as
            padded to.
    """

    latents: LatentDistribution
    clap_ids: Int[Array | np.ndarray, "clips clap_tokens"] | None = None
    clap_mask: Bool[Array | np.ndarray, "clips clap_tokens"] | None = None
    t5_ids: Int[Array | np.ndarray, "clips tokens"] | None = None
    t5_mask: Bool[Array | np.ndarray, "clips tokens"] | None = None

    @property
    def t5_length(self) -> Int[Array, ""]:
        """Tokens of the longest caption for T5; 0 where there is none."""
        if self.t5_mask is None:
            return jnp.zeros((), jnp.int32)
        return jnp.max(jnp.sum(jnp.asarray(self.t5_mask).astype(jnp.int32), axis=1))

    def conditioning(self, models: Mapping[str, Any], t5_length: Int[Array, ""]) -> Conditioning:
        """The captions as the UNet reads them; the arguments are those of `diffusion_loss`."""
        clap = None if self.clap_ids is None or self.clap_mask is None else ClapTokens(self.clap_ids, self.clap_mask)
        t5 = None if self.t5_ids is None or self.t5_mask is None else T5Tokens(self.t5_ids, self.t5_mask)
        tokens = clap or t5 if clap is None or t5 is None else PromptTokens(*clap, *t5, t5_length)
        return encoders_of(models).encode(tokens)  # pyright: ignore[reportArgumentType]


class Draws(NamedTuple):
    """What chance decides about a batch.

    Attributes:
        latents: drawn from the encoder's distribution, not scaled.
        noise: standard normal.
        timesteps: places in the noise schedule.
    """

    latents: Float[Array, "clips time frequency channels"]
    noise: Float[Array, "clips time frequency channels"]
    timesteps: Int[Array, " clips"]


def draw(
    keys: Key[Array, " clips"], latents: LatentDistribution, num_timesteps: int, timestep_shift: float = 1.0
) -> Draws:
    """Draw each clip's latents, noise and timestep from its own key, whatever batch it is part of.

    Args:
        keys: one per clip.
        latents: of the clips.
        num_timesteps: length of the noise schedule.
        timestep_shift: towards the noisy end of it, see `shifted_timesteps`; 1 draws them uniformly.
    """

    def draw_clip(key: Array, latents: LatentDistribution) -> Draws:
        latents_key, noise_key, timestep_key = jax.random.split(key, 3)
        timestep = jax.random.randint(timestep_key, (), 0, num_timesteps)
        return Draws(
            latents.sample(latents_key),
            jax.random.normal(noise_key, latents.mean.shape, jnp.float32),
            shifted_timesteps(timestep, num_timesteps, timestep_shift),
        )

    distribution = LatentDistribution(*(part.astype(jnp.float32) for part in latents))
    return jax.vmap(draw_clip)(keys, distribution)


def shifted_timesteps(timesteps: Int[Array, "*shape"], num_timesteps: int, shift: float) -> Int[Array, "*shape"]:
    """Move timesteps towards the noisy end: ``t' = shift t / (1 + (shift - 1) t)``, both as shares of the schedule.

    Esser et al., "Scaling Rectified Flow Transformers for High-Resolution Image Synthesis" (arXiv 2403.03206), equation
    23. Uniform timesteps become such of which the noisiest come ``shift`` times as often as if uniform, and the
    cleanest as many times less often. What a sound is has to be decided where it is mostly noise.

    Args:
        timesteps: from 0 to less than ``num_timesteps``.
        num_timesteps: length of the noise schedule.
        shift: 1 changes nothing; less than 1 moves them towards the clean end.
    """
    share = (timesteps + 0.5) / num_timesteps  # the middle of a timestep, so that no rounding can reach the end
    moved = shift * share / (1.0 + (shift - 1.0) * share)
    return jnp.floor(moved * num_timesteps).astype(timesteps.dtype)


def denoising_loss(
    unet: UNet,
    conditioning: Conditioning,
    scheduler: SchedulerConfig,
    latents: Float[Array, "clips time frequency channels"],
    noise: Float[Array, "clips time frequency channels"],
    timesteps: Int[Array, " clips"],
    *,
    attention: AttentionLayout = DENSE,
    litefocus_key: Key[Array, ""] | None = None,
    rematerialise: bool = False,
    clip_weights: Float[Array, " clips"] | None = None,
) -> Float[Array, ""]:
    """Mean squared error of the UNet's prediction, in float32; the UNet computes in the dtype of its weights.

    Args:
        unet: the network.
        conditioning: the encoded captions, without guidance.
        scheduler: says how much noise a timestep has, and what the network predicts.
        latents: clean, multiplied by the VAE's scaling factor.
        noise: to be added.
        timesteps: when.
        attention: which self-attention is sparse, and how.
        litefocus_key: for the tokens that it draws, the same for all clips.
        rematerialise: compute the blocks of the UNet again for the gradient, instead of keeping what is in them.
        clip_weights: what each clip's errors are multiplied by; 1 unless given.
    """
    context = conditioning.context(unet)
    noisy = add_noise(scheduler, latents, noise, timesteps)
    prediction = unet(
        noisy.astype(unet.dtype),
        unet.embed_time(timesteps),
        context,
        attention=attention,
        key_rng=litefocus_key,
        rematerialise=rematerialise,
    )
    is_velocity = scheduler.prediction_type == "v_prediction"
    target = velocity(scheduler, latents, noise, timesteps) if is_velocity else noise
    errors = jnp.square(prediction.astype(jnp.float32) - target)
    return jnp.mean(errors if clip_weights is None else errors * clip_weights[:, None, None, None])


def diffusion_loss(
    models: Mapping[str, Any],
    scheduler: SchedulerConfig,
    scaling_factor: float,
    batch: Batch,
    t5_length: Int[Array, ""],
    keys: Key[Array, " clips"],
    *,
    attention: AttentionLayout = DENSE,
    litefocus_key: Key[Array, ""] | None = None,
    rematerialise: bool = False,
    timestep_shift: float = 1.0,
    clip_weights: Float[Array, " clips"] | None = None,
) -> Float[Array, ""]:
    """The loss of a batch: captions are encoded and latents drawn, then `denoising_loss`.

    Args:
        models: the UNet and what reads captions, by the names that `Components` has for them.
        scheduler: the noise schedule.
        scaling_factor: of the VAE.
        batch: the clips.
        t5_length: the length that the captions count as padded to, see `encode_text`. Parts of one batch have one.
        keys: one per clip.
        attention: which self-attention is sparse, and how.
        litefocus_key: for the tokens that it draws, the same for all clips.
        rematerialise: compute the blocks of the UNet again for the gradient, instead of keeping what is in them.
        timestep_shift: towards the noisy end of the schedule, see `shifted_timesteps`.
        clip_weights: what each clip's errors are multiplied by; 1 unless given.
    """
    conditioning = batch.conditioning(models, t5_length)
    draws = draw(keys, batch.latents, scheduler.num_train_timesteps, timestep_shift)
    return denoising_loss(
        models["unet"],
        conditioning,
        scheduler,
        draws.latents * scaling_factor,
        draws.noise,
        draws.timesteps,
        attention=attention,
        litefocus_key=litefocus_key,
        rematerialise=rematerialise,
        clip_weights=clip_weights,
    )
