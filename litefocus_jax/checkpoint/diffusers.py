"""Checkpoints as diffusers saves them: ``model_index.json`` and one folder per sub-model."""

from collections.abc import Callable
from pathlib import Path

from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.lazy import Tensors
from litefocus_jax.checkpoint.modules import abstract
from litefocus_jax.checkpoint.opened import Checkpoint, StoredSubModel, open_checkpoint_folder
from litefocus_jax.checkpoint.rules import CheckpointError, listed
from litefocus_jax.checkpoint.sub_models import SUB_MODELS, SubModel
from litefocus_jax.config import read_json

INDEX = "model_index.json"
PIPELINE_CLASS = "AudioLDM2Pipeline"
# The feature extractor serves diffusers' ranking of waveforms alone; the others are judged where they are read.
_WITHOUT_WEIGHTS = frozenset({"scheduler", "tokenizer", "tokenizer_2", "feature_extractor"})

ReadWeights = Callable[[Path, str], Tensors]


def open_diffusers(folder: Path, read_weights: ReadWeights = safetensors_files.read_folder) -> Checkpoint:
    """Open a diffusers folder and check all of it but the values.

    Args:
        folder: holds ``model_index.json``.
        read_weights: the tensors of a sub-model from its folder and the stem of its weight files.

    Raises:
        CheckpointError: one message with everything that is missing, not supported or does not fit.
        ConfigError: when ``model_index.json`` is missing or not a JSON object.
    """
    _check_index(folder / INDEX)

    def open_sub_model(sub_model: SubModel) -> StoredSubModel:
        path = folder / sub_model.folder
        config = sub_model.config_class.from_file(path / "config.json")
        tensors = read_weights(path, sub_model.weights)
        try:
            tensors = sub_model.normalise(tensors)
        except CheckpointError as error:
            raise CheckpointError(f"{path}: {error}") from None
        module = abstract(sub_model.model_class, config)
        return StoredSubModel(path, config, module, tensors, sub_model.rules, sub_model.ignored)

    return open_checkpoint_folder(folder, format="diffusers", dtype="float32", open_sub_model=open_sub_model)


def _check_index(path: Path) -> None:
    """Refuse pipelines and sub-models of other classes than those we run."""
    index = read_json(path)
    problems = []
    if index.get("_class_name") != PIPELINE_CLASS:
        problems.append(f"_class_name = {index.get('_class_name')!r}; expected {PIPELINE_CLASS!r}")
    known = {sub_model.folder: sub_model.class_names for sub_model in SUB_MODELS}
    for name, entry in index.items():
        if not isinstance(entry, list) or name in _WITHOUT_WEIGHTS:
            continue
        class_name = entry[-1] if entry else None
        if name not in known:
            problems.append(f"{name} ({class_name}) is not a sub-model this version knows")
        elif class_name not in known[name]:
            problems.append(f"{name} is a {class_name}; expected {' or '.join(known[name])}")
    problems += [f"{name} is missing; expected {' or '.join(known[name])}" for name in known if name not in index]
    if problems:
        raise CheckpointError(f"{path} describes a pipeline that is not supported:\n{listed(problems)}")
