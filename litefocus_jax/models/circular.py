"""Networks on a circle of time, for sound that runs on into its own beginning.

Normalisation and attention do not know where a sound begins. Convolutions do, by the zeros that they see beyond its
ends; where they see its other end instead, what a network makes of a rolled input is its rolled output.
"""

from typing import Any, TypeVar

from flax import nnx

from litefocus_jax.models.layers import Upsample
from litefocus_jax.models.mel_correction import MelCorrection
from litefocus_jax.models.vocoder import Conv1d, TransposedConv1d
from litefocus_jax.ops.circular_time import CIRCULAR

Module = TypeVar("Module", bound=nnx.Module)


def on_circle(module: Module) -> Module:
    """A network like the given one, with the same arrays, whose time is a circle.

    What it makes is rolled exactly where frames are a multiple of what it divides them by, and seamless elsewhere too.

    Args:
        module: a UNet, VAE or vocoder.
    """
    circular: Any = nnx.merge(*nnx.split(module))
    for _, layer in nnx.iter_modules(circular):
        if isinstance(layer, nnx.Conv):
            layer.conv_general_dilated = CIRCULAR[layer.conv_general_dilated]
        elif isinstance(layer, Upsample):
            layer.convolve_doubled = CIRCULAR[layer.convolve_doubled]
        elif isinstance(layer, Conv1d | TransposedConv1d | MelCorrection):
            layer.is_circular = True
    return circular
