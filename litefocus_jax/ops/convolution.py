"""3x3 convolutions with fewer products: by Winograd's algorithm, and after nearest-neighbour doubling.

Letters in shape comments: B batch, T time, F frequency, C channels, O output channels; P and Q tiles
along time and frequency.
"""

from collections.abc import Callable, Sequence
from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from litefocus_jax.ops.block_loop import map_in_place
from litefocus_jax.system.platform import current_platform

# Measured on two Zen 4 cores at the VAE's shapes: 1.4x from 256 channels up. Fewer channels gain little over the time
# it takes to compile, and with few positions the kernel's own transform costs more than the saved products.
_WINOGRAD_CHANNELS = 256
_WINOGRAD_POSITIONS = 1024
_WINOGRAD_BLOCK_POSITIONS = 4096


def convolve(
    x: Float[Array, "batch *axes channels"], *arguments: Any, **keywords: Any
) -> Float[Array, "batch *new_axes out_channels"]:
    """`jax.lax.conv_general_dilated`, under a name by which an ``nnx.Conv`` tells what may stand in for it."""
    return jax.lax.conv_general_dilated(x, *arguments, **keywords)


def padding_in_numbers(
    x: Float[Array, "batch *axes channels"], kernel: Array, window_strides: Sequence[int], padding: Any
) -> Sequence[tuple[int, int]]:
    """What is padded before and after each axis, where `jax.lax.conv_general_dilated` takes a word too."""
    if isinstance(padding, str):
        return jax.lax.padtype_to_pads(x.shape[1:-1], kernel.shape[:-2], window_strides, padding)
    return padding


def convolve_3x3(
    x: Float[Array, "batch time frequency channels"],
    kernel: Float[Array, "3 3 channels out_channels"],
    *arguments: Any,
    **keywords: Any,
) -> Float[Array, "batch time frequency out_channels"]:
    """Stands in for `convolve` in an ``nnx.Conv`` of 3x3 with stride 1 and padding 1.

    Large float32 convolutions on a CPU go to `convolve_winograd`, all others to `convolve`, with the remaining
    arguments.
    """
    batch, time, frequency, _ = x.shape
    is_large = min(kernel.shape[2:]) >= _WINOGRAD_CHANNELS and batch * time * frequency >= _WINOGRAD_POSITIONS
    is_fast = current_platform().uses_winograd and x.dtype == kernel.dtype == jnp.float32
    if is_large and is_fast:
        return convolve_winograd(x, kernel)
    return convolve(x, kernel, *arguments, **keywords)


