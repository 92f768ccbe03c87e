"""Checkpoints as diffusers saves them: ``model_index.json`` and one folder per network; read, and written again."""

import dataclasses
import functools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np

from litefocus_jax.checkpoint import safetensors_files, weights
from litefocus_jax.checkpoint.errors import CheckpointError, listed, tensor_name
from litefocus_jax.checkpoint.matching import invert
from litefocus_jax.checkpoint.opened import Checkpoint, StoredNetwork, open_checkpoint_folder
from litefocus_jax.checkpoint.saving import FolderLayout, save_folder
from litefocus_jax.checkpoint.spellings import undo_spellings
from litefocus_jax.checkpoint.tensors import Tensors
from litefocus_jax.diffusion.scheduler_config import CLASSES, SchedulerConfig
from litefocus_jax.models.components import Components
from litefocus_jax.models.generation_defaults import GenerationDefaults
from litefocus_jax.models.gpt2 import GPT2Config
from litefocus_jax.models.keys import Network
from litefocus_jax.models.model_type import AUDIOLDM2, MODEL_TYPES, ModelType, of_pipeline
from litefocus_jax.models.phonemes import TOKENIZER_CLASS
from litefocus_jax.models.speech_conditioning import SPOKEN_VECTORS
from litefocus_jax.system.json_config import JsonConfig, read_json
from litefocus_jax.system.messages import shown

INDEX = "model_index.json"
DEFAULTS = "_litefocus_jax"
"""The index's object of how the model is sampled where a request does not say; diffusers leaves such names alone."""

# The feature extractor serves only diffusers' ranking of waveforms; the others are judged where they are read.
_WITHOUT_WEIGHTS = frozenset({"scheduler", "feature_extractor"})
# diffusers tells the two tokenizers apart by these classes, or by those of the same names without "Fast". The fast
# ones read a tokenizer.json under transformers 4 as well.
_TOKENIZERS = {"text_encoder": "RobertaTokenizerFast", "text_encoder_2": "T5TokenizerFast"}
_FEATURE_EXTRACTOR = Path(__file__).parents[1] / "assets" / "configs" / "audioldm2" / "feature_extractor"

ReadWeights = Callable[[Path, str], Tensors]


def open_diffusers(folder: Path, read_weights: ReadWeights = safetensors_files.read_folder) -> Checkpoint:
    """Open a diffusers folder and check all of it but the values.

    Args:
        folder: holds ``model_index.json``.
        read_weights: the tensors of a network from its folder and the stem of its weight files.

    Raises:
        CheckpointError: one message with everything that is missing, not supported or does not fit.
        ConfigError: when ``model_index.json`` is missing or not a JSON object.
    """
    index, model_type = _checked_index(folder / INDEX)
    open_network = functools.partial(open_diffusers_network, read_weights=read_weights)
    if model_type.speaks:
        open_network = functools.partial(_open_speaking, open_network=open_network)
    return open_checkpoint_folder(
        folder,
        model_type=model_type,
        format="diffusers",
        dtype="float32",
        open_network=open_network,
        defaults=index.get(DEFAULTS, {}),
        defaults_source=f"{folder / INDEX}: {DEFAULTS}",
    )


def open_diffusers_network(
    folder: Path, network: Network, *, read_weights: ReadWeights = safetensors_files.read_folder
) -> StoredNetwork:
    """Open one network; its weights are neither checked nor read.

    Raises:
        CheckpointError: when there are no weights, a file is broken, or its keys are spelt in contradictory ways.
        ConfigError: when the configuration cannot be read or is not supported.
    """
    config = network.config_class.from_file(folder / "config.json")
    tensors = read_weights(folder, network.weights)
    try:
        tensors = undo_spellings(tensors, network.keys.spellings)
    except CheckpointError as error:
        raise CheckpointError(f"{folder}: {error}") from None
    return StoredNetwork(folder, network, config, tensors, network.keys)


def _open_speaking(
    folder: Path, network: Network, *, open_network: Callable[[Path, Network], StoredNetwork]
) -> StoredNetwork:
    """A network of a model for speech, whose GPT-2 makes the vectors of a whole clip.

    Its JSON has the number of the models that do not speak, or none; who uses diffusers says ``max_new_tokens=512``.
    """
    stored = open_network(folder, network)
    if isinstance(stored.config, GPT2Config) and stored.config.max_new_tokens == GPT2Config.max_new_tokens:
        config = dataclasses.replace(stored.config, max_new_tokens=SPOKEN_VECTORS)
        return dataclasses.replace(stored, config=config)
    return stored


def _tokenizer_classes(model_type: ModelType) -> dict[str, str]:
    """transformers' class of each tokenizer, by its folder."""
    classes = _TOKENIZERS | ({"text_encoder_2": TOKENIZER_CLASS} if model_type.speaks else {})
    return {name: classes[reader] for name, reader in model_type.tokenizers.items()}


