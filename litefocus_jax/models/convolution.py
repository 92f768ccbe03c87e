"""3x3 convolutions with fewer products, where that is faster (Winograd).

Letters in shape comments: B batch, C channels, O output channels; P and Q tiles along time and frequency.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

# Measured on two Zen 4 cores at the VAE's shapes: 1.4x from 256 channels up. Fewer channels gain little over the time
# it takes to compile, and with few positions the kernel's own transform costs more than the saved products.
_WINOGRAD_CHANNELS = 256
_WINOGRAD_POSITIONS = 1024


def convolve_3x3(
    x: Float[Array, "batch time frequency channels"],
    kernel: Float[Array, "3 3 channels out_channels"],
    *arguments: Any,
    **keywords: Any,
) -> Float[Array, "batch time frequency out_channels"]:
    """Stands in for `jax.lax.conv_general_dilated` in an ``nnx.Conv`` of 3x3 with stride 1 and padding 1.

    Large float32 convolutions on a CPU go to `convolve_winograd`; all others to `jax.lax`, with the remaining
    arguments.
    """
    batch, time, frequency, _ = x.shape
    is_large = min(kernel.shape[2:]) >= _WINOGRAD_CHANNELS and batch * time * frequency >= _WINOGRAD_POSITIONS
    if is_large and jax.default_backend() == "cpu" and x.dtype == kernel.dtype == jnp.float32:
        return convolve_winograd(x, kernel)
    return jax.lax.conv_general_dilated(x, kernel, *arguments, **keywords)


def convolve_winograd(
    x: Float[Array, "batch time frequency channels"], kernel: Float[Array, "3 3 channels out_channels"]
) -> Float[Array, "batch time frequency out_channels"]:
    """Convolve 3x3 with zero padding of one, by 4 products for each output where the definition takes 9.

    Each tile of 2x2 outputs is computed from 4x4 inputs: F(2x2, 3x3) of Lavin and Gray (arXiv 1509.09308). The three
    transforms are sums, differences and halves, so that the result is as exact as the direct one. Between them are
    16 matrix products over all tiles.
    """
    batch, time, frequency, channels = x.shape
    tiles_t, tiles_f = -(-time // 2), -(-frequency // 2)
    padding = ((0, 0), (1, 1 + time % 2), (1, 1 + frequency % 2), (0, 0))
    # Tiles overlap: the 4 inputs along an axis are one pair and the next.
    pairs = jnp.pad(x, padding).reshape(batch, tiles_t + 1, 2, tiles_f + 1, 2, channels)

    def tile_inputs(i: int, j: int) -> Array:  # [B, P, Q, C]
        return pairs[:, i // 2 : i // 2 + tiles_t, i % 2, j // 2 : j // 2 + tiles_f, j % 2]

    inputs = _along_both_axes(_transform_inputs, [[tile_inputs(i, j) for j in range(4)] for i in range(4)])
    kernels = _along_both_axes(_transform_kernel, [[kernel[i, j] for j in range(3)] for i in range(3)])
    products = [[inputs[i][j] @ kernels[i][j] for j in range(4)] for i in range(4)]  # 4x4 of [B, P, Q, O]
    outputs = _along_both_axes(_transform_products, products)  # 2x2 of [B, P, Q, O]
    merged = jnp.stack([jnp.stack(row, axis=3) for row in outputs], axis=2)  # [B, P, 2, Q, 2, O]
    return merged.reshape(batch, 2 * tiles_t, 2 * tiles_f, -1)[:, :time, :frequency]


def _along_both_axes(transform: Callable[..., list[Array]], grid: list[list[Array]]) -> list[list[Array]]:
    """Transform the columns of a grid, then its rows."""
    columns = [transform(*column) for column in zip(*grid, strict=True)]
    return [transform(*row) for row in zip(*columns, strict=True)]


def _transform_inputs(x0: Array, x1: Array, x2: Array, x3: Array) -> list[Array]:
    return [x0 - x2, x1 + x2, x2 - x1, x1 - x3]


def _transform_kernel(w0: Array, w1: Array, w2: Array) -> list[Array]:
    return [w0, (w0 + w1 + w2) / 2, (w0 - w1 + w2) / 2, w2]


def _transform_products(m0: Array, m1: Array, m2: Array, m3: Array) -> list[Array]:
    return [m0 + m1 + m2, m1 - m2 - m3]
