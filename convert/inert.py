"""The tensors of an archive of PyTorch that carries more than tensors, of which nothing is run.

``torch.load`` refuses such a file unless it is told to trust it. Here what the pickle names is neither imported nor
called: a tensor is its place in the archive, and everything else is nothing.
"""

import io
import math
import zipfile
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from convert.archives import StorageReader, check_archive
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.tensors import LazyArray

_DTYPES = {"DoubleStorage": "<f8", "FloatStorage": "<f4", "HalfStorage": "<f2", "LongStorage": "<i8"}


class _Storage(NamedTuple):
    """Numbers in the archive."""

    key: str
    kind: str


class _Tensor(NamedTuple):
    """Where a tensor lies in its numbers, counted in them."""

    storage: _Storage
    offset: int
    shape: tuple[int, ...]
    strides: tuple[int, ...]


def tensors_of(path: Path) -> dict[str, LazyArray]:
    """The tensors by name that an archive holds, alone or as one of several things; empty where it holds none.

    Raises:
        CheckpointError: when the archive is damaged, or a tensor is of a type or a layout that is not read here.
    """
    if not zipfile.is_zipfile(path):
        return {}
    check_archive(path)
    with zipfile.ZipFile(path) as archive:
        name = next((name for name in archive.namelist() if name.rpartition("/")[2] == "data.pkl"), None)
        if name is None:
            return {}
        try:
            loaded = _TensorReader(io.BytesIO(archive.read(name))).load()
        except Exception as error:  # a damaged pickle fails in any way
            raise CheckpointError(f"{path} is damaged: {type(error).__name__}: {error}") from error
    parts = loaded if isinstance(loaded, tuple | list) else [loaded]
    folder = name.rpartition("/")[0]
    for part in parts:
        if isinstance(part, dict) and part and all(isinstance(each, _Tensor) for each in part.values()):
            return {str(key): _lazy(path, folder, str(key), tensor) for key, tensor in part.items()}
    return {}


class _TensorReader(StorageReader):
    """Reads where tensors lie. It imports and calls nothing of what the pickle names."""

    def find_class(self, module: str, name: str) -> Any:
        """A stand-in of that name; for what makes a tensor, one that notes its place."""
        if (module, name) == ("torch._utils", "_rebuild_tensor_v2"):
            return _noted
        return super().find_class(module, name)

    def persistent_load(self, pid: Any) -> Any:
        """A storage's name: ``("storage", class, key, device, count)``."""
        super().persistent_load(pid)
        return _Storage(str(pid[2]), pid[1].__name__)


def _noted(storage: _Storage, offset: int, shape: tuple[int, ...], strides: tuple[int, ...], *others: Any) -> _Tensor:
    del others
    return _Tensor(storage, offset, tuple(shape), tuple(strides))


def _lazy(path: Path, folder: str, name: str, tensor: _Tensor) -> LazyArray:
    dtype = _DTYPES.get(tensor.storage.kind)
    steps = tuple(math.prod(tensor.shape[place + 1 :]) for place in range(len(tensor.shape)))
    if dtype is None or tensor.strides != steps:
        raise CheckpointError(
            f"{path}: {name} is of {tensor.storage.kind} with the strides {tensor.strides}; expected "
            f"{' or '.join(_DTYPES)}, row by row"
        )

    def read() -> np.ndarray:
        with zipfile.ZipFile(path) as archive:
            numbers = np.frombuffer(archive.read(f"{folder}/data/{tensor.storage.key}"), dtype)
        count = math.prod(tensor.shape)
        if not 0 <= tensor.offset <= len(numbers) - count:
            raise CheckpointError(f"{path} is damaged: {name} lies beyond its {len(numbers)} numbers")
        return numbers[tensor.offset : tensor.offset + count].reshape(tensor.shape)

    return LazyArray(tensor.shape, np.dtype(dtype), read)
