"""The native format: ``model.json`` and, per sub-model, ``config.json`` and ``model.safetensors`` with our own names.

Scheduler and tokenizers lie in folders of their own, as in a diffusers checkpoint.
"""

import json
import shutil
from pathlib import Path
from typing import Any

import litefocus_jax
from litefocus_jax.checkpoint import modules, safetensors_files
from litefocus_jax.checkpoint.opened import Checkpoint, Components, StoredSubModel, open_checkpoint_folder
from litefocus_jax.checkpoint.replacement import replacement_folder
from litefocus_jax.checkpoint.rules import CheckpointError, Rule
from litefocus_jax.checkpoint.sub_models import SUB_MODELS, SubModel
from litefocus_jax.config import read_json

MANIFEST = "model.json"
FORMAT = "litefocus-jax"
FORMAT_VERSION = 1

_SAME_NAMES = (Rule("{path}", "{path}"),)


def open_native(folder: Path) -> Checkpoint:
    """Open a folder written by `save_native` and check all of it but the values.

    Raises:
        CheckpointError: when it is of another format or version, or for anything missing, unknown or misshapen.
        ConfigError: when ``model.json`` is missing or not a JSON object.
    """
    path = folder / MANIFEST
    manifest = read_json(path)
    if manifest.get("format") != FORMAT:
        raise CheckpointError(f"{path}: format = {manifest.get('format')!r}; expected {FORMAT!r}")
    if manifest.get("format_version") != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version = {manifest.get('format_version')!r}, written by litefocus-jax "
            f"{manifest.get('library_version')}; this version reads {FORMAT_VERSION}"
        )
    expected = [sub_model.folder for sub_model in SUB_MODELS]
    if manifest.get("sub_models") != expected:
        raise CheckpointError(f"{path}: sub_models = {manifest.get('sub_models')!r}; expected {expected!r}")
    if manifest.get("dtype") not in modules.FLOATING_DTYPES:
        known = ", ".join(modules.FLOATING_DTYPES)
        raise CheckpointError(f"{path}: dtype = {manifest.get('dtype')!r}; expected {known}")

    def open_sub_model(sub_model: SubModel) -> StoredSubModel:
        location = folder / sub_model.folder
        config = sub_model.config_class.from_file(location / "config.json")
        tensors = safetensors_files.read_folder(location, "model")
        return StoredSubModel(location, config, modules.abstract(sub_model.model_class, config), tensors, _SAME_NAMES)

    return open_checkpoint_folder(folder, format="native", dtype=manifest["dtype"], open_sub_model=open_sub_model)


def save_native(components: Components, folder: str | Path, *, overwrite: bool = False, dtype: Any = None) -> None:
    """Write a model in the native format, whole or not at all.

    Args:
        components: the model.
        folder: destination.
        overwrite: replace an earlier native folder, once the new one is complete.
        dtype: floating-point type of the stored weights, VAE and vocoder excepted; theirs unless given.

    Raises:
        FileExistsError: when the destination exists without ``overwrite``, or is something else than a native folder.
        CheckpointError: when weights overflow the asked-for type.
        ValueError: when ``dtype`` is not float32, bfloat16 or float16.
    """
    dtype = modules.floating_dtype(components.dtype if dtype is None else dtype)
    manifest = {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "library_version": litefocus_jax.__version__,
        "dtype": dtype.name,
        "sub_models": list(components.modules),
    }
    with replacement_folder(Path(folder), overwrite=overwrite, marker=MANIFEST) as new:
        for sub_model in SUB_MODELS:
            module = components.modules[sub_model.folder]
            location = new / sub_model.folder
            location.mkdir()
            _write_json(location / "config.json", module.config.to_dict())
            arrays = modules.to_numpy(module, sub_model.weights_dtype(dtype))
            safetensors_files.write_file(location / "model.safetensors", arrays)
        (new / "scheduler").mkdir()
        _write_json(new / "scheduler" / "scheduler_config.json", components.scheduler.to_dict())
        for name in ("tokenizer", "tokenizer_2"):
            # Contents only: a hub cache's files are links, and may be read-only.
            shutil.copytree(getattr(components, name), new / name, copy_function=shutil.copyfile)
        _write_json(new / MANIFEST, manifest)


def _write_json(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, indent=2, allow_nan=False) + "\n", encoding="utf-8")
