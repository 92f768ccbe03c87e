"""Find a checkpoint of any format by folder or hub id, and load it."""

import dataclasses
from pathlib import Path
from typing import Any

from litefocus_jax.checkpoint import diffusers, native, safetensors_files
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.hub import download_error, hub_model
from litefocus_jax.checkpoint.opened import Checkpoint
from litefocus_jax.models.components import NETWORKS, Components
from litefocus_jax.system.files import put_back

BUNDLED_MODEL = "foley"
"""The name by which the bundled model is asked for."""

BUNDLED_FOLDER = Path(__file__).parents[1] / "assets" / BUNDLED_MODEL
"""The folder of the bundled model, in the native format; its model card, ``MODEL_CARD.md``, beside it."""

_DOWNLOADED = (
    native.MANIFEST,
    diffusers.INDEX,
    "*/config.json",
    "scheduler/*.json",
    *(f"tokenizer{number}/*.{suffix}" for number in ("", "_2") for suffix in ("json", "txt", "model")),
    *(
        pattern
        for stem in sorted({network.weights for network in NETWORKS.values()})
        for pattern in (f"*/{stem}.safetensors", f"*/{stem}.safetensors.index.json", f"*/{stem}-*-of-*.safetensors")
    ),
)


def load_components(source: str | Path, dtype: Any = None, *, revision: str | None = None) -> Components:
    """Load a whole model.

    Args:
        source: a native folder, a diffusers folder, the id of either on the Hugging Face hub, or ``"foley"``.
        dtype: floating-point type of the weights: float32, bfloat16 or float16; VAE and vocoder are float32 in any
            case. Unless given, the type of a native folder's weights, and float32 for a diffusers folder.
        revision: branch, tag or commit on the hub.

    Raises:
        CheckpointError: when it is not found, or anything in it is missing, unknown, misshapen or not finite.
        ConfigError: when its top-level JSON is malformed.
        ValueError: when ``dtype`` is not supported, or ``revision`` is given with a folder.
    """
    return open_checkpoint(source, revision=revision).load(dtype)


def open_checkpoint(
    source: str | Path,
    *,
    revision: str | None = None,
    read_weights: diffusers.ReadWeights = safetensors_files.read_folder,
) -> Checkpoint:
    """Open a model and check all of it but the values of its weights.

    Args:
        source: a native folder, a diffusers folder, the id of either on the Hugging Face hub, or ``"foley"``.
        revision: branch, tag or commit on the hub.
        read_weights: reads the weights of a diffusers sub-model.

    Raises:
        CheckpointError: when it is not found, or anything in it is missing, unknown or misshapen.
        ConfigError: when its top-level JSON is malformed.
        ValueError: when ``revision`` is given with a folder.
    """
    folder = local_folder(source, revision=revision)
    if (folder / native.MANIFEST).exists():
        return dataclasses.replace(native.open_native(folder), source=str(source))
    if (folder / diffusers.INDEX).exists():
        return dataclasses.replace(diffusers.open_diffusers(folder, read_weights), source=str(source))
    raise CheckpointError(
        f"{folder} is not a checkpoint: it holds neither {native.MANIFEST} (native) nor {diffusers.INDEX} (diffusers)"
    )


def local_folder(source: str | Path, *, revision: str | None = None, patterns: tuple[str, ...] = _DOWNLOADED) -> Path:
    """The folder of a checkpoint, downloaded from the hub unless it is here already.

    Args:
        source: a folder, ``"foley"`` for the bundled model where there is no such folder, a hub id, which may end in
            ``@`` and a revision, or the address of a model's page on the hub.
        revision: branch, tag or commit on the hub.
        patterns: the files to download.

    Raises:
        CheckpointError: when there is no such folder, nor such a model on the hub or in its cache.
        ValueError: when ``revision`` is given with a folder, or beside another one.
    """
    folder = Path(source).expanduser()
    put_back(folder)
    if source == BUNDLED_MODEL and not folder.exists():
        folder = BUNDLED_FOLDER
    if folder.is_dir():
        if revision is not None:
            raise ValueError(f"revision = {revision!r} is for models on the hub, but {folder} is a folder")
        return folder
    if folder.exists():
        raise CheckpointError(f"{folder} is a file; expected the folder of a checkpoint")
    model = hub_model(source) if isinstance(source, str) else None
    if model is None:
        raise CheckpointError(f"{source} does not exist; expected a folder, or a hub id such as 'cvssp/audioldm2'")
    if revision is not None and model.revision not in (None, revision):
        raise ValueError(f"revision = {revision!r}, but {source} names the revision {model.revision!r}")
    model = dataclasses.replace(model, revision=model.revision or revision)

    from huggingface_hub import snapshot_download  # slow to import, and not needed for folders

    try:
        return Path(snapshot_download(model.repo_id, revision=model.revision, allow_patterns=list(patterns)))
    except Exception as error:  # the hub's client passes on the errors of its transport, whichever that is
        raise download_error(model, folder, error) from error
