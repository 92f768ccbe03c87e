"""The VAE against diffusers' ``AutoencoderKL``."""

import dataclasses
from typing import Any

import jax
import jax.numpy as jnp
import pytest
import torch
from diffusers.models.autoencoders.autoencoder_kl import AutoencoderKL

from litefocus_jax.checkpoint.matching import convert
from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.checkpoint.spellings import undo_spellings
from litefocus_jax.checkpoint.weights import abstract, fill, leaves, parameter_count
from litefocus_jax.models.vae import NETWORK as VAE_NETWORK
from litefocus_jax.models.vae import VAE, VAEConfig
from tests.support.parity import assert_parity, nhwc, port, randomise

TINY = VAEConfig.tiny()
VARIANTS = {
    "published shape": TINY,
    "no attention": dataclasses.replace(TINY, mid_block_add_attention=False),
    "no quantisation convolutions": dataclasses.replace(TINY, use_quant_conv=False, use_post_quant_conv=False),
    "one level": dataclasses.replace(
        TINY,
        block_out_channels=(8,),
        down_block_types=("DownEncoderBlock2D",),
        up_block_types=("UpDecoderBlock2D",),
        layers_per_block=2,
    ),
}


def reference(config: VAEConfig) -> Any:
    """The diffusers module; `Any`, since its own annotations leave the kind of its outputs open."""
    return AutoencoderKL.from_config(config.to_dict())


def build(config: VAEConfig) -> tuple[VAE, Any]:
    theirs = randomise(reference(config))
    return port(VAE_NETWORK, config, theirs), theirs


def noise(*shape: int) -> torch.Tensor:
    return torch.randn(shape, generator=torch.Generator().manual_seed(0))


decode = jax.jit(lambda vae, latents: vae.decode(latents))
encode = jax.jit(lambda vae, mel: vae.encode(mel))


@pytest.mark.parametrize("length", [1, 3, 7, 10])
def test_decoded_spectrogram_matches_pytorch(length):
    ours, theirs = build(TINY)
    latents = noise(2, TINY.latent_channels, length, 4)
    spectrogram = decode(ours, nhwc(latents))
    assert spectrogram.shape == (2, 4 * length, 16, 1)
    assert_parity(spectrogram, nhwc(theirs.decode(latents).sample))


@pytest.mark.parametrize("frames", [4, 7, 13, 40])
def test_encoded_distribution_matches_pytorch(frames):
    ours, theirs = build(TINY)
    mel = noise(2, 1, frames, 16)
    mean, logvar = encode(ours, nhwc(mel))
    expected = theirs.encode(mel).latent_dist
    assert mean.shape == (2, frames // 4, 4, TINY.latent_channels)
    assert_parity(mean, nhwc(expected.mean))
    assert_parity(logvar, nhwc(expected.logvar))


@pytest.mark.parametrize("config", VARIANTS.values(), ids=VARIANTS)
def test_every_field_of_the_configuration_is_honoured_both_ways(config):
    ours, theirs = build(config)
    mel, latents = noise(1, 1, 12, 16), noise(1, config.latent_channels, 3, 4)
    assert_parity(encode(ours, nhwc(mel)).mean, nhwc(theirs.encode(mel).latent_dist.mean))
    assert_parity(decode(ours, nhwc(latents)), nhwc(theirs.decode(latents).sample))


def test_extreme_log_variance_is_clipped_as_in_pytorch():
    ours, theirs = build(TINY)
    mel = 1e4 * noise(1, 1, 8, 16)
    theirs.quant_conv.weight.mul_(100)
    ours = port(VAE_NETWORK, TINY, theirs)
    logvar = encode(ours, nhwc(mel)).logvar
    assert {-30.0, 20.0} <= set(logvar.ravel().tolist())
    assert_parity(logvar, nhwc(theirs.encode(mel).latent_dist.logvar))


def test_former_names_of_the_attention_load_to_the_same_weights():
    ours, theirs = build(TINY)
    former = {"to_q": "query", "to_k": "key", "to_v": "value", "to_out.0": "proj_attn"}
    tensors = {}
    for key, tensor in theirs.state_dict().items():
        for present, past in former.items():
            key = key.replace(f"attentions.0.{present}.", f"attentions.0.{past}.")
        tensors[key] = tensor.numpy()
    assert "decoder.mid_block.attentions.0.proj_attn.bias" in tensors
    reloaded = abstract(VAE, TINY)
    arrays = convert(undo_spellings(tensors, VAE_NETWORK.keys.spellings), VAE_NETWORK.keys, leaves(reloaded))
    reloaded = fill(reloaded, arrays, jnp.float32)
    assert all(jnp.array_equal(value, leaves(reloaded)[path]) for path, value in leaves(ours).items())


def test_published_vae_has_every_weight_of_pytorch():
    config = VAEConfig.from_dict(published_config("audioldm2", "vae"))
    with torch.device("meta"):
        theirs = reference(config)
    count = sum(parameter.numel() for parameter in theirs.parameters())
    assert parameter_count(abstract(VAE, config)) == count
