"""How much noise there is at a timestep, and what a clean sample becomes there: the forward process."""

import functools

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from litefocus_jax.diffusion.scheduler_config import SchedulerConfig


@functools.lru_cache(maxsize=16)
def alphas_cumprod(config: SchedulerConfig) -> np.ndarray:
    """``alpha_bar`` of every trained timestep: the share of the clean latents in the variance; read-only float32 [T].

    The table is rounded where diffusers rounds it, which matters: near the clean end ``1 - alpha_bar``
    magnifies the rounding a hundredfold, and the network was trained with the noise that this table says.
    """
    table = np.cumprod(np.float32(1.0) - betas(config), dtype=np.float64).astype(np.float32)
    table.flags.writeable = False
    return table


def betas(config: SchedulerConfig) -> np.ndarray:
    """The variance of the noise that each trained timestep adds; float32 [T].

    ``"scaled_linear"`` is linear in the root of beta; ``"squaredcos_cap_v2"`` is equation 17 of Nichol and Dhariwal,
    "Improved Denoising Diffusion Probabilistic Models" (arXiv 2102.09672).
    """
    count = config.num_train_timesteps
    if config.beta_schedule == "linear":
        return np.linspace(config.beta_start, config.beta_end, count, dtype=np.float32)
    if config.beta_schedule == "scaled_linear":
        return np.linspace(config.beta_start**0.5, config.beta_end**0.5, count, dtype=np.float32) ** 2
    cosine = np.cos((np.arange(count + 1) / count + 0.008) / 1.008 * np.pi / 2) ** 2
    return np.minimum(1.0 - cosine[1:] / cosine[:-1], 0.999).astype(np.float32)


def add_noise(
    config: SchedulerConfig,
    sample: Float[Array, " batch *shape"],
    noise: Float[Array, " batch *shape"],
    timesteps: Int[Array | np.ndarray, " batch"],
) -> Float[Array, " batch *shape"]:
    """The forward process: what the clean sample has become at a timestep (DDIM equation 4, with ``alpha_bar``)."""
    signal, spread = _mixture(config, timesteps, sample.ndim)
    return signal.astype(sample.dtype) * sample + spread.astype(sample.dtype) * noise


def velocity(
    config: SchedulerConfig,
    sample: Float[Array, " batch *shape"],
    noise: Float[Array, " batch *shape"],
    timesteps: Int[Array | np.ndarray, " batch"],
) -> Float[Array, " batch *shape"]:
    """What a network of prediction type ``"v_prediction"`` is trained to return.

    Appendix D of Salimans and Ho, "Progressive Distillation" (arXiv 2202.00512).
    """
    signal, spread = _mixture(config, timesteps, sample.ndim)
    return signal.astype(sample.dtype) * noise - spread.astype(sample.dtype) * sample


def _mixture(config: SchedulerConfig, timesteps: Int[Array | np.ndarray, " batch"], ndim: int) -> tuple[Array, Array]:
    """Standard deviations of the clean sample and of the noise at some timesteps, shaped to multiply a batch."""
    signal, spread = (jnp.asarray(table)[timesteps] for table in noise_levels(config))
    shape = (-1, *(1,) * (ndim - 1))
    return signal.reshape(shape), spread.reshape(shape)


def noise_levels(config: SchedulerConfig) -> tuple[np.ndarray, np.ndarray]:
    """Standard deviations of the clean sample and of the noise at every trained timestep; float32 ``[T]`` each."""
    alpha_bar = alphas_cumprod(config).astype(np.float64)
    return np.sqrt(alpha_bar).astype(np.float32), np.sqrt(1.0 - alpha_bar).astype(np.float32)
