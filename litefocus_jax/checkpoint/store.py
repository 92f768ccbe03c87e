"""Find a checkpoint of any format by folder or hub id, and load it."""

import dataclasses
import functools
from pathlib import Path
from typing import Any, TypedDict, Unpack

from litefocus_jax.checkpoint import diffusers, native, safetensors_files
from litefocus_jax.checkpoint.digests import DIGESTS
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.hub import download_error, hub_model
from litefocus_jax.checkpoint.opened import Checkpoint
from litefocus_jax.models.components import Components
from litefocus_jax.models.model_type import MODEL_TYPES
from litefocus_jax.system.files import expanded, put_back

BUNDLED_MODEL = "foley"
"""The name by which the bundled model is asked for."""

BUNDLED_FOLDER = Path(__file__).parents[1] / "assets" / BUNDLED_MODEL
"""The folder of the bundled model, in the native format; its model card, ``MODEL_CARD.md``, beside it."""

_ORIGINAL_SUFFIXES = (".pth", ".ckpt")

_DOWNLOADED = (
    native.MANIFEST,
    DIGESTS,
    diffusers.INDEX,
    "*/config.json",
    "scheduler/*.json",
    *(f"tokenizer{number}/*.{suffix}" for number in ("", "_2") for suffix in ("json", "txt", "model")),
    *(
        pattern
        for stem in sorted({network.weights for each in MODEL_TYPES.values() for network in each.networks.values()})
        for pattern in (f"*/{stem}.safetensors", f"*/{stem}.safetensors.index.json", f"*/{stem}-*-of-*.safetensors")
    ),
)


class HubOptions(TypedDict, total=False):
    """What can be said of a download from the Hugging Face hub, under the names that its client and diffusers use.

    Attributes:
        revision: branch, tag or commit.
        cache_dir: folder that downloads are kept in; the one of the hub's client unless given.
        token: of an account, for models that not everybody may read; True for the one that is logged in.
        local_files_only: take what is in the cache, and ask nothing of the hub.
        force_download: download what is in the cache already.
    """

    revision: str | None
    cache_dir: str | Path | None
    token: str | bool | None
    local_files_only: bool
    force_download: bool


def load_components(source: str | Path, dtype: Any = None, **hub: Unpack[HubOptions]) -> Components:
    """Load a whole model.

    Args:
        source: a native folder, a diffusers folder, the id of either on the Hugging Face hub, or ``"foley"``.
        dtype: floating-point type of the weights: float32, bfloat16 or float16; VAE and vocoder are float32 in any
            case. Unless given, the type of a native folder's weights, and float32 for a diffusers folder.
        hub: see `HubOptions`.

    Raises:
        CheckpointError: when it is not found, or anything in it is missing, unknown, misshapen or not finite.
        ConfigError: when its top-level JSON is malformed.
        ValueError: when ``dtype`` is not supported, or ``revision`` is given with a folder.
    """
    return open_checkpoint(source, **hub).load(dtype)


def open_checkpoint(
    source: str | Path,
    *,
    subfolder: str | None = None,
    variant: str | None = None,
    read_weights: diffusers.ReadWeights = safetensors_files.read_folder,
    **hub: Unpack[HubOptions],
) -> Checkpoint:
    """Open a model and check all of it but the values of its weights.

    Args:
        source: a native folder, a diffusers folder, the id of either on the Hugging Face hub, or ``"foley"``.
        subfolder: where in that folder, or on the hub, the checkpoint lies.
        variant: of the weights of a diffusers folder, such as ``"fp16"``; sub-models without it are read as they are.
        read_weights: reads the weights of a diffusers sub-model.
        hub: see `HubOptions`.

    Raises:
        CheckpointError: when it is not found, or anything in it is missing, unknown or misshapen.
        ConfigError: when its top-level JSON is malformed.
        ValueError: when ``revision`` is given with a folder, or ``variant`` with a native one.
    """
    folder = local_folder(source, patterns=_patterns(subfolder, variant), **hub) / (subfolder or "")
    if (folder / native.MANIFEST).exists():
        if variant is not None:
            raise ValueError(
                f"variant = {variant!r} is for folders of diffusers, and {folder} is a native one, which is cast as it "
                "is read; leave it out, or say dtype='float16'"
            )
        return dataclasses.replace(native.open_native(folder), source=str(source))
    if variant is not None:
        if not any(folder.glob(f"*/*.{variant}.*")):
            raise CheckpointError(
                f"{folder} has no weights of variant {variant!r}; leave it out, and say what they are to be cast to "
                "(dtype='float16')"
            )
        read_weights = functools.partial(safetensors_files.read_folder, variant=variant)
    if (folder / diffusers.INDEX).exists():
        return dataclasses.replace(diffusers.open_diffusers(folder, read_weights), source=str(source))
    raise CheckpointError(
        f"{folder} is not a checkpoint: it holds neither {native.MANIFEST} (native) nor {diffusers.INDEX} (diffusers)"
    )


def _patterns(subfolder: str | None, variant: str | None) -> tuple[str, ...]:
    """The files of a checkpoint on the hub."""
    patterns = _DOWNLOADED
    if variant is not None:
        patterns += (f"*/*.{variant}.safetensors", f"*/*.{variant}-*.safetensors", f"*/*.index.{variant}.json")
    return patterns if subfolder is None else tuple(f"{subfolder}/{pattern}" for pattern in patterns)


def local_folder(source: str | Path, *, patterns: tuple[str, ...] = _DOWNLOADED, **hub: Unpack[HubOptions]) -> Path:
    """The folder of a checkpoint, downloaded from the hub unless it is here already.

    Args:
        source: a folder, ``"foley"`` for the bundled model where there is no such folder, a hub id, which may end in
            ``@`` and a revision, or the address of a model's page on the hub.
        patterns: the files to download.
        hub: see `HubOptions`.

    Raises:
        CheckpointError: when there is no such folder, nor such a model on the hub or in its cache.
        ValueError: when ``revision`` is given with a folder, or beside another one.
    """
    revision = hub.get("revision")
    folder = expanded(source)
    put_back(folder)
    if source == BUNDLED_MODEL and not folder.exists():
        folder = BUNDLED_FOLDER
    if folder.is_dir():
        if revision is not None:
            raise ValueError(f"revision = {revision!r} is for models on the hub, but {folder} is a folder")
        return folder
    if folder.exists():
        hint = f" (python -m convert {folder} DST makes one of a file of AudioLDM2's authors)"
        is_original = folder.suffix in _ORIGINAL_SUFFIXES
        raise CheckpointError(f"{folder} is a file; expected the folder of a checkpoint{hint if is_original else ''}")
    model = hub_model(source) if isinstance(source, str) else None
    if model is None:
        raise CheckpointError(f"{source} does not exist; expected a folder, or a hub id such as 'cvssp/audioldm2'")
    if revision is not None and model.revision not in (None, revision):
        raise ValueError(f"revision = {revision!r}, but {source} names the revision {model.revision!r}")
    model = dataclasses.replace(model, revision=model.revision or revision)

    from huggingface_hub import snapshot_download  # slow to import, and not needed for folders

    try:
        options = {**hub, "revision": model.revision}
        return Path(snapshot_download(model.repo_id, allow_patterns=list(patterns), **options))
    except Exception as error:  # the hub's client passes on the errors of its transport, whichever that is
        raise download_error(model, folder, error) from error
