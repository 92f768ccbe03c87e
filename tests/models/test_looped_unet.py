"""A UNet whose transformers run in a loop computes what it does without."""

import dataclasses
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jaxtyping import Array

from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.looped import LoopedAttentionLayers, loop_over_transformers
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig

CONFIG = dataclasses.replace(
    UNetConfig.tiny(),
    block_out_channels=(8, 16),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    cross_attention_dim=((None, 12, 20, None),) * 2,
    transformer_layers_per_block=2,
)


@functools.cache
def unet() -> UNet:
    return random_model(UNet, CONFIG)


@functools.partial(jax.jit, static_argnames="attention")
def evaluate(unet: UNet, attention: AttentionLayout) -> Array:
    sample = jax.random.normal(jax.random.key(0), (2, 8, 4, CONFIG.in_channels))
    generated, text = (jax.random.normal(jax.random.key(n), (2, n, dim)) for n, dim in ((5, 12), (7, 20)))
    context = unet.project_context(generated, text, jnp.arange(7) < jnp.array([[4], [7]]))
    time = unet.embed_time(jnp.array([3.0]))
    return unet(sample, time, context, attention=attention, key_rng=jax.random.key(1))


def layout(**fields: Any) -> AttentionLayout:
    return LiteFocusConfig(levels="all", sparse_ratio=0.3, **fields).layout(0.04)


@pytest.mark.parametrize(
    "attention",
    [DENSE, layout(), layout(resample="step"), layout(transformers=3, transformer_blocks=1), layout(overlap="union")],
    ids=["dense", "drawn at every call", "drawn once a step", "sparse in some places", "union"],
)
def test_it_equals_the_network_without_loops(attention: AttentionLayout) -> None:
    np.testing.assert_allclose(
        evaluate(loop_over_transformers(unet()), attention), evaluate(unet(), attention), atol=1e-4
    )


def test_each_layer_of_transformers_is_one_loop() -> None:
    looped = loop_over_transformers(unet())
    assert isinstance(looped.mid_block.attentions, LoopedAttentionLayers)
    loops = [evaluate.lower(network, DENSE).as_text().count("stablehlo.while") for network in (unet(), looped)]
    layers = 1 + 1 + 2  # on the way down, in the middle, on the way up
    assert loops[1] - loops[0] == layers


def test_transformers_that_are_all_of_one_kind_are_left_as_they_are() -> None:
    alike = random_model(UNet, dataclasses.replace(CONFIG, cross_attention_dim=((12, 12),) * 2))
    assert not isinstance(loop_over_transformers(alike).mid_block.attentions, LoopedAttentionLayers)
