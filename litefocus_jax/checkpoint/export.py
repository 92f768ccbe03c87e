"""A model as diffusers and transformers save it, so that diffusers' ``AudioLDM2Pipeline`` runs it.

The key tables run backwards. Beyond what we hold, a ``ClapModel`` has a tower that listens, which diffusers needs for
ranking waveforms; it is replaced by the smallest one there can be, to which all sounds are alike.
"""

import json
import math
import shutil
from pathlib import Path
from typing import Any

import numpy as np
from safetensors.numpy import save_file

from litefocus_jax.checkpoint import modules
from litefocus_jax.checkpoint.diffusers import INDEX, PIPELINE_CLASS
from litefocus_jax.checkpoint.opened import Components
from litefocus_jax.checkpoint.replacement import replacement_folder
from litefocus_jax.checkpoint.rules import CheckpointError, invert, listed
from litefocus_jax.checkpoint.sub_models import SUB_MODELS, SubModel
from litefocus_jax.config import ClapTextConfig, GPT2Config, JsonConfig, read_json

# Library and class of the parts that have weights. As published, the language model is a GPT2Model; diffusers calls a
# method on it that transformers 5 has only on the GPT2LMHeadModel around it.
_CLASSES = {
    "unet": ("audioldm2", "AudioLDM2UNet2DConditionModel"),
    "vae": ("diffusers", "AutoencoderKL"),
    "vocoder": ("transformers", "SpeechT5HifiGan"),
    "text_encoder": ("transformers", "ClapModel"),
    "text_encoder_2": ("transformers", "T5EncoderModel"),
    "language_model": ("transformers", "GPT2LMHeadModel"),
    "projection_model": ("audioldm2", "AudioLDM2ProjectionModel"),
}
_MODEL_TYPES = {
    "vocoder": "speecht5_hifigan",
    "text_encoder": "clap",
    "text_encoder_2": "t5",
    "language_model": "gpt2",
}
# diffusers tells the two tokenizers apart by these classes, or by those of the same names without "Fast". The fast
# ones read a tokenizer.json under transformers 4 as well.
_TOKENIZERS = {"tokenizer": "RobertaTokenizerFast", "tokenizer_2": "T5TokenizerFast"}

_FEATURE_EXTRACTOR = Path(__file__).parents[1] / "assets" / "configs" / "audioldm2" / "feature_extractor"
_MEL_BINS = 64  # of the feature extractor's spectrogram
_PATCH_SIZE = 4
_TEMPERATURE = 0.07  # with which CLAP is initialised
# One feature, no layers, and otherwise transformers' defaults, which fit the feature extractor.
_DEAF_AUDIO_CONFIG = {
    "model_type": "clap_audio_model",
    "num_mel_bins": _MEL_BINS,
    "patch_size": _PATCH_SIZE,
    "patch_embeds_hidden_size": 1,
    "enable_patch_layer_norm": False,
    "depths": [0],
    "num_attention_heads": [1],
    "hidden_size": 1,
}


def save_diffusers(components: Components, folder: str | Path, *, overwrite: bool = False, dtype: Any = None) -> None:
    """Write a model in diffusers' layout, whole or not at all.

    Args:
        components: the model.
        folder: destination.
        overwrite: replace an earlier diffusers folder, once the new one is complete.
        dtype: floating-point type of the stored weights, VAE and vocoder excepted; theirs unless given.

    Raises:
        FileExistsError: when the destination exists without ``overwrite``, or is something else than a diffusers
            folder.
        CheckpointError: when weights overflow the asked-for type, or a tokenizer is of a class that diffusers'
            pipeline does not know.
        ConfigError: when a tokenizer has no ``tokenizer_config.json``, or a malformed one.
        ValueError: when ``dtype`` is not float32, bfloat16 or float16.
        OSError: when the destination cannot be written.
    """
    dtype = modules.floating_dtype(components.dtype if dtype is None else dtype)
    _check_tokenizers(components)
    with replacement_folder(Path(folder), overwrite=overwrite, marker=INDEX) as new:
        for sub_model in SUB_MODELS:
            module = components.modules[sub_model.folder]
            location = new / sub_model.folder
            location.mkdir()
            _write_json(location / "config.json", _config_json(sub_model.folder, module.config))
            tensors = _pytorch_tensors(sub_model, module, sub_model.weights_dtype(dtype))
            # transformers 4 refuses files that do not say for which library they are.
            save_file(tensors, location / f"{sub_model.weights}.safetensors", metadata={"format": "pt"})
        for name in _TOKENIZERS:
            # Contents only: a hub cache's files are links, and may be read-only.
            shutil.copytree(getattr(components, name), new / name, copy_function=shutil.copyfile)
        shutil.copytree(_FEATURE_EXTRACTOR, new / "feature_extractor", copy_function=shutil.copyfile)
        (new / "scheduler").mkdir()
        _write_json(new / "scheduler" / "scheduler_config.json", components.scheduler.to_dict())
        _write_json(new / INDEX, _index(components))


