"""The UNet against diffusers' ``AudioLDM2UNet2DConditionModel``, with random weights through the production table."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.pipelines.audioldm2.modeling_audioldm2 import AudioLDM2UNet2DConditionModel

from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.network import NETWORK as UNET_NETWORK
from litefocus_jax.models.unet.network import Context, UNet
from tests.support.parity import assert_parity, nhwc, port, randomise, to_jax

TINY = UNetConfig.tiny()
# Two levels: a third of the time to compile.
SMALL = dataclasses.replace(
    TINY,
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    block_out_channels=(8, 16),
    cross_attention_dim=((None, 16, 24),) * 2,
)
VARIANTS = {
    "two transformer layers, a fourth transformer": {
        "cross_attention_dim": ((None, 16, 24, None),) * 2,
        "transformer_layers_per_block": 2,
    },
    "no second text encoder": {"cross_attention_dim": ((None, 16),) * 2},
    "a fourth transformer that reads the text": {"cross_attention_dim": ((None, 16, 24, 24),) * 2},
    "heads, layers and transformer layers per level": {
        "attention_head_dim": (4, 2),
        "layers_per_block": (2, 1),
        "transformer_layers_per_block": (1, 2),
        "down_block_types": ("CrossAttnDownBlock2D",) * 2,
    },
    "linear projections": {"use_linear_projection": True},
    "attention at the full resolution": {
        "down_block_types": ("CrossAttnDownBlock2D", "DownBlock2D"),
        "up_block_types": ("UpBlock2D", "CrossAttnUpBlock2D"),
        "cross_attention_dim": (16, 16),
        "in_channels": 3,
        "out_channels": 5,
    },
    "other constants": {
        "flip_sin_to_cos": False,
        "freq_shift": 1,
        "mid_block_scale_factor": 1.5,
        "norm_eps": 1e-2,
        "norm_num_groups": 2,
        "time_embedding_dim": 20,
        "conv_in_kernel": 1,
        "conv_out_kernel": 5,
    },
}


@functools.cache
def build(config: UNetConfig) -> tuple[torch.nn.Module, UNet]:
    reference = AudioLDM2UNet2DConditionModel.from_config(config.to_dict())
    assert isinstance(reference, AudioLDM2UNet2DConditionModel)
    reference = randomise(reference)
    return reference, port(UNET_NETWORK, config, reference)


def random_inputs(config: UNetConfig, time: int, frequency: int, masked: bool = True) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    dims = {index: dim for dims in config.cross_attention_dim_per_level for index, dim in enumerate(dims) if dim}
    inputs = {
        "sample": torch.randn(2, config.in_channels, time, frequency, generator=generator),
        "timestep": torch.tensor([3, 801]),
        "encoder_hidden_states": torch.randn(2, 8, dims.get(1, 16), generator=generator),
        "encoder_hidden_states_1": torch.randn(2, 6, dims.get(2, 24), generator=generator),
    }
    return inputs | {"encoder_attention_mask_1": torch.arange(6) < torch.tensor([[2], [6]])} if masked else inputs


def project_context(unet: UNet, inputs: dict[str, torch.Tensor]) -> Context:
    mask = inputs.get("encoder_attention_mask_1")
    return unet.project_context(
        to_jax(inputs["encoder_hidden_states"]),
        to_jax(inputs["encoder_hidden_states_1"]),
        None if mask is None else to_jax(mask),
    )


@jax.jit
def predict(unet: UNet, sample: jax.Array, timesteps: jax.Array, context: Context) -> jax.Array:
    time_embedding = unet.embed_time(timesteps)
    return unet(sample, time_embedding if len(timesteps) > 1 else time_embedding[0], context)


def apply(unet: UNet, inputs: dict[str, torch.Tensor]) -> jax.Array:
    return predict(unet, nhwc(inputs["sample"]), to_jax(inputs["timestep"]), project_context(unet, inputs))


def check(config: UNetConfig, time: int, frequency: int, masked: bool = True) -> None:
    reference, ours = build(config)
    inputs = random_inputs(config, time, frequency, masked)
    expected = reference(**inputs).sample
    assert_parity(apply(ours, inputs), expected.permute(0, 2, 3, 1))


@pytest.mark.parametrize(("time", "frequency"), [(5, 16), (13, 16)])
def test_four_levels_give_the_same_prediction(time, frequency):
    check(TINY, time, frequency)


@pytest.mark.parametrize(("time", "frequency"), [(17, 8), (32, 16), (1, 3)])
def test_any_size_gives_the_same_prediction(time, frequency):
    check(SMALL, time, frequency)


def test_without_a_mask_padding_is_read_like_text():
    check(SMALL, 5, 8, masked=False)


@pytest.mark.parametrize("fields", VARIANTS.values(), ids=VARIANTS.keys())
def test_every_field_is_honoured(fields):
    check(dataclasses.replace(SMALL, **fields), 5, 6)


def test_rounding_down_is_undone_by_resizing_to_the_skip():
    check(dataclasses.replace(SMALL, downsample_padding=0), 15, 13)


def test_gradient_with_respect_to_the_sample():
    reference, ours = build(SMALL)
    inputs = random_inputs(SMALL, 5, 8)
    sample = inputs["sample"].requires_grad_()
    torch.sin(reference(**inputs).sample).sum().backward()
    assert sample.grad is not None

    def loss(sample: jax.Array) -> jax.Array:
        return jnp.sin(predict(ours, sample, to_jax(inputs["timestep"]), project_context(ours, inputs))).sum()

    assert_parity(jax.jit(jax.grad(loss))(nhwc(sample)), sample.grad.permute(0, 2, 3, 1))


def test_one_time_embedding_serves_the_whole_batch():
    _, ours = build(SMALL)
    inputs = random_inputs(SMALL, 5, 8)
    one, each = (apply(ours, inputs | {"timestep": torch.tensor(steps)}) for steps in ([801], [801, 801]))
    np.testing.assert_allclose(one, each, atol=1e-5)


@pytest.mark.slow
def test_published_size_at_five_seconds():
    check(UNetConfig.from_dict(published_config("audioldm2", "unet")), 125, 16)
    build.cache_clear()  # two gigabytes