def convolve_winograd(
    x: Float[Array, "batch time frequency channels"],
    kernel: Float[Array, "3 3 channels out_channels"],
    *,
    block_positions: int = _WINOGRAD_BLOCK_POSITIONS,
) -> Float[Array, "batch time frequency out_channels"]:
    """Convolve 3x3 with zero padding of one, by 4 products for each output where the definition takes 9.

    Each tile of 2x2 outputs is computed from 4x4 inputs: F(2x2, 3x3) of Lavin and Gray (arXiv 1509.09308). The three
    transforms are sums, differences and halves, so that the result is as exact as the direct one. Between them are
    16 matrix products over all tiles. Transformed inputs and outputs take four times the room of the plain ones; long
    inputs are therefore worked through in blocks along time, of about ``block_positions`` positions.
    """
    batch, time, frequency, _ = x.shape
    kernels = _along_both_axes(_transform_kernel, [[kernel[i, j] for j in range(3)] for i in range(3)])
    blocks = max(1, round(batch * time * frequency / block_positions))
    frames = 2 * -(-time // (2 * blocks))  # frames of outputs in one block; even, so that tiles do not straddle blocks
    blocks = -(-time // frames)
    padding = ((0, 0), (1, 1 + blocks * frames - time), (1, 1 + frequency % 2), (0, 0))
    padded = jnp.pad(x, padding)
    if blocks == 1:
        return _winograd_tiles(padded, kernels)[:, :time, :frequency]

    def convolve_block(shared: tuple[Array, list[list[Array]]], room: Array, number: Array) -> Array:
        padded, kernels = shared
        del room
        return _winograd_tiles(jax.lax.dynamic_slice_in_dim(padded, number * frames, frames + 2, axis=1), kernels)

    # Zeros that depend on the input: XLA:CPU would keep room for constant ones for the whole program.
    zero = 0 * padded[0, 0, 0, 0]
    room = jnp.broadcast_to(zero, (blocks, batch, frames, 2 * -(-frequency // 2), kernel.shape[-1]))
    outputs = map_in_place(convolve_block, (padded, kernels), room)  # [blocks, B, frames, F, O]
    return outputs.swapaxes(0, 1).reshape(batch, blocks * frames, -1, kernel.shape[-1])[:, :time, :frequency]


def _winograd_tiles(padded: Array, kernels: list[list[Array]]) -> Array:
    """Outputs of all tiles of an input that has a border of one around it, and even sizes."""
    batch, time, frequency, channels = padded.shape
    tiles_t, tiles_f = time // 2 - 1, frequency // 2 - 1
    # Tiles overlap: the 4 inputs along an axis are one pair and the next.
    pairs = padded.reshape(batch, tiles_t + 1, 2, tiles_f + 1, 2, channels)

    def tile_inputs(i: int, j: int) -> Array:  # [B, P, Q, C]
        return pairs[:, i // 2 : i // 2 + tiles_t, i % 2, j // 2 : j // 2 + tiles_f, j % 2]

    inputs = _along_both_axes(_transform_inputs, [[tile_inputs(i, j) for j in range(4)] for i in range(4)])
    products = [[inputs[i][j] @ kernels[i][j] for j in range(4)] for i in range(4)]  # 4x4 of [B, P, Q, O]
    outputs = _along_both_axes(_transform_products, products)  # 2x2 of [B, P, Q, O]
    merged = jnp.stack([jnp.stack(row, axis=3) for row in outputs], axis=2)  # [B, P, 2, Q, 2, O]
    return merged.reshape(batch, 2 * tiles_t, 2 * tiles_f, -1)


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


def convolve_doubled(
    x: Float[Array, "batch time frequency channels"], kernel: Float[Array, "3 3 channels out_channels"]
) -> Float[Array, "batch twice_time twice_frequency out_channels"]:
    """Convolve (zero padding of one) what nearest-neighbour doubling would make of ``x``, without making it.

    Of three neighbours in a doubled signal two are always the same number, so that their weights can be added up
    beforehand. Even and odd positions see different pairs. The four combinations over time and frequency are
    convolutions of 2x2 on the small input: 16 products per input position, where 3x3 on the large one takes 36.
    """
    batch, time, frequency, _ = x.shape
    phases = [
        convolve(
            x,
            _add_weights_of_equal_neighbours(_add_weights_of_equal_neighbours(kernel, odd_time, 0), odd_frequency, 1),
            window_strides=(1, 1),
            padding=((1 - odd_time, odd_time), (1 - odd_frequency, odd_frequency)),
            dimension_numbers=("NHWC", "HWIO", "NHWC"),
        )
        for odd_time in (0, 1)
        for odd_frequency in (0, 1)
    ]
    stacked = jnp.stack(phases, axis=3).reshape(batch, time, frequency, 2, 2, -1)  # [B, T, F, time phase, F phase, O]
    return stacked.transpose(0, 1, 3, 2, 4, 5).reshape(batch, 2 * time, 2 * frequency, -1)


def _add_weights_of_equal_neighbours(kernel: Array, odd: int, axis: int) -> Array:
    """Three taps to two: an even position equals its right neighbour, an odd one its left neighbour."""
    left, middle, right = jnp.split(kernel, 3, axis=axis)
    return jnp.concatenate((left + middle, right) if odd else (left, middle + right), axis=axis)