def _checked_index(path: Path) -> tuple[dict[str, Any], ModelType]:
    """Read the index, and tell which of the family it is of; refuse pipelines and networks that we do not run."""
    index = read_json(path)
    problems = []
    second = index.get("text_encoder_2")
    model_type = of_pipeline(index.get("_class_name"), second[-1] if isinstance(second, list) and second else None)
    if model_type is None:
        classes = [each.pipeline_class for each in MODEL_TYPES.values() if each.pipeline_class]
        expected = " or ".join(map(repr, dict.fromkeys(classes)))
        problems.append(f"_class_name = {shown(index.get('_class_name'))}; expected {expected}")
        model_type = AUDIOLDM2
    known = {name: network.class_names for name, network in model_type.networks.items()}
    for name, entry in index.items():
        if not isinstance(entry, list) or name in _WITHOUT_WEIGHTS or name in model_type.tokenizers:
            continue
        class_name = entry[-1] if entry else None
        if name not in known:
            problems.append(
                f"{tensor_name(name)} ({tensor_name(str(class_name))}) is not a sub-model this version knows"
            )
        elif class_name not in known[name]:
            problems.append(f"{name} is a {tensor_name(str(class_name))}; expected {' or '.join(known[name])}")
    problems += [
        f"{name} is missing; expected a library and {' or '.join(known[name])}"
        for name in known
        if not isinstance(index.get(name), list)
    ]
    if problems:
        raise CheckpointError(f"{path} describes a pipeline that is not supported:\n{listed(problems)}")
    return index, model_type


def save_diffusers(components: Components, folder: str | Path, *, overwrite: bool = False, dtype: Any = None) -> None:
    """Write a model so that diffusers' pipeline of its type runs it: the key tables run backwards.

    Takes the arguments of `save_folder`.

    Raises:
        CheckpointError: when diffusers has no pipeline for such a model, weights overflow the asked-for type, or a
            tokenizer is of a class that diffusers' pipeline does not know.
        ConfigError: when a tokenizer has no ``tokenizer_config.json``, or a malformed one.
        FileExistsError: as in `save_folder`.
        ValueError: as in `save_folder`.
        OSError: as in `save_folder`.
    """
    if components.model_type.pipeline_class is None:
        raise CheckpointError(
            f"diffusers has no pipeline that runs {components.model_type.described}; expected --format original, which "
            "writes the authors' keys"
        )
    _check_tokenizers(components)
    scheduler = _own_scheduler(components.scheduler, components.defaults)
    components = dataclasses.replace(components, scheduler=scheduler)
    listens = components.model_type.has_feature_extractor
    layout = _LAYOUT if listens else dataclasses.replace(_LAYOUT, extra_folders=())
    save_folder(components, folder, layout, overwrite=overwrite, dtype=dtype)


def _own_scheduler(scheduler: SchedulerConfig, defaults: GenerationDefaults) -> SchedulerConfig:
    """The scheduler that diffusers is to begin with: with the sampler and the spacing that the model asks for."""
    spacing = defaults.timestep_spacing or scheduler.timestep_spacing
    class_name = scheduler.class_name if defaults.scheduler is None else CLASSES[defaults.scheduler]
    return dataclasses.replace(scheduler, class_name=class_name, timestep_spacing=spacing)


def _check_tokenizers(components: Components) -> None:
    """Refuse tokenizers that diffusers would open as another class than their own, and so misread."""
    problems = []
    for name, place in components.tokenizers.items():
        fast = _tokenizer_classes(components.model_type)[name]
        path = place / "tokenizer_config.json"
        found = read_json(path).get("tokenizer_class", fast)
        known = tuple(dict.fromkeys((fast.removesuffix("Fast"), fast)))
        if found not in known:
            problems.append(f"{path}: tokenizer_class = {shown(found)}; expected {' or '.join(known)}")
    if problems:
        raise CheckpointError(
            f"diffusers' {components.model_type.pipeline_class} does not know these tokenizers:\n{listed(problems)}"
        )


def _index(components: Components | Checkpoint, dtype: np.dtype) -> dict[str, Any]:
    """The ``model_index.json``: library and class of every part."""
    del dtype
    model_type = components.model_type
    parts = {
        **{
            name: network.written_class(components.modules[name].config)
            for name, network in model_type.networks.items()
        },
        **{name: ("transformers", found) for name, found in _tokenizer_classes(model_type).items()},
        **({"feature_extractor": ("transformers", "ClapFeatureExtractor")} if model_type.has_feature_extractor else {}),
        "scheduler": ("diffusers", components.scheduler.class_name),
    }
    return {
        "_class_name": model_type.pipeline_class,
        DEFAULTS: components.defaults.to_dict(),
        **dict(sorted(parts.items())),
    }


def _config_json(network: Network, config: JsonConfig) -> dict[str, Any]:
    """A network's ``config.json`` as the library that runs it reads it."""
    values = config.to_dict()
    if network.model_type is not None:
        values |= {"architectures": [network.class_names[0]], "model_type": network.model_type}
    return values | dict(network.extra_config)


def _write_weights(network: Network, module: Any, dtype: np.dtype, folder: Path) -> None:
    """A network's tensors under PyTorch's names and in its layout."""
    tensors = invert(weights.to_numpy(module, dtype), network.keys, folder.name)
    for name, tensor in network.extra_tensors(module.config).items():
        tensors[name] = tensor.astype(dtype) if jnp.issubdtype(tensor.dtype, jnp.floating) else tensor
    # The transforms return views, and files hold bytes.
    stored = {network.written_prefix + name: np.asarray(tensor, order="C") for name, tensor in tensors.items()}
    # transformers 4 refuses files that do not say for which library they are.
    safetensors_files.write_packed_file(folder / f"{network.weights}.safetensors", stored, {"format": "pt"})


_LAYOUT = FolderLayout(
    marker=INDEX,
    manifest=_index,
    config_json=_config_json,
    write_weights=_write_weights,
    extra_folders=(("feature_extractor", _FEATURE_EXTRACTOR),),
)
