"""The vocoder against transformers' ``SpeechT5HifiGan``."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from litefocus_jax.checkpoint.matching import convert
from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.checkpoint.spellings import undo_spellings
from litefocus_jax.checkpoint.weights import abstract, fill, leaves, parameter_count
from litefocus_jax.models.vocoder import NETWORK as VOCODER_NETWORK
from litefocus_jax.models.vocoder import Vocoder, VocoderConfig
from tests.support.parity import assert_parity, port, randomise, to_jax


def reference(config: VocoderConfig) -> SpeechT5HifiGan:
    return randomise(SpeechT5HifiGan(SpeechT5HifiGanConfig(**config.to_dict())))


def log_mel(config: VocoderConfig, frames: int) -> torch.Tensor:
    return torch.randn(2, frames, config.model_in_dim, generator=torch.Generator().manual_seed(frames))


synthesise = jax.jit(lambda vocoder, mel: vocoder(mel))


@pytest.mark.parametrize("frames", [1, 3, 10, 33])
def test_published_rates_give_the_samples_of_pytorch(frames):
    config = VocoderConfig.tiny()
    theirs = reference(config)
    mel = log_mel(config, frames)
    samples = synthesise(port(VOCODER_NETWORK, config, theirs), to_jax(mel))
    assert samples.shape == (2, 160 * frames + 32)
    assert_parity(samples, theirs(mel))


@pytest.mark.parametrize(
    ("rates", "kernel_sizes"),
    [((4, 4), (8, 8)), ((3, 2), (3, 2)), ((5, 2), (16, 7)), ((1, 3), (3, 4)), ((2,), (11,))],
    ids=str,
)
def test_any_rate_and_kernel_size_match_in_length_and_value(rates, kernel_sizes):
    config = dataclasses.replace(VocoderConfig.tiny(), upsample_rates=rates, upsample_kernel_sizes=kernel_sizes)
    theirs = reference(config)
    mel = log_mel(config, 7)
    ours = port(VOCODER_NETWORK, config, theirs)
    assert_parity(synthesise(ours, to_jax(mel)), theirs(mel))


def test_normalisation_uses_the_stored_mean_and_scale():
    config = dataclasses.replace(VocoderConfig.tiny(), normalize_before=True)
    theirs = reference(config)
    theirs.mean.copy_(torch.linspace(-1.0, 1.0, config.model_in_dim))
    theirs.scale.copy_(torch.linspace(0.5, 2.0, config.model_in_dim))
    mel = log_mel(config, 5)
    ours = port(VOCODER_NETWORK, config, theirs)
    assert_parity(synthesise(ours, to_jax(mel)), theirs(mel))


def test_weight_normalised_checkpoint_is_fused_to_the_same_vocoder():
    config = VocoderConfig.tiny()
    theirs = SpeechT5HifiGan(SpeechT5HifiGanConfig(**config.to_dict()))
    theirs.apply_weight_norm()
    randomise(theirs)
    tensors = {name: tensor.numpy() for name, tensor in theirs.state_dict().items()}
    assert "conv_pre.parametrizations.weight.original0" in tensors
    ours = abstract(Vocoder, config)
    arrays = convert(undo_spellings(tensors, VOCODER_NETWORK.keys.spellings), VOCODER_NETWORK.keys, leaves(ours))
    mel = log_mel(config, 6)
    assert_parity(synthesise(fill(ours, arrays, jnp.float32), to_jax(mel)), theirs(mel))


def test_published_vocoder_has_every_weight_of_pytorch():
    config = VocoderConfig.from_dict(published_config("audioldm2", "vocoder"))
    with torch.device("meta"):
        theirs = SpeechT5HifiGan(SpeechT5HifiGanConfig(**config.to_dict()))
    count = sum(tensor.numel() for tensor in theirs.state_dict().values())
    assert parameter_count(abstract(Vocoder, config)) == count


def test_half_precision_weights_still_give_float32_sound():
    config = VocoderConfig.tiny()
    theirs = reference(config)
    expected = theirs(log_mel(config, 8))
    ours = port(VOCODER_NETWORK, config, theirs.bfloat16().float())
    samples = synthesise(ours, to_jax(log_mel(config, 8)).astype(jnp.bfloat16))
    assert samples.dtype == np.float32
    assert_parity(samples, expected, tolerance=0.2)
