"""Frozen configurations of every sub-model, read from the checkpoint's JSON."""

from litefocus_jax.config.autoencoder import VAEConfig, VocoderConfig
from litefocus_jax.config.reading import ConfigError, JsonConfig, read_json
from litefocus_jax.config.scheduler import SchedulerConfig
from litefocus_jax.config.text import ClapTextConfig, GPT2Config, ProjectionConfig, T5Config
from litefocus_jax.config.unet import UNetConfig

__all__ = [
    "ClapTextConfig",
    "ConfigError",
    "GPT2Config",
    "JsonConfig",
    "ProjectionConfig",
    "SchedulerConfig",
    "T5Config",
    "UNetConfig",
    "VAEConfig",
    "VocoderConfig",
    "read_json",
]
