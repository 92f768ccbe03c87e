"""The UNet call that is timed, with random inputs of the right shapes."""

from typing import Any

import jax
import jax.numpy as jnp

from litefocus_jax.benchmark.workload import BATCH_SIZE, GENERATED_VECTORS, PROMPT_TOKENS, Workload, prompt_widths
from litefocus_jax.models.unet import Context, UNet


def prepare(unet: UNet, workload: Workload) -> tuple[Any, tuple[Any, ...]]:
    """A jitted function and its arguments: one call as the sampling loop makes it.

    What the loop computes once per generation, the prompt's keys and values and the time embedding, is among the
    arguments.
    """
    keys = jax.random.split(jax.random.key(0), 4)
    generated_width, text_width = prompt_widths(unet.config)
    generated = jax.random.normal(keys[0], (BATCH_SIZE, GENERATED_VECTORS, generated_width), unet.dtype)
    text = jax.random.normal(keys[1], (BATCH_SIZE, PROMPT_TOKENS, text_width), unet.dtype)
    context = jax.jit(UNet.project_context)(unet, generated, text, jnp.ones((BATCH_SIZE, PROMPT_TOKENS), bool))
    time_embedding = jax.jit(UNet.embed_time)(unet, jnp.full(1, 500.0))
    sample = jax.random.normal(keys[2], workload.latent_shape(), unet.dtype)

    @jax.jit
    def evaluate(
        unet: UNet, sample: jax.Array, time_embedding: jax.Array, context: Context, key: jax.Array
    ) -> jax.Array:
        return unet(sample, time_embedding, context, litefocus=workload.litefocus, key_rng=key)

    return evaluate, (unet, sample, time_embedding, context, keys[3])
