"""Safetensors files, single or in shards, as lazily read tensors."""

import functools
import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path, PureWindowsPath
from typing import Any

import ml_dtypes
import numpy as np
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

from litefocus_jax.checkpoint.errors import CheckpointError, describe, listed, tensor_name
from litefocus_jax.checkpoint.links import stays_inside
from litefocus_jax.checkpoint.tensors import LazyArray, Tensors
from litefocus_jax.system.json_config import read_json
from litefocus_jax.system.messages import shown

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
_DTYPE_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}
_LFS_POINTER = b"version https://git-lfs"
_LONGEST_HEADER = 2**24  # bytes; of the largest published network it has 500,000
_MOST_TENSORS = 20_000  # the largest published network has 4,000
_LENGTH_BYTES = 8  # a file begins with the length of its header, in this many bytes
_ALIGNMENT = 64  # bytes: a cache line, and no less than XLA asks for


def read_file(path: Path) -> dict[str, LazyArray]:
    """The tensors of one safetensors file; only its header is read, values lie in a read-only memory map.

    Raises:
        CheckpointError: when the file is truncated, malformed, or holds a number type that is not supported.
    """
    require_file(path)
    with path.open("rb") as stream:
        length = int.from_bytes(stream.read(_LENGTH_BYTES), "little")
    if length > _LONGEST_HEADER:
        raise CheckpointError(
            f"{path} is not a complete safetensors file: its header of {length:,} bytes is too long; expected at most "
            f"{_LONGEST_HEADER:,}"
        )
    try:
        safe_open(path, framework="numpy")  # checks all that the header says against the file
    except (SafetensorError, OSError) as error:
        raise CheckpointError(f"{path} is not a complete safetensors file: {error}") from error
    with path.open("rb") as stream:
        header = stream.read(int.from_bytes(stream.read(_LENGTH_BYTES), "little"))
    values = np.memmap(path, np.uint8, mode="r")[_LENGTH_BYTES + len(header) :]
    entries = json.loads(header)
    _check_number(path, len(entries))
    tensors = {}
    for name, entry in entries.items():
        if name == "__metadata__":
            continue
        if entry["dtype"] not in _DTYPES:
            known = ", ".join(_DTYPES)
            raise CheckpointError(f"{path}: {tensor_name(name)} is stored as {entry['dtype']}; supported are {known}")
        dtype, shape = np.dtype(_DTYPES[entry["dtype"]]), tuple(entry["shape"])
        tensors[name] = LazyArray(shape, dtype, functools.partial(_view, values, entry["data_offsets"], dtype, shape))
    return tensors


def _check_number(path: Path, count: int) -> None:
    """Refuse more tensors than any network has, before their names are compared with those that are wanted."""
    if count > _MOST_TENSORS:
        raise CheckpointError(
            f"{path} names {count:,} tensors; expected those of one network, {_MOST_TENSORS:,} at most"
        )


def require_file(path: Path) -> None:
    """Refuse what only looks like a file of weights, before anything reads it.

    Raises:
        CheckpointError: for a pipe, which would be waited for, and for a pointer of Git LFS.
    """
    if not path.is_file():
        raise CheckpointError(f"{path} is not a regular file; expected a file of weights")
    with path.open("rb") as stream:
        if stream.read(len(_LFS_POINTER)) == _LFS_POINTER:
            raise CheckpointError(f"{path} is a Git LFS pointer, not the weights; run `git lfs pull`")


def _view(values: np.ndarray, offsets: Sequence[int], dtype: np.dtype, shape: tuple[int, ...]) -> np.ndarray:
    begin, end = offsets
    return np.asarray(values[begin:end].view(dtype).reshape(shape))


def write_file(path: Path, arrays: Mapping[str, np.ndarray]) -> None:
    """Write arrays to one safetensors file, so that a memory map of it can serve as the memory of the weights.

    The format's own library packs tensors so that XLA, which asks for aligned memory, has to copy them. Here the
    header is padded, as the format allows, and tensors whose size would push later ones out of line come last.

    Raises:
        OSError: when the file cannot be written.
    """
    names = sorted(arrays, key=lambda name: (arrays[name].nbytes % _ALIGNMENT != 0, name))
    header: dict[str, Any] = {"__metadata__": {"format": "np"}}
    end = 0
    for name in names:
        begin, end = end, end + arrays[name].nbytes
        header[name] = {
            "dtype": _DTYPE_NAMES[arrays[name].dtype],
            "shape": arrays[name].shape,
            "data_offsets": (begin, end),
        }
    encoded = json.dumps(header).encode()
    encoded += b" " * (-(_LENGTH_BYTES + len(encoded)) % _ALIGNMENT)
    with path.open("wb") as stream:
        stream.write(len(encoded).to_bytes(_LENGTH_BYTES, "little") + encoded)
        for name in names:
            # Views have to be laid out before their bytes mean anything.
            stream.write(np.ascontiguousarray(arrays[name]).reshape(-1).view(np.uint8).data)


def write_packed_file(path: Path, arrays: Mapping[str, np.ndarray], metadata: Mapping[str, str]) -> None:
    """Write arrays as the format's own library does, without padding.

    Raises:
        OSError: when the file cannot be written.
    """
    try:
        save_file(dict(arrays), path, dict(metadata))
    except SafetensorError as error:  # a full disk is one, without the file's name
        raise OSError(f"{path} cannot be written: {error}") from error


def read_folder(folder: Path, stem: str, *, variant: str | None = None) -> Tensors:
    """The tensors of a sub-model: ``stem.safetensors``, its shards, or else the ``fp16`` variant of either.

    Args:
        folder: of the sub-model.
        stem: the name of its weight files.
        variant: what is looked for before these, as diffusers names it.

    Raises:
        CheckpointError: when there are no weights, or a file or index is broken.
    """
    for infix in (*([] if variant is None else [f".{variant}"]), "", ".fp16"):
        single = folder / f"{stem}{infix}.safetensors"
        index = folder / f"{stem}.safetensors.index{infix}.json"
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
    _check_number(index, len(weight_map))
    tensors: dict[str, Any] = {}
    problems = []
    for file_name in sorted(set(weight_map.values())):
        for name, tensor in read_shard(_shard_path(index, file_name)).items():
            if name in tensors:
                problems.append(f"{describe(name, tensor.shape)} is stored twice, the second time in {file_name}")
            elif weight_map.get(name) != file_name:
                place = shown(weight_map.get(name))
                problems.append(f"{tensor_name(name)} is in {file_name}, but the index has it in {place}")
            tensors[name] = tensor
        _check_number(index, len(tensors))
    problems += [f"{tensor_name(name)} is not in {weight_map[name]}" for name in weight_map if name not in tensors]
    if problems:
        raise CheckpointError(f"{index} disagrees with its shards:\n{listed(problems)}")
    return tensors


def _shard_path(index: Path, file_name: str) -> Path:
    """The file an index names, which must lie beside the index."""
    # Windows paths understand both separators and drive letters.
    is_plain_name = file_name not in ("", ".", "..") and PureWindowsPath(file_name).name == file_name
    path = index.parent / file_name
    if not is_plain_name or not file_name.isprintable() or len(file_name) > 255 or not stays_inside(path, index.parent):
        raise CheckpointError(
            f"{index} names the shard {shown(file_name)}, outside its folder; expected a file beside it"
        )
    if not path.is_file():
        raise CheckpointError(f"{index} names the shard {file_name!r}, which is missing")
    return path
