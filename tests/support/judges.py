"""Small random judges on disk, under the names of the published weights."""

import functools
import shutil
import tempfile
from pathlib import Path
from typing import Any

import numpy as np

from litefocus_jax.checkpoint import safetensors_files, weights
from litefocus_jax.checkpoint.matching import invert
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.models import aisfx, cnn14, vggish
from litefocus_jax.models.aisfx import AisfxConfig
from litefocus_jax.models.clap import audio as clap_audio
from litefocus_jax.models.clap import text as clap_text
from litefocus_jax.models.clap.audio import ClapAudioConfig
from litefocus_jax.models.clap.features import ClapFeaturesConfig
from litefocus_jax.models.cnn14 import Cnn14Config
from litefocus_jax.models.keys import Network
from litefocus_jax.models.vggish import VggishConfig
from tests.support.stored_models import tiny_diffusers_checkpoint, write_json


def tensors_of(network: Network, config: Any) -> dict[str, np.ndarray]:
    """A random network under PyTorch's names."""
    arrays = weights.to_numpy(random_model(network.model_class, config))
    tensors = {name: np.asarray(array, order="C") for name, array in invert(arrays, network.keys).items()}
    return {name: np.abs(array) + 0.5 if "running_var" in name else array for name, array in tensors.items()}


@functools.cache
def _folder() -> Path:
    return Path(tempfile.mkdtemp(prefix="litefocus-jax-judges-"))


def cnn14_tensors() -> dict[str, np.ndarray]:
    """Two small blocks that listen at 16 kHz, with the constants of their spectrogram."""
    constants = {"logmel_extractor.melW": np.zeros((257, 64), np.float32)}
    return tensors_of(cnn14.NETWORK, Cnn14Config(channels=(3, 4), classes_num=12)) | constants


@functools.cache
def cnn14_file() -> Path:
    safetensors_files.write_file(_folder() / "cnn14.safetensors", cnn14_tensors())
    return _folder() / "cnn14.safetensors"


@functools.cache
def vggish_file() -> Path:
    safetensors_files.write_file(_folder() / "vggish.safetensors", tensors_of(vggish.NETWORK, VggishConfig.tiny()))
    return _folder() / "vggish.safetensors"


@functools.cache
def aisfx_file() -> Path:
    safetensors_files.write_file(_folder() / "aisfx.safetensors", tensors_of(aisfx.NETWORK, AisfxConfig.tiny()))
    return _folder() / "aisfx.safetensors"


@functools.cache
def clap_folder() -> Path:
    """The tiny AudioLDM2 in diffusers' layout, with a tower for sound."""
    folder = _folder() / "clap"
    shutil.copytree(tiny_diffusers_checkpoint(), folder)
    config = ClapAudioConfig.tiny()
    text_config = clap_text.ClapTextConfig.tiny()
    both = tensors_of(clap_text.NETWORK, text_config) | tensors_of(clap_audio.NETWORK, config)
    safetensors_files.write_file(folder / "text_encoder" / "model.safetensors", both)
    write_json(folder / "text_encoder" / "config.json", text_config.to_dict() | config.to_dict())
    (folder / "feature_extractor").mkdir()
    features = ClapFeaturesConfig(
        feature_size=16,
        sampling_rate=8000,
        hop_length=80,
        max_length_s=1,
        fft_window_size=256,
        frequency_max=4000.0,
        truncation="rand_trunc",
    )
    write_json(folder / "feature_extractor" / "preprocessor_config.json", features.to_dict())
    return folder
