"""Nearest-neighbour doubling and the convolution after it, as one step.

Letters in shape comments: B batch, T time, F frequency, C channels, O output channels.
"""

import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float


class DoublingConv(nnx.Module):
    """Doubles time and frequency by nearest neighbour, then convolves 3x3 (the VAE's ``Upsample2D``)."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        self.conv = nnx.Conv(channels, channels, (3, 3), padding=1, rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch time frequency channels"]
    ) -> Float[Array, "batch twice_time twice_frequency channels"]:
        """Double both axes and convolve."""
        assert self.conv.bias is not None
        return convolve_doubled(x, self.conv.kernel[...]) + self.conv.bias[...]


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
        lax.conv_general_dilated(
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
