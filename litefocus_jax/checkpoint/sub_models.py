"""The sub-models of AudioLDM2: folder, classes, configuration, module and key table of each."""

import dataclasses
import functools
from typing import Any

import numpy as np

from litefocus_jax import config
from litefocus_jax.checkpoint import normalise
from litefocus_jax.checkpoint.lazy import Tensors
from litefocus_jax.checkpoint.rules import Rule
from litefocus_jax.checkpoint.tables import text, unet, vae, vocoder
from litefocus_jax.models.clap import ClapTextModel
from litefocus_jax.models.gpt2 import GPT2
from litefocus_jax.models.projection import ProjectionModel
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.unet import UNet
from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder

DIFFUSERS_WEIGHTS = "diffusion_pytorch_model"
TRANSFORMERS_WEIGHTS = "model"


@dataclasses.dataclass(frozen=True)
class SubModel:
    """What is to be known about one sub-model to read it.

    Attributes:
        folder: its folder in a checkpoint, which is also its name in `Components`.
        class_names: the PyTorch classes that ``model_index.json`` may name for it.
        config_class: a `JsonConfig` that reads its ``config.json``.
        model_class: an `nnx.Module` built as ``model_class(config, rngs=...)``.
        rules: its key table.
        ignored: patterns of the PyTorch keys that are deliberately unused.
        steps: from `litefocus_jax.checkpoint.normalise`, applied in order before the rules.
        weights: name of its weight files in a diffusers folder, without suffix.
        always_float32: its weights stay float32 whatever type the model is loaded or stored in.
    """

    folder: str
    class_names: tuple[str, ...]
    config_class: type[Any]
    model_class: type[Any]
    rules: tuple[Rule, ...]
    ignored: tuple[str, ...] = ()
    steps: tuple[normalise.Step, ...] = ()
    weights: str = TRANSFORMERS_WEIGHTS
    always_float32: bool = False

    def weights_dtype(self, dtype: np.dtype) -> np.dtype:
        """The type of this sub-model's weights in a model of type ``dtype``."""
        return np.dtype(np.float32) if self.always_float32 else dtype

    def normalise(self, tensors: Tensors) -> Tensors:
        """Bring the tensors to the spelling that the rules know."""
        return functools.reduce(lambda current, step: step(current), self.steps, tensors)


SUB_MODELS: tuple[SubModel, ...] = (
    SubModel(
        folder="unet",
        class_names=("AudioLDM2UNet2DConditionModel",),
        config_class=config.UNetConfig,
        model_class=UNet,
        rules=unet.UNET_RULES,
        ignored=unet.UNET_IGNORED,
        weights=DIFFUSERS_WEIGHTS,
    ),
    SubModel(
        folder="vae",
        class_names=("AutoencoderKL",),
        config_class=config.VAEConfig,
        model_class=VAE,
        rules=vae.VAE_RULES,
        ignored=vae.VAE_IGNORED,
        steps=(normalise.rename_deprecated_attention,),
        weights=DIFFUSERS_WEIGHTS,
        always_float32=True,  # as the vocoder: it takes little of the time, and eight bits of mantissa are audible
    ),
    SubModel(
        folder="vocoder",
        class_names=("SpeechT5HifiGan",),
        config_class=config.VocoderConfig,
        model_class=Vocoder,
        rules=vocoder.VOCODER_RULES,
        ignored=vocoder.VOCODER_IGNORED,
        steps=(normalise.fuse_weight_norm,),
        always_float32=True,
    ),
    SubModel(
        folder="text_encoder",
        class_names=("ClapModel",),
        config_class=config.ClapTextConfig,
        model_class=ClapTextModel,
        rules=text.CLAP_RULES,
        ignored=text.CLAP_IGNORED,
    ),
    SubModel(
        folder="text_encoder_2",
        class_names=("T5EncoderModel",),
        config_class=config.T5Config,
        model_class=T5Encoder,
        rules=text.T5_RULES,
        ignored=text.T5_IGNORED,
        steps=(normalise.drop_tied("shared.weight", "encoder.embed_tokens.weight"),),
    ),
    SubModel(
        folder="language_model",
        class_names=("GPT2Model", "GPT2LMHeadModel"),
        config_class=config.GPT2Config,
        model_class=GPT2,
        rules=text.GPT2_RULES,
        ignored=text.GPT2_IGNORED,
        steps=(normalise.strip_prefix("transformer."),),
    ),
    SubModel(
        folder="projection_model",
        class_names=("AudioLDM2ProjectionModel",),
        config_class=config.ProjectionConfig,
        model_class=ProjectionModel,
        rules=text.PROJECTION_RULES,
        ignored=text.PROJECTION_IGNORED,
        weights=DIFFUSERS_WEIGHTS,
    ),
)
"""Every sub-model that has weights, largest first."""
