"""Checkpoints that tests share; built once per test session because writing them is most of a test's time."""

import dataclasses
import functools
from pathlib import Path

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.random_model import random_model, save_random_model
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.clap.text import ClapTextModel
from litefocus_jax.models.components import AudioLDM2Components
from litefocus_jax.models.gpt2 import GPT2
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.unet.config import ClassConditionedUNetConfig
from litefocus_jax.models.unet.network import UNet
from tests.support.folders import new_path

LABELLED_UNET = dataclasses.replace(
    ClassConditionedUNetConfig.tiny(),
    down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
    up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
    block_out_channels=(8, 16),
    cross_attention_dim=(8, 16),
)
"""That of a small AudioLDM, of two levels: a third of the time to compile."""


@functools.cache
def tiny_checkpoint() -> Path:
    """A native folder with a tiny random model."""
    folder = new_path("tiny")
    save_random_model(folder, size="tiny", seed=0)
    return folder


@functools.cache
def tiny_pipeline() -> AudioLDM2Pipeline:
    """The pipeline of `tiny_checkpoint`."""
    return AudioLDM2Pipeline.from_pretrained(tiny_checkpoint())


@functools.cache
def small_components() -> AudioLDM2Components:
    """The parts of `tiny_checkpoint`, with a UNet that has few arrays: the time to compile a gradient grows with them.

    It has two levels and a single transformer, in the middle; each text encoder has one layer.
    """
    tiny = AudioLDM2Components.of(load_components(tiny_checkpoint()))
    unet = dataclasses.replace(
        tiny.unet.config,
        down_block_types=("DownBlock2D",) * 2,
        up_block_types=("UpBlock2D",) * 2,
        block_out_channels=(8, 16),
        cross_attention_dim=(16, 16),
    )
    clap = dataclasses.replace(tiny.text_encoder.config, num_hidden_layers=1)
    t5 = dataclasses.replace(tiny.text_encoder_2.config, num_layers=1)
    gpt2 = dataclasses.replace(tiny.language_model.config, n_layer=1)
    return dataclasses.replace(
        tiny,
        unet=random_model(UNet, unet),
        text_encoder=random_model(ClapTextModel, clap),
        text_encoder_2=random_model(T5Encoder, t5),
        language_model=random_model(GPT2, gpt2),
    )


@functools.cache
def many_headed_checkpoint() -> Path:
    """A native folder like `small_checkpoint`, wide enough for heads of 32 channels: 1 and 2, where its file says 8."""
    small = small_components()
    wide = dataclasses.replace(small.unet.config, block_out_channels=(32, 64), attention_head_dim=8)
    folder = new_path("many-headed")
    save_native(dataclasses.replace(small, unet=random_model(UNet, wide)), folder)
    return folder


@functools.cache
def small_pipeline() -> AudioLDM2Pipeline:
    """The pipeline of `small_components`, for tests that compile the sampling loop anew."""
    return AudioLDM2Pipeline(small_components())


@functools.cache
def small_checkpoint() -> Path:
    """`small_components` as a native folder."""
    folder = new_path("small")
    save_native(small_components(), folder)
    return folder
