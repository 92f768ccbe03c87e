"""A tensor of a checkpoint file that is read only when its values are asked for."""

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np


@dataclasses.dataclass(frozen=True)
class LazyArray:
    """A stored tensor: shape and dtype are known from the file's header, `read` fetches the values.

    ``numpy.asarray(lazy)`` reads it. Nothing is cached, so that the caller alone decides what stays in memory.
    """

    shape: tuple[int, ...]
    dtype: np.dtype
    read: Callable[[], np.ndarray]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> np.ndarray:
        return np.asarray(self.read(), dtype=dtype)


Tensors: TypeAlias = Mapping[str, np.ndarray | LazyArray]
"""The tensors of one sub-model, by the names of the file they come from."""
