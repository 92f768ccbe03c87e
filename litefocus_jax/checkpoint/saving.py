"""A model's folder, written whole or not at all, in any layout."""

import dataclasses
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from litefocus_jax.checkpoint.digests import write_digests
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.links import stays_inside
from litefocus_jax.checkpoint.opened import Checkpoint
from litefocus_jax.checkpoint.weights import floating_dtype
from litefocus_jax.models.components import Components
from litefocus_jax.models.keys import Network
from litefocus_jax.models.vocabulary import VOCABULARY
from litefocus_jax.system.files import replacement_folder, write_json
from litefocus_jax.system.interruption import raise_if_interrupted


@dataclasses.dataclass(frozen=True)
class FolderLayout:
    """What is particular to a format.

    Attributes:
        marker: name of the JSON file by which a folder of the format is recognised.
        manifest: makes that file's object from the model and the type of its stored weights.
        config_json: makes the object of a network's ``config.json`` from the network and its configuration.
        write_weights: called with a network, its module, the type of the stored weights and the folder for its files.
        extra_folders: copied beside the networks, by name.
        has_digests: whether a digest of each file is kept beside them.
    """

    marker: str
    manifest: Callable[[Components | Checkpoint, np.dtype], Mapping[str, Any]]
    config_json: Callable[[Network, Any], Mapping[str, Any]]
    write_weights: Callable[[Network, Any, np.dtype, Path], None]
    extra_folders: tuple[tuple[str, Path], ...] = ()
    has_digests: bool = False


def _copy_folder(source: Path, destination: Path) -> None:
    """Copy the files of a folder, and what lies in folders within it.

    Contents only: a hub cache's files are links, and may be read-only.

    Raises:
        CheckpointError: for a link that leads out of the model's folder, or what is no file, such as a pipe.
    """
    destination.mkdir()
    for entry in sorted(source.iterdir()):
        if entry.is_symlink() and not stays_inside(entry, source.parent):
            raise CheckpointError(f"{entry} is a link that leads out of the model's folder; expected the file itself")
        if entry.is_dir():
            _copy_folder(entry, destination / entry.name)
        elif entry.is_file():
            shutil.copyfile(entry, destination / entry.name)
        else:
            raise CheckpointError(f"{entry} is not a regular file; expected a tokenizer's files alone")


def save_folder(
    components: Components | Checkpoint, folder: str | Path, layout: FolderLayout, *, overwrite: bool, dtype: Any = None
) -> None:
    """Write a model, whole or not at all.

    Args:
        components: the model; or one that is open, whose networks ``layout.write_weights`` then reads.
        folder: destination.
        layout: the layout of the format.
        overwrite: replace an earlier folder of the format, once the new one is complete.
        dtype: floating-point type of the stored weights, VAE and vocoder excepted; the model's own unless given.

    Raises:
        FileExistsError: when the destination exists without ``overwrite``, or is not such a folder.
        CheckpointError: when weights overflow the asked-for type.
        ValueError: when ``dtype`` is not float32, bfloat16 or float16.
        OSError: when the destination cannot be written.
    """
    dtype = floating_dtype(components.dtype if dtype is None else dtype)
    copied = {**components.tokenizers, **dict(layout.extra_folders)}
    with replacement_folder(Path(folder), overwrite=overwrite, marker=layout.marker) as new:
        for name, network in components.model_type.networks.items():
            raise_if_interrupted()
            module = components.modules[name]
            write_json(new / name / "config.json", layout.config_json(network, module.config))
            layout.write_weights(network, module, network.weights_dtype(dtype), new / name)
        for name, source in copied.items():
            _copy_folder(source, new / name)
        write_json(new / "scheduler" / "scheduler_config.json", components.scheduler.to_dict())
        if components.vocabulary is not None:
            write_json(new / VOCABULARY, components.vocabulary.to_dict())
        write_json(new / layout.marker, layout.manifest(components, dtype))
        if layout.has_digests:
            write_digests(new)
