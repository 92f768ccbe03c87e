"""The UNet in its published sizes, without weights."""

import dataclasses
import functools
from collections import Counter

import jax
import jax.numpy as jnp
import pytest
from flax import nnx

from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.checkpoint.weights import abstract, parameter_count
from litefocus_jax.models.unet import self_attention as unet_module
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout, FocusSets
from litefocus_jax.ops.litefocus.settings import PUBLISHED_TRAINING_LENGTH_IN_S, LiteFocusConfig

PARAMETERS = {"audioldm2": 346_943_496, "audioldm2-large": 718_012_296, "audioldm2-gigaspeech": 261_926_536}


@functools.cache
def build(name: str) -> UNet:
    return abstract(UNet, UNetConfig.from_dict(published_config(name, "unet")))


def trace(unet: UNet, time: int, attention: AttentionLayout = DENSE) -> jax.ShapeDtypeStruct:
    """Shape of the prediction for two sounds of ``time`` latent frames, computing nothing."""

    def predict(unet: UNet, sample: jax.Array, generated: jax.Array, text: jax.Array, key_rng: jax.Array) -> jax.Array:
        context = unet.project_context(generated, text, jnp.ones(text.shape[:2], bool))
        time_embedding = unet.embed_time(jnp.ones(1))[0]
        return unet(sample, time_embedding, context, attention=attention, key_rng=key_rng)

    def array(*shape: int) -> jax.ShapeDtypeStruct:
        return jax.ShapeDtypeStruct(shape, jnp.float32)

    channels = unet.config.in_channels
    key_rng = jax.eval_shape(lambda: jax.random.key(0))
    return jax.eval_shape(predict, unet, array(2, time, 16, channels), array(2, 8, 768), array(2, 20, 1024), key_rng)


@pytest.mark.parametrize(("name", "parameters"), PARAMETERS.items())
def test_published_size_has_the_published_number_of_parameters(name, parameters):
    assert parameter_count(build(name)) == parameters


@pytest.mark.parametrize("name", PARAMETERS)
def test_prediction_has_the_shape_of_the_latents(name):
    assert trace(build(name), 125).shape == (2, 125, 16, 8)


def test_litefocus_replaces_the_twenty_self_attentions_of_the_second_level(monkeypatch):
    shapes, attend = [], unet_module.litefocus_attention

    def count(query, key, value, *, num_frequencies, **others):
        shapes.append((query.shape, num_frequencies))
        return attend(query, key, value, num_frequencies=num_frequencies, **others)

    monkeypatch.setattr(unet_module, "litefocus_attention", count)
    trace(build("audioldm2"), 1000, LiteFocusConfig().layout(0.04))
    assert shapes == [((2, 500 * 8, 8, 32), 8)] * 20


def test_all_levels_are_those_with_attention_each_with_its_reach(monkeypatch):
    reaches, attend = [], unet_module.litefocus_attention

    def count(query, key, value, *, num_frequencies, layout, level, **others):
        reaches.append((num_frequencies, layout.reach_at(level)))
        return attend(query, key, value, num_frequencies=num_frequencies, layout=layout, level=level, **others)

    monkeypatch.setattr(unet_module, "litefocus_attention", count)
    trace(build("audioldm2"), 1000, LiteFocusConfig.linear().layout(0.04))
    frames = round(PUBLISHED_TRAINING_LENGTH_IN_S / 0.04)
    assert Counter(reaches) == {(8, -(-frames // 2)): 20, (4, -(-frames // 4)): 20, (2, -(-frames // 8)): 24}


def test_scores_of_dense_levels_are_scaled_against_their_training_length(monkeypatch):
    keys, scale = [], unet_module.scale_queries

    def count(query, num_keys, training_keys):
        keys.append((len(num_keys), training_keys))
        return scale(query, num_keys, training_keys)

    monkeypatch.setattr(unet_module, "scale_queries", count)
    trace(build("audioldm2"), 1000, AttentionLayout(scale_scores=True))
    assert Counter(keys) == {(500 * 8, 128 * 8): 20, (250 * 4, 64 * 4): 20, (125 * 2, 32 * 2): 24}


def test_scores_cannot_be_scaled_without_a_training_length():
    config = dataclasses.replace(UNetConfig.tiny(), sample_size=None)
    with pytest.raises(ValueError, match="sample_size names no training length"):
        unet_module.check_layout(config, AttentionLayout(scale_scores=True))


def test_a_level_without_attention_is_refused():
    with pytest.raises(ValueError, match=r"names level 0; this UNet has attention at \(1, 2, 3\)"):
        trace(build("audioldm2"), 32, AttentionLayout(FocusSets(levels=(1, 0))))


def test_a_module_is_a_pytree_of_its_weights():
    unet = build("audioldm2-gigaspeech")
    assert len(jax.tree.leaves(unet)) == len(jax.tree.leaves(nnx.state(unet)))
