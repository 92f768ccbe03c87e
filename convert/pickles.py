"""PyTorch pickles as lazily read tensors, without ever running what a pickle might carry."""

import functools
import pickle
import re
import warnings
import zipfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import ml_dtypes
import numpy as np

from convert.archives import check_archive
from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.errors import CheckpointError, listed
from litefocus_jax.checkpoint.tensors import LazyArray, Tensors

_STEMS = {"model": "pytorch_model"}  # transformers gives its pickles another name than its safetensors


def read_folder(folder: Path, stem: str) -> Tensors:
    """The tensors of a sub-model, from safetensors where there are any and from ``.bin`` pickles otherwise.

    Args:
        folder: the sub-model's folder.
        stem: the name of its safetensors files, without suffix.

    Raises:
        CheckpointError: when there are no weights, or a file or index is broken or refused.
    """
    if not has_safetensors(folder, stem):
        pickle_stem = _STEMS.get(stem, stem)
        for variant in ("", ".fp16"):
            single = folder / f"{pickle_stem}{variant}.bin"
            index = folder / f"{pickle_stem}.bin.index{variant}.json"
            if single.exists():
                return read_file(single)
            if index.exists():
                return safetensors_files.read_shards(index, read_file)
    return safetensors_files.read_folder(folder, stem)


def has_safetensors(folder: Path, stem: str) -> bool:
    """Whether a sub-model's folder holds safetensors, single or sharded."""
    return any(folder.glob(f"{stem}*.safetensors")) or any(folder.glob(f"{stem}.safetensors.index*.json"))


def pickle_patterns(folder: str, stem: str) -> tuple[str, ...]:
    """The files on the hub that `read_folder` could read where there are no safetensors."""
    pickle_stem = _STEMS.get(stem, stem)
    return tuple(f"{folder}/{pickle_stem}{rest}" for rest in (".bin", "-*-of-*.bin", ".bin.index.json"))


def read_file(path: Path, *, inside: str | None = None) -> dict[str, LazyArray]:
    """The tensors of one pickle, memory-mapped where its layout allows.

    Args:
        path: of the pickle.
        inside: where it has an entry of that name which holds tensors by name, these are taken, and nothing else.

    Raises:
        CheckpointError: when the pickle would run code, is damaged, or holds anything but tensors.
        ImportError: when PyTorch is not installed.
    """
    import torch  # so that safetensors can be converted without it

    safetensors_files.require_file(path)
    is_archive = zipfile.is_zipfile(path)
    if is_archive:
        check_archive(path)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", UserWarning)  # about old pickle protocols
            # Files from before PyTorch 1.6 are not zip archives, and cannot be mapped.
            tensors = torch.load(path, map_location="cpu", weights_only=True, mmap=is_archive)
    except pickle.UnpicklingError as error:
        carried = re.search(r"GLOBAL ([\w.]+)", str(error))
        reason = f"names {carried[1]}, which is more than weights" if carried else "is more than weights, or damaged"
        raise CheckpointError(
            f"{path} is refused: it {reason}, and reading it could run code. Expected a pickle of tensors alone; "
            "better still, safetensors"
        ) from None
    except Exception as error:  # damage comes to light as anything from an AssertionError to a struct.error
        first_line = (str(error).splitlines() or [""])[0]
        raise CheckpointError(
            f"{path} is damaged or not a PyTorch file: {type(error).__name__}: {first_line}"
        ) from error
    if inside is not None and isinstance(tensors, Mapping) and isinstance(tensors.get(inside), Mapping):
        tensors = tensors[inside]
    if not isinstance(tensors, Mapping):
        raise CheckpointError(f"{path} holds a {type(tensors).__name__}; expected tensors by name")
    problems = [
        f"{name!r} is a {type(value).__name__}"
        for name, value in tensors.items()
        if not isinstance(name, str) or not isinstance(value, torch.Tensor) or value.layout != torch.strided
    ]
    if problems:
        raise CheckpointError(f"{path} holds something else than dense tensors by name:\n{listed(problems)}")
    return {name: _lazy(path, name, tensor) for name, tensor in tensors.items()}


def _lazy(path: Path, name: str, tensor: Any) -> LazyArray:
    import torch

    if tensor.dtype == torch.bfloat16:
        return LazyArray(tuple(tensor.shape), np.dtype(ml_dtypes.bfloat16), functools.partial(_bfloat16, tensor))
    try:
        dtype = torch.empty(0, dtype=tensor.dtype).numpy().dtype
    except TypeError:
        raise CheckpointError(f"{path}: {name} is stored as {tensor.dtype}, which is not supported") from None
    return LazyArray(tuple(tensor.shape), dtype, lambda: tensor.detach().numpy())


def _bfloat16(tensor: Any) -> np.ndarray:
    """NumPy has no bfloat16 of its own, so PyTorch hands the bits over as integers."""
    import torch

    return tensor.detach().contiguous().view(torch.int16).numpy().view(ml_dtypes.bfloat16)