def _check_tokenizers(components: Components) -> None:
    """Refuse tokenizers that diffusers would open as another class than their own, and so misread."""
    problems = []
    for name, fast in _TOKENIZERS.items():
        path = getattr(components, name) / "tokenizer_config.json"
        found = read_json(path).get("tokenizer_class", fast)
        known = (fast.removesuffix("Fast"), fast)
        if found not in known:
            problems.append(f"{path}: tokenizer_class = {found!r}; expected {' or '.join(known)}")
    if problems:
        raise CheckpointError(f"diffusers' {PIPELINE_CLASS} does not know these tokenizers:\n{listed(problems)}")


def _index(components: Components) -> dict[str, Any]:
    """The ``model_index.json``: library and class of every part."""
    parts = {
        **_CLASSES,
        **{name: ("transformers", class_name) for name, class_name in _TOKENIZERS.items()},
        "feature_extractor": ("transformers", "ClapFeatureExtractor"),
        "scheduler": ("diffusers", components.scheduler.class_name),
    }
    return {"_class_name": PIPELINE_CLASS, **dict(sorted(parts.items()))}


def _config_json(name: str, config: JsonConfig) -> dict[str, Any]:
    """A sub-model's ``config.json`` as the library that runs it reads it."""
    library, class_name = _CLASSES[name]
    values = config.to_dict()
    if library == "transformers":
        values |= {"architectures": [class_name], "model_type": _MODEL_TYPES[name]}
    if isinstance(config, ClapTextConfig):
        values |= {"audio_config": _DEAF_AUDIO_CONFIG, "logit_scale_init_value": 1 / _TEMPERATURE}
    if isinstance(config, GPT2Config):
        # It generates vectors; transformers' own numbers of these tokens may lie outside of a small vocabulary.
        values |= {"bos_token_id": None, "eos_token_id": None}
    return values


def _pytorch_tensors(sub_model: SubModel, module: Any, dtype: np.dtype) -> dict[str, np.ndarray]:
    """A sub-model's tensors under PyTorch's names and in its layout."""
    tensors = invert(modules.to_numpy(module, dtype), sub_model.rules, sub_model.folder)
    if isinstance(module.config, ClapTextConfig):
        tensors |= _rest_of_clap(module.config, dtype)
    if isinstance(module.config, GPT2Config):
        # The head of a GPT2LMHeadModel is tied to the embedding, and not stored.
        tensors = {f"transformer.{name}": tensor for name, tensor in tensors.items()}
    # The transforms return views, and files hold bytes.
    return {name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}


def _rest_of_clap(config: ClapTextConfig, dtype: np.dtype) -> dict[str, np.ndarray]:
    """What a ``ClapModel`` has beside its text tower: buffers, temperatures, and an audio tower that hears nothing.

    That tower gives every sound the same embedding, a unit vector along one axis. Scores against it are equal to the
    last bit, so that diffusers' ranking leaves the waveforms of a prompt in the order they were made.
    """
    width = config.projection_dim
    encoder = "audio_model.audio_encoder"
    weights = {
        f"{encoder}.patch_embed.proj.weight": np.zeros((1, 1, _PATCH_SIZE, _PATCH_SIZE)),
        f"{encoder}.patch_embed.proj.bias": np.zeros(1),
        f"{encoder}.batch_norm.weight": np.ones(_MEL_BINS),
        f"{encoder}.batch_norm.bias": np.zeros(_MEL_BINS),
        f"{encoder}.batch_norm.running_mean": np.zeros(_MEL_BINS),
        f"{encoder}.batch_norm.running_var": np.ones(_MEL_BINS),
        f"{encoder}.norm.weight": np.ones(1),
        f"{encoder}.norm.bias": np.zeros(1),
        "audio_projection.linear1.weight": np.zeros((width, 1)),
        "audio_projection.linear1.bias": np.zeros(width),
        "audio_projection.linear2.weight": np.zeros((width, width)),
        "audio_projection.linear2.bias": np.eye(1, width)[0],
        "logit_scale_a": np.array(-math.log(_TEMPERATURE)),
        "logit_scale_t": np.array(-math.log(_TEMPERATURE)),
    }
    positions = np.arange(config.max_position_embeddings)[None]
    return {
        **{name: weight.astype(dtype) for name, weight in weights.items()},
        f"{encoder}.batch_norm.num_batches_tracked": np.array(0),
        "text_model.embeddings.position_ids": positions,
        "text_model.embeddings.token_type_ids": np.zeros_like(positions),
    }


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
