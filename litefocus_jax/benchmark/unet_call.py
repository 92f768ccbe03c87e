"""The UNet call that is timed, with random inputs of the right shapes."""

import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp

from litefocus_jax.benchmark.workload import BATCH_SIZE, GENERATED_VECTORS, PROMPT_TOKENS, Workload, prompt_widths
from litefocus_jax.models.unet.network import Context, UNet
from litefocus_jax.ops.litefocus.layout import AttentionLayout
from litefocus_jax.system.platform import LowMemoryJit


class Inputs(NamedTuple):
    """Everything but the weights that one evaluation of the UNet takes in the sampling loop."""

    sample: jax.Array
    time_embedding: jax.Array
    context: Context
    key_rng: jax.Array


def random_inputs(unet: UNet, workload: Workload) -> Inputs:
    """Inputs as the sampling loop has them: what it computes once per generation is among them."""
    keys = jax.random.split(jax.random.key(0), 4)
    labels_width = unet.config.class_labels_dim
    if labels_width is not None:
        labels = jax.random.normal(keys[0], (BATCH_SIZE, labels_width), unet.dtype)
        context = jax.jit(UNet.project_context)(unet, class_labels=labels)
    else:
        generated_width, text_width = prompt_widths(unet.config)
        generated = jax.random.normal(keys[0], (BATCH_SIZE, GENERATED_VECTORS, generated_width), unet.dtype)
        text = jax.random.normal(keys[1], (BATCH_SIZE, PROMPT_TOKENS, text_width), unet.dtype)
        context = jax.jit(UNet.project_context)(unet, generated, text, jnp.ones((BATCH_SIZE, PROMPT_TOKENS), bool))
    time_embedding = jax.jit(UNet.embed_time)(unet, jnp.full(1, 500.0))
    sample = jax.random.normal(keys[2], workload.latent_shape(), unet.dtype)

    return Inputs(sample, time_embedding, context, keys[3])


@functools.partial(LowMemoryJit, static_argnames="attention")
def evaluate(unet: UNet, inputs: Inputs, *, attention: AttentionLayout) -> jax.Array:
    """One evaluation of the UNet."""
    return unet(inputs.sample, inputs.time_embedding, inputs.context, attention=attention, key_rng=inputs.key_rng)
