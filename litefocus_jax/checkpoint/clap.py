"""CLAP with both of its towers, from a checkpoint of AudioLDM2 or MusicLDM in diffusers' layout or from its own."""

from pathlib import Path
from typing import Any

import jax.numpy as jnp

from litefocus_jax.checkpoint import native, safetensors_files
from litefocus_jax.checkpoint.diffusers import INDEX, open_diffusers_network
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.opened import StoredNetwork
from litefocus_jax.checkpoint.store import local_folder
from litefocus_jax.models.clap import audio, text
from litefocus_jax.models.clap.audio import ClapAudioConfig
from litefocus_jax.models.clap.features import FEATURES_FILE, ClapFeaturesConfig
from litefocus_jax.models.clap.joint import Clap
from litefocus_jax.models.keys import Network
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.system.json_config import ConfigError, read_json

_WHERE = (
    "expected the folder of an AudioLDM2 in diffusers' layout, such as cvssp/audioldm2, whose text_encoder holds it "
    "(CC BY-NC-SA 4.0), or of a ClapModel of transformers, such as laion/clap-htsat-unfused (Apache 2.0)"
)
_PATTERNS = (
    INDEX,
    "config.json",
    FEATURES_FILE,
    "model.safetensors",
    "*.json",
    "*.txt",
    "text_encoder/*.json",
    "text_encoder/*.safetensors",
    "tokenizer/*",
    "feature_extractor/*",
)


def load_clap(source: str | Path) -> Clap:
    """Load CLAP.

    Args:
        source: folder or hub id, of a checkpoint of AudioLDM2 as diffusers saves it, or of a ``ClapModel`` with its
            tokenizer and its ``preprocessor_config.json``.

    Raises:
        CheckpointError: when there is no CLAP in it, or none that hears; or anything is missing, unknown, misshapen or
            not finite.
        ConfigError: when a configuration is missing or not supported.
        ValueError: when the tokenizer cannot be read.
    """
    folder = local_folder(source, patterns=_PATTERNS)
    if (folder / native.MANIFEST).exists():
        raise CheckpointError(
            f"{folder} is in the native format, which has no tower of CLAP for sound; {_WHERE}: the one that it was "
            "converted from will do"
        )
    is_pipeline = (folder / INDEX).exists()
    network = folder / "text_encoder" if is_pipeline else folder
    tokenizer = folder / "tokenizer" if is_pipeline else folder
    extractor = (folder / "feature_extractor" if is_pipeline else folder) / FEATURES_FILE
    if not (network / "config.json").exists():
        raise CheckpointError(f"{folder} holds no CLAP: there is no {network / 'config.json'}; {_WHERE}")
    if read_json(network / "config.json").get("model_type") == "clap_text_model":
        raise CheckpointError(
            f"{network} is CLAP's tower for text alone, as an AudioLDM has it, and hears nothing; {_WHERE}"
        )
    config = ClapAudioConfig.from_file(network / "config.json")
    if config.is_deaf:
        raise CheckpointError(
            f"{network} has a stand-in for CLAP's tower for sound, which hears nothing: of its model only the text "
            f"tower is known; {_WHERE}"
        )
    features = ClapFeaturesConfig.from_file(extractor)
    _check_fit(config, features, extractor)
    hearing = _load(network, audio.NETWORK)
    reading = _load(network, text.NETWORK)
    return Clap(reading, hearing, load_tokenizer(tokenizer, reading.config.vocab_size), features)


def _load(folder: Path, network: Network) -> Any:
    stored: StoredNetwork = open_diffusers_network(folder, network, read_weights=safetensors_files.read_folder)
    return stored.load(jnp.float32)


def _check_fit(config: ClapAudioConfig, features: ClapFeaturesConfig, source: Path) -> None:
    """Refuse features that the network was not made for."""
    truncation = "fusion" if config.enable_fusion else "rand_trunc"
    longest = config.spec_size * config.freq_ratio
    problems = []
    if features.truncation != truncation:
        problems.append(f"truncation = {features.truncation!r}; expected {truncation!r}")
    if features.feature_size != config.num_mel_bins:
        problems.append(f"feature_size = {features.feature_size}; expected num_mel_bins = {config.num_mel_bins}")
    if features.frames > longest:
        problems.append(f"{features.frames} frames in {features.max_length_s:g} s; expected at most {longest}")
    if problems:
        raise ConfigError(f"{source} does not fit the network beside it: {'; '.join(problems)}")
