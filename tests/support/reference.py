"""A small random AudioLDM2 in PyTorch, saved as diffusers saves it: what the whole path is held against."""

import dataclasses
from pathlib import Path
from typing import Any

import diffusers
import pytest
from diffusers import (
    AudioLDM2Pipeline,
    AudioLDM2ProjectionModel,
    AudioLDM2UNet2DConditionModel,
    AutoencoderKL,
    DDIMScheduler,
    UNet2DConditionModel,
)
from transformers import (
    AutoTokenizer,
    ClapConfig,
    ClapFeatureExtractor,
    ClapModel,
    ClapTextConfig,
    ClapTextModelWithProjection,
    GPT2Config,
    GPT2LMHeadModel,
    SpeechT5HifiGan,
    SpeechT5HifiGanConfig,
    T5Config,
    T5EncoderModel,
)

from litefocus_jax.checkpoint.random_model import published_config, save_character_tokenizers
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.models.model_type import MUSICLDM, ModelType
from tests.support.models import LABELLED_UNET
from tests.support.parity import randomise

TINY_CLAP_AUDIO = {
    "spec_size": 32,
    "patch_size": 4,
    "patch_stride": [4, 4],
    "num_mel_bins": 8,
    "patch_embeds_hidden_size": 8,
    "depths": [1, 1],
    "num_attention_heads": [1, 1],
    "hidden_size": 16,
    "window_size": 4,
    "num_classes": 2,
}


def tiny_json(name: str) -> dict[str, Any]:
    """The configuration of a tiny network, as a checkpoint has it."""
    return NETWORKS[name].config_class.tiny().to_dict()


def build_models(seed: int = 0) -> dict[str, Any]:
    """The sub-models with random weights, by the names of their folders."""
    clap = tiny_json("text_encoder") | {"audio_config": TINY_CLAP_AUDIO}
    gpt2 = tiny_json("language_model") | {"bos_token_id": 0, "eos_token_id": 0}
    models = {
        "unet": AudioLDM2UNet2DConditionModel.from_config(tiny_json("unet")),
        "vae": AutoencoderKL.from_config(tiny_json("vae")),
        "vocoder": SpeechT5HifiGan(SpeechT5HifiGanConfig.from_dict(tiny_json("vocoder"))),
        "text_encoder": ClapModel(ClapConfig.from_dict(clap)),
        "text_encoder_2": T5EncoderModel(T5Config.from_dict(tiny_json("text_encoder_2"))),
        # As published the language model is a GPT2Model, with which current diffusers and transformers crash.
        "language_model": GPT2LMHeadModel(GPT2Config.from_dict(gpt2)),
        "projection_model": AudioLDM2ProjectionModel.from_config(tiny_json("projection_model")),
    }
    return {name: randomise(model, seed + index) for index, (name, model) in enumerate(models.items())}


def build_pipeline(folder: Path, seed: int = 0) -> AudioLDM2Pipeline:
    """The whole pipeline with random weights; tokenizers are written to ``folder``."""
    models = build_models(seed)
    # A vocoder of unit-size activations saturates its tanh, which would hide differences.
    models["vocoder"].conv_post.weight.mul_(0.1)
    tokenizer, tokenizer_2 = save_character_tokenizers(folder)
    scheduler: Any = DDIMScheduler.from_config(published_config("audioldm2", "scheduler"))
    return AudioLDM2Pipeline(
        **models,
        tokenizer=AutoTokenizer.from_pretrained(tokenizer),
        tokenizer_2=AutoTokenizer.from_pretrained(tokenizer_2),
        feature_extractor=ClapFeatureExtractor(feature_size=8),
        scheduler=scheduler,
    )


def build_diffusers_folder(folder: Path, seed: int = 0, safe_serialization: bool = True) -> AudioLDM2Pipeline:
    """Save the pipeline to ``folder`` in diffusers' layout, and return it."""
    pipeline = build_pipeline(folder.with_name(folder.name + "-tokenizers"), seed)
    pipeline.save_pretrained(folder, safe_serialization=safe_serialization)
    return pipeline


def build_labelled_models(model_type: ModelType, seed: int = 0) -> dict[str, Any]:
    """The sub-models of a small AudioLDM or MusicLDM, with random weights."""
    configs = {name: network.config_class.tiny() for name, network in model_type.networks.items()}
    configs["unet"] = LABELLED_UNET
    clap: Any = ClapTextModelWithProjection(ClapTextConfig.from_dict(dataclasses.asdict(configs["text_encoder"])))
    if model_type is MUSICLDM:
        clap = ClapModel(ClapConfig.from_dict(tiny_json("text_encoder") | {"audio_config": TINY_CLAP_AUDIO}))
    models = {
        "unet": UNet2DConditionModel.from_config(configs["unet"].to_dict()),
        "vae": AutoencoderKL.from_config(configs["vae"].to_dict()),
        "vocoder": SpeechT5HifiGan(SpeechT5HifiGanConfig.from_dict(configs["vocoder"].to_dict())),
        "text_encoder": clap,
    }
    return {name: randomise(model, seed + index) for index, (name, model) in enumerate(models.items())}


def build_labelled_folder(model_type: ModelType, folder: Path) -> Any:
    """Save a small AudioLDM or MusicLDM in diffusers' layout, and return diffusers' pipeline."""
    models = build_labelled_models(model_type)
    models["vocoder"].conv_post.weight.mul_(0.1)
    tokenizer, _ = save_character_tokenizers(folder.with_name(folder.name + "-tokenizers"))
    scheduler: Any = DDIMScheduler.from_config(published_config("audioldm2", "scheduler"))
    shared: dict[str, Any] = {**models, "tokenizer": AutoTokenizer.from_pretrained(tokenizer), "scheduler": scheduler}
    if model_type is MUSICLDM:
        shared["feature_extractor"] = ClapFeatureExtractor(feature_size=8)
    pipeline_class: Any = getattr(diffusers, str(model_type.pipeline_class), None)
    if pipeline_class is None:  # diffusers calls both deprecated
        pytest.skip(f"diffusers {diffusers.__version__} has no {model_type.pipeline_class} any more")
    pipeline = pipeline_class(**shared)
    pipeline.save_pretrained(folder)
    pipeline.set_progress_bar_config(disable=True)
    return pipeline
