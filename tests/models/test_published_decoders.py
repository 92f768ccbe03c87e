"""VAE and vocoder without PyTorch: published shapes, the up-sampling's definition, errors."""

import dataclasses
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from litefocus_jax.checkpoint.random_model import published_config, random_model
from litefocus_jax.checkpoint.weights import abstract, leaves, parameter_count
from litefocus_jax.models.vae import VAE, LatentDistribution, VAEConfig
from litefocus_jax.models.vocoder import TransposedConv1d, Vocoder, VocoderConfig
from litefocus_jax.ops.convolution import convolve_3x3, convolve_doubled, convolve_winograd
from litefocus_jax.system.platform import platform_named, targeting
from tests.support.programs import primitives_of


@pytest.fixture(scope="module")
def published_vae() -> VAE:
    return abstract(VAE, VAEConfig.from_dict(published_config("audioldm2", "vae")))


@pytest.fixture(scope="module")
def published_vocoder() -> Vocoder:
    return abstract(Vocoder, VocoderConfig.from_dict(published_config("audioldm2", "vocoder")))


def zeros(*shape: int) -> jax.ShapeDtypeStruct:
    return jax.ShapeDtypeStruct(shape, jnp.float32)


def normal(*shape: int) -> jax.Array:
    return jax.random.normal(jax.random.key(len(shape)), shape)


def convolve_directly(x: jax.Array, kernel: jax.Array) -> jax.Array:
    return jax.lax.conv_general_dilated(x, kernel, (1, 1), "SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))


def test_published_models_have_their_number_of_weights(published_vae, published_vocoder):
    assert parameter_count(published_vae) == 55_376_873
    assert parameter_count(published_vocoder) == 55_265_025


def test_ten_seconds_of_published_latents_become_ten_seconds_of_sound(published_vae, published_vocoder):
    mel = jax.eval_shape(lambda vae, latents: vae.decode(latents), published_vae, zeros(2, 250, 16, 8))
    assert mel.shape == (2, 1000, 64, 1)
    sound = jax.eval_shape(lambda vocoder, mel: vocoder(mel), published_vocoder, zeros(2, 1000, 64))
    assert (sound.shape, sound.dtype) == ((2, 160_032), jnp.float32)


def test_ten_seconds_of_published_mel_become_latents(published_vae):
    mean, logvar = jax.eval_shape(lambda vae, mel: vae.encode(mel), published_vae, zeros(2, 1000, 64, 1))
    assert mean.shape == logvar.shape == (2, 250, 16, 8)


@pytest.mark.parametrize(("kernel_size", "rate"), [(16, 5), (16, 4), (8, 2), (3, 3), (4, 1), (7, 2)])
def test_transposed_convolution_equals_convolving_the_input_spread_out_with_zeros(kernel_size, rate):
    layer = TransposedConv1d(3, 4, kernel_size=kernel_size, rate=rate, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(1), (2, 6, 3))
    full = jax.lax.conv_transpose(
        x, layer.kernel[...], strides=(rate,), padding=[(kernel_size - 1,) * 2], dimension_numbers=("NWC", "WIO", "NWC")
    )
    cut = (kernel_size - rate) // 2
    np.testing.assert_allclose(layer(x), full[:, cut : full.shape[1] - cut], atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (4, 5), (6, 4)])
def test_doubling_and_convolving_in_one_step_equals_doing_one_after_the_other(shape):
    x, kernel = normal(2, *shape, 3), normal(3, 3, 3, 5)
    doubled = jnp.repeat(jnp.repeat(x, 2, axis=1), 2, axis=2)
    np.testing.assert_allclose(convolve_doubled(x, kernel), convolve_directly(doubled, kernel), atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 1), (3, 2), (4, 5), (6, 4)])
def test_winograd_convolution_equals_the_direct_one(shape):
    x, kernel = normal(2, *shape, 3), normal(3, 3, 3, 5)
    np.testing.assert_allclose(convolve_winograd(x, kernel), convolve_directly(x, kernel), atol=1e-5)


@pytest.mark.parametrize(
    ("frames", "channels", "dtype", "is_winograd"),
    [(32, 256, jnp.float32, True), (16, 256, jnp.float32, False), (32, 128, jnp.float32, False),
     (32, 256, jnp.bfloat16, False)],
)  # fmt: skip
def test_only_large_float32_convolutions_on_a_cpu_go_by_winograd(frames, channels, dtype, is_winograd):
    x = jax.ShapeDtypeStruct((1, frames, 32, channels), dtype)
    kernel = jax.ShapeDtypeStruct((3, 3, channels, channels), dtype)
    convolve = partial(convolve_3x3, window_strides=(1, 1), padding="SAME", dimension_numbers=("NHWC", "HWIO", "NHWC"))
    with targeting(platform_named("cpu")):
        assert ("dot_general" in primitives_of(convolve, x, kernel)) == is_winograd


def test_samples_are_drawn_from_the_latent_distribution():
    distribution = LatentDistribution(mean=jnp.full((1, 50, 50, 4), 2.0), logvar=jnp.full((1, 50, 50, 4), -2.0))
    sample = distribution.sample(jax.random.key(0))
    assert sample.mean() == pytest.approx(2.0, abs=0.02)
    assert sample.std() == pytest.approx(np.exp(-1.0), abs=0.02)
    assert jnp.array_equal(sample, distribution.sample(jax.random.key(0)))


def test_vae_computes_in_the_dtype_of_its_weights():
    vae = jax.tree.map(lambda leaf: jax.ShapeDtypeStruct(leaf.shape, jnp.bfloat16), abstract(VAE, VAEConfig.tiny()))
    latents = jax.ShapeDtypeStruct((1, 2, 4, 4), jnp.bfloat16)
    assert jax.eval_shape(lambda vae, latents: vae.decode(latents), vae, latents).dtype == jnp.bfloat16


def test_statistics_of_the_mel_are_no_weights_to_be_trained():
    vocoder = abstract(Vocoder, VocoderConfig.tiny())
    trainable = nnx.to_flat_state(nnx.state(vocoder, nnx.Param))
    assert {".".join(map(str, path)) for path, _ in trainable} == set(leaves(vocoder)) - {"mean", "scale"}


def test_gradients_reach_every_weight_of_the_vocoder():
    vocoder = random_model(Vocoder, VocoderConfig.tiny())
    mel = jax.random.normal(jax.random.key(0), (1, 4, vocoder.config.model_in_dim))
    gradients = jax.jit(jax.grad(lambda vocoder: jnp.square(vocoder(mel)).sum()))(vocoder)
    assert all(jnp.any(gradient) for path, gradient in leaves(gradients).items() if path not in ("mean", "scale"))


def test_mel_with_the_wrong_number_of_bins_is_refused():
    vocoder = abstract(Vocoder, dataclasses.replace(VocoderConfig.tiny(), model_in_dim=16))
    with pytest.raises(ValueError, match=r"mel has shape \(1, 4, 15\); expected \[batch, frames, 16\]"):
        vocoder(jnp.zeros((1, 4, 15)))


def test_latents_and_mel_of_a_wrong_shape_are_refused():
    vae = abstract(VAE, VAEConfig.tiny())
    with pytest.raises(ValueError, match=r"latents has shape \(1, 4, 4\)"):
        vae.decode(jnp.zeros((1, 4, 4)))
    with pytest.raises(ValueError, match="at least 4 along time"):
        vae.encode(jnp.zeros((1, 3, 16, 1)))
