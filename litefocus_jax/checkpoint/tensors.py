"""A tensor of a checkpoint file that is read only when its values are asked for."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np


@dataclasses.dataclass(frozen=True)
class LazyArray:
    """A stored tensor: shape and dtype are known from the file's header, `read` fetches the values.

    ``numpy.asarray(lazy)`` reads it. Nothing is cached, so that the caller alone decides what stays in memory.

    Attributes:
        shape: of the values.
        dtype: of the values.
        read: fetches them.
        name: in its file, where it is handed on under another one; errors say it.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]
    name: str | None = None

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.read(), dtype=dtype)


Tensors: TypeAlias = Mapping[str, np.ndarray | LazyArray]
"""The tensors of one sub-model, by the names of the file they come from."""


def name_in_file(key: str, tensor: np.ndarray | LazyArray) -> str:
    """What a tensor is called in the file that it comes from.

    Args:
        key: under which it was handed on.
        tensor: stored under it.
    """
    return getattr(tensor, "name", None) or key
