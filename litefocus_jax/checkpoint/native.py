"""The native format: ``model.json`` and, per network, ``config.json`` and ``model.safetensors`` with our own names.

Scheduler and tokenizers lie in folders of their own, as in a diffusers checkpoint.
"""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

import litefocus_jax
from litefocus_jax.checkpoint import safetensors_files, weights
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.opened import Checkpoint, StoredNetwork, open_checkpoint_folder
from litefocus_jax.checkpoint.saving import FolderLayout, save_folder
from litefocus_jax.models.components import Components
from litefocus_jax.models.keys import KeyTable, Network, Rule
from litefocus_jax.models.model_type import AUDIOLDM2, MODEL_TYPES
from litefocus_jax.system.json_config import read_json
from litefocus_jax.system.messages import shown

MANIFEST = "model.json"
FORMAT = "litefocus-jax"
FORMAT_VERSION = 1
MODEL_TYPE = "model_type"
"""The manifest's name of the model among its family; files without one hold an AudioLDM2."""

DEFAULTS = "generation"
"""The manifest's object of how the model is sampled where a request does not say (`GenerationDefaults`)."""

_SAME_NAMES = KeyTable((Rule("{path}", "{path}"),))


def open_native(folder: Path) -> Checkpoint:
    """Open a folder written by `save_native` and check all of it but the values.

    Raises:
        CheckpointError: when it is of another format or version, or for anything missing, unknown or misshapen.
        ConfigError: when ``model.json`` is missing or not a JSON object.
    """
    path = folder / MANIFEST
    manifest = read_json(path)
    if manifest.get("format") != FORMAT:
        raise CheckpointError(f"{path}: format = {shown(manifest.get('format'))}; expected {FORMAT!r}")
    version = manifest.get("format_version")
    if type(version) is not int or version != FORMAT_VERSION:
        raise CheckpointError(
            f"{path}: format_version = {shown(version)}, written by litefocus-jax "
            f"{shown(manifest.get('library_version'))}; this version reads {FORMAT_VERSION}"
        )
    named = manifest.get(MODEL_TYPE, AUDIOLDM2.name)
    if not isinstance(named, str) or named not in MODEL_TYPES:
        known = " or ".join(map(repr, MODEL_TYPES))
        raise CheckpointError(f"{path}: {MODEL_TYPE} = {shown(named)}; expected {known}")
    model_type = MODEL_TYPES[named]
    expected = list(model_type.networks)
    if manifest.get("sub_models") != expected:
        raise CheckpointError(f"{path}: sub_models = {shown(manifest.get('sub_models'))}; expected {expected!r}")
    if manifest.get("dtype") not in weights.FLOATING_DTYPES:
        known = ", ".join(weights.FLOATING_DTYPES)
        raise CheckpointError(f"{path}: dtype = {shown(manifest.get('dtype'))}; expected {known}")
    return open_checkpoint_folder(
        folder,
        model_type=model_type,
        format="native",
        dtype=manifest["dtype"],
        open_network=open_native_network,
        defaults=manifest.get(DEFAULTS, {}),
        defaults_source=f"{path}: {DEFAULTS}",
    )


def open_native_network(folder: Path, network: Network) -> StoredNetwork:
    """Open one network; its weights are neither checked nor read.

    Raises:
        CheckpointError: when there are no weights, or a file is broken.
        ConfigError: when the configuration cannot be read.
    """
    config = network.config_class.from_file(folder / "config.json")
    return StoredNetwork(folder, network, config, safetensors_files.read_folder(folder, "model"), _SAME_NAMES)


def save_native(components: Components, folder: str | Path, *, overwrite: bool = False, dtype: Any = None) -> None:
    """Write a model in the native format, whole or not at all.

    Takes the arguments of `save_folder`, and raises what it does.
    """
    save_folder(components, folder, _LAYOUT, overwrite=overwrite, dtype=dtype)


def save_opened(
    checkpoint: Checkpoint,
    folder: str | Path,
    *,
    overwrite: bool = False,
    dtype: Any = None,
    on_network: Callable[[str], None] = lambda name: None,
) -> None:
    """Write an open checkpoint in the native format, one network after another: none is held beside another one.

    Args:
        checkpoint: the model.
        folder: see `save_folder`, and so the others.
        overwrite: of an earlier folder.
        dtype: of the stored weights.
        on_network: told the name of each network before it is read.

    Raises:
        CheckpointError: when weights are not finite; else as `save_folder`.
        FileExistsError: as in `save_folder`.
        ValueError: as in `save_folder`.
        OSError: as in `save_folder`.
    """

    def write_weights(network: Network, stored: StoredNetwork, dtype: np.dtype, folder: Path) -> None:
        del network
        on_network(folder.name)
        safetensors_files.write_file(folder / "model.safetensors", weights.cast(stored.arrays(), dtype))

    layout = dataclasses.replace(_LAYOUT, write_weights=write_weights)
    save_folder(checkpoint, folder, layout, overwrite=overwrite, dtype=dtype)


def _manifest(components: Components | Checkpoint, dtype: np.dtype) -> dict[str, Any]:
    return {
        "format": FORMAT,
        "format_version": FORMAT_VERSION,
        "library_version": litefocus_jax.__version__,
        "dtype": dtype.name,
        MODEL_TYPE: components.model_type.name,
        "sub_models": list(components.modules),
        DEFAULTS: components.defaults.to_dict(),
    }


def _write_weights(network: Network, module: Any, dtype: np.dtype, folder: Path) -> None:
    del network
    safetensors_files.write_file(folder / "model.safetensors", weights.to_numpy(module, dtype))


_LAYOUT = FolderLayout(
    marker=MANIFEST,
    manifest=_manifest,
    config_json=lambda network, config: config.to_dict(),
    write_weights=_write_weights,
    has_digests=True,
)
