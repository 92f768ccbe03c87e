"""Safetensors files, single or in shards, as lazily read tensors."""

import functools
from collections.abc import Callable, Mapping
from pathlib import Path, PureWindowsPath
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from litefocus_jax.checkpoint.lazy import LazyArray, Tensors
from litefocus_jax.checkpoint.rules import CheckpointError, listed
from litefocus_jax.config import read_json

_DTYPES: Mapping[str, Any] = {
    "BF16": ml_dtypes.bfloat16,
    "F16": np.float16,
    "F32": np.float32,
    "F64": np.float64,
    "BOOL": np.bool_,
    "U8": np.uint8,
    "I8": np.int8,
    "I16": np.int16,
    "I32": np.int32,
    "I64": np.int64,
}
_LFS_POINTER = b"version https://git-lfs"


def read_file(path: Path) -> dict[str, LazyArray]:
    """The tensors of one safetensors file; only its header is read, values come from a memory map.

    Raises:
        CheckpointError: when the file is truncated, malformed, or holds a number type that is not supported.
    """
    try:
        file = safe_open(path, framework="numpy")
    except (SafetensorError, OSError) as error:
        with path.open("rb") as stream:
            if stream.read(len(_LFS_POINTER)) == _LFS_POINTER:
                raise CheckpointError(f"{path} is a Git LFS pointer, not the weights; run `git lfs pull`") from None
        raise CheckpointError(f"{path} is not a complete safetensors file: {error}") from error
    tensors = {}
    for name in file.keys():  # noqa: SIM118 - safe_open is no mapping
        header = file.get_slice(name)
        if header.get_dtype() not in _DTYPES:
            known = ", ".join(_DTYPES)
            raise CheckpointError(f"{path}: {name} is stored as {header.get_dtype()}; supported are {known}")
        dtype = np.dtype(_DTYPES[header.get_dtype()])
        tensors[name] = LazyArray(tuple(header.get_shape()), dtype, functools.partial(file.get_tensor, name))
    return tensors


def write_file(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to one safetensors file.

    Raises:
        OSError: when the file cannot be written.
    """
    # The library stores the memory behind an array as it lies, so views have to be laid out first.
    contiguous = {name: np.ascontiguousarray(array) for name, array in arrays.items()}
    try:
        save_file(contiguous, path, metadata={"format": "np"})
    except SafetensorError as error:
        raise OSError(f"{path} cannot be written: {error}") from error


def read_folder(folder: Path, stem: str) -> Tensors:
    """The tensors of a sub-model: ``stem.safetensors``, its shards, or else the ``fp16`` variant of either.

    Raises:
        CheckpointError: when there are no weights, or a file or index is broken.
    """
    for variant in ("", ".fp16"):
        single = folder / f"{stem}{variant}.safetensors"
        index = folder / f"{stem}.safetensors.index{variant}.json"
        if single.exists():
            return read_file(single)
        if index.exists():
            return read_shards(index, read_file)
    if pickles := sorted(path.name for path in folder.glob("*.bin")):
        raise CheckpointError(
            f"{folder} has its weights only as PyTorch pickles ({', '.join(pickles[:3])}); convert them once with "
            "`python -m convert SRC DST`, run from a clone of the litefocus-jax repository"
        )
    raise CheckpointError(f"{folder} has no weights; expected {stem}.safetensors or {stem}.safetensors.index.json")


def read_shards(index: Path, read_shard: Callable[[Path], Tensors]) -> Tensors:
    """The tensors of all shards that an index lists.

    Args:
        index: the ``*.index.json`` file with its ``weight_map`` from tensor to file.
        read_shard: reads one of the files.

    Raises:
        CheckpointError: when the index is malformed, names a file outside its folder or one that is missing, or
            disagrees with what the shards hold; tensors held by two shards are listed.
    """
    weight_map = read_json(index).get("weight_map")
    if not isinstance(weight_map, dict) or not all(isinstance(name, str) for name in weight_map.values()):
        raise CheckpointError(f"{index} has no weight_map from tensor names to file names")
    tensors: dict[str, Any] = {}
    problems = []
    for file_name in sorted(set(weight_map.values())):
        for name, tensor in read_shard(_shard_path(index, file_name)).items():
            if name in tensors:
                problems.append(f"{name} {list(tensor.shape)} is stored twice, the second time in {file_name}")
            elif weight_map.get(name) != file_name:
                problems.append(f"{name} is in {file_name}, but the index has it in {weight_map.get(name)}")
            tensors[name] = tensor
    problems += [f"{name} is not in {weight_map[name]}" for name in weight_map if name not in tensors]
    if problems:
        raise CheckpointError(f"{index} disagrees with its shards:\n{listed(problems)}")
    return tensors


def _shard_path(index: Path, file_name: str) -> Path:
    """The file an index names, which must lie beside the index."""
    # The Windows reading of a path knows both separators and drive letters.
    is_plain_name = file_name not in ("", ".", "..") and PureWindowsPath(file_name).name == file_name
    path = index.parent / file_name
    if not is_plain_name or not _stays_inside(path):
        raise CheckpointError(f"{index} names the shard {file_name!r}, outside its folder; expected a file beside it")
    if not path.is_file():
        raise CheckpointError(f"{index} names the shard {file_name!r}, which is missing")
    return path


def _stays_inside(path: Path) -> bool:
    """Whether a file, its symbolic links followed, stays in its folder or in the hub cache that the folder is part of.

    The hub's cache keeps ``snapshots/<revision>/<folder>/<file>`` as links to ``blobs/<hash>``.
    """
    target, folder = path.resolve(), path.parent.resolve()
    blobs = [parent.parent / "blobs" for parent in folder.parents if parent.name == "snapshots"]
    return any(target.is_relative_to(allowed) for allowed in (folder, *blobs))
