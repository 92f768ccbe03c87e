"""Convolutions on a circle of time, where the last frame stands before the first; frequency ends in zeros as ever.

What wraps around is written out before the convolution, and what belongs to it alone is cut off afterwards, so that the
fast algorithms of `litefocus_jax.ops.convolution` serve here too.
"""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.ops.convolution import convolve, convolve_3x3, convolve_doubled, padding_in_numbers


def wrap_time(
    x: Float[Array, "batch time *axes"], before: int, after: int
) -> Float[Array, "batch before+time+after *axes"]:
    """Add the last frames before the first, and the first ones after the last; several times round if need be."""
    time = x.shape[1]
    if max(before, after) > time:
        return jnp.take(x, np.arange(-before, time + after) % time, axis=1)
    return jnp.concatenate([x[:, time - before :], x, x[:, :after]], axis=1)


def convolve_circular(
    x: Float[Array, "batch time frequency channels"],
    kernel: Float[Array, "width height channels out_channels"],
    window_strides: Any,
    padding: Any,
    **keywords: Any,
) -> Float[Array, "batch new_time new_frequency out_channels"]:
    """Stands in for `convolve` in an ``nnx.Conv``: what it pads in time with zeros is wrapped around."""
    (before, after), frequency = padding_in_numbers(x, kernel, window_strides, padding)
    return convolve(wrap_time(x, before, after), kernel, window_strides, ((0, 0), frequency), **keywords)


def convolve_3x3_circular(
    x: Float[Array, "batch time frequency channels"], *arguments: Any, **keywords: Any
) -> Float[Array, "batch time frequency out_channels"]:
    """Stands in for `convolve_3x3`."""
    return convolve_3x3(wrap_time(x, 1, 1), *arguments, **keywords)[:, 1:-1]


def convolve_doubled_circular(
    x: Float[Array, "batch time frequency channels"], kernel: Float[Array, "3 3 channels out_channels"]
) -> Float[Array, "batch twice_time twice_frequency out_channels"]:
    """Stands in for `convolve_doubled`."""
    return convolve_doubled(wrap_time(x, 1, 1), kernel)[:, 2:-2]


CIRCULAR: dict[Callable[..., Array], Callable[..., Array]] = {
    convolve: convolve_circular,
    convolve_3x3: convolve_3x3_circular,
    convolve_doubled: convolve_doubled_circular,
}
"""What stands in for each convolution."""
