"""Convolutions of frames that several devices share: each sees its neighbours' frames at either end of its own."""

import dataclasses
from typing import Any

from jaxtyping import Array, Float

from litefocus_jax.ops.convolution import convolve, convolve_doubled, padding_in_numbers
from litefocus_jax.parallel.time_axis import FrameShares


@dataclasses.dataclass(frozen=True)
class ConvolveShared:
    """Stands in for `convolve` and `convolve_3x3` in an ``nnx.Conv``, and for their likes on a circle of time.

    Attributes:
        shares: of the frames.
        is_circular: whether time is a circle.
    """

    shares: FrameShares
    is_circular: bool = False

    def __call__(
        self,
        x: Float[Array, "batch own frequency channels"],
        kernel: Float[Array, "width height channels out_channels"],
        window_strides: Any,
        padding: Any,
        **keywords: Any,
    ) -> Float[Array, "batch new_own new_frequency out_channels"]:
        """Convolve a device's frames. Strides divide the number that it has room for."""
        (before, _), frequency = padding_in_numbers(x, kernel, window_strides, padding)
        # What lies after the frames that the last output of this device begins with.
        after = kernel.shape[0] - before - window_strides[0]
        if before or after:
            x = self.shares.with_neighbours(x, before, after, is_circular=self.is_circular)
        return convolve(x, kernel, window_strides, ((0, 0), frequency), **keywords)


@dataclasses.dataclass(frozen=True)
class ConvolveDoubledShared:
    """Stands in for `convolve_doubled`, and for its like on a circle of time; attributes as of `ConvolveShared`."""

    shares: FrameShares
    is_circular: bool = False

    def __call__(
        self, x: Float[Array, "batch own frequency channels"], kernel: Float[Array, "3 3 channels out_channels"]
    ) -> Float[Array, "batch twice_own twice_frequency out_channels"]:
        """Convolve what doubling would make of a device's frames."""
        extended = self.shares.with_neighbours(x, 1, 1, is_circular=self.is_circular)
        return convolve_doubled(extended, kernel)[:, 2:-2]
