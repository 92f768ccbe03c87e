"""Initial weights of every layer; or, with `ShapesOnly` in the place of random keys, just their shapes.

A checkpoint's module is built to learn which weights it wants. Its initial values would be thrown away at once, and
to trace the functions that draw them (`flax.nnx.eval_shape`) takes the published sizes five times as long.
"""

import functools
import math
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
from flax import nnx

from litefocus_jax.ops.convolution import convolve

_LECUN_NORMAL = jax.nn.initializers.lecun_normal()


class TooManyWeightsError(ValueError):
    """A configuration asks for more weights than there can be."""


class ShapesOnly:
    """Stands in for `nnx.Rngs`: a module built with it holds a `jax.ShapeDtypeStruct` for every weight.

    Args:
        most: weights that may be asked for, so that a configuration of a million layers is not built to its end.
    """

    def __init__(self, most: int | None = None) -> None:
        self._left = math.inf if most is None else most

    def params(self) -> None:
        """Returns no key.

        Raises:
            TooManyWeightsError: when asked more often than was said.
        """
        self._left -= 1
        if self._left < 0:
            raise TooManyWeightsError


def _initialiser(draw: Any) -> Any:
    """An initialiser that, without a key, returns the shape of what it would have drawn."""

    def initialise(key: jax.Array | None, shape: Sequence[int], dtype: Any = jnp.float32, **keywords: Any) -> Any:
        if key is None:
            return jax.ShapeDtypeStruct(tuple(shape), dtype)
        return draw(key, shape, dtype, **keywords)

    return initialise


_kernel = _initialiser(_LECUN_NORMAL)
_zeros = _initialiser(jax.nn.initializers.zeros)
_ones = _initialiser(jax.nn.initializers.ones)
_unit_rows = _initialiser(lambda key, shape, dtype: jax.random.normal(key, shape, dtype) / math.sqrt(shape[-1]))

linear = functools.partial(nnx.Linear, kernel_init=_kernel, bias_init=_zeros)
"""An `nnx.Linear`."""

conv = functools.partial(nnx.Conv, kernel_init=_kernel, bias_init=_zeros, conv_general_dilated=convolve)
"""An `nnx.Conv`."""


def kernel(shape: Sequence[int], rngs: nnx.Rngs) -> nnx.Param:
    """Normal values of variance one over the number of inputs, which are all axes but the last."""
    return nnx.Param(_kernel(rngs.params(), shape))


def embeddings(shape: Sequence[int], rngs: nnx.Rngs) -> nnx.Param:
    """Rows of random values, about one long each."""
    return nnx.Param(_unit_rows(rngs.params(), shape))


def zeros(shape: Sequence[int], rngs: nnx.Rngs) -> nnx.Param:
    """Zeros, as for a bias."""
    return nnx.Param(_zeros(rngs.params(), shape))


def ones(shape: Sequence[int], rngs: nnx.Rngs) -> nnx.Param:
    """Ones, as for the scale of a normalisation."""
    return nnx.Param(_ones(rngs.params(), shape))
