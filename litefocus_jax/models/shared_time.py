"""Networks whose frames several devices share."""

from typing import Any, TypeVar

from flax import nnx

from litefocus_jax.models.layers import GroupNorm, Upsample
from litefocus_jax.models.unet.blocks import AttentionLayers
from litefocus_jax.models.unet.transformer import Transformer
from litefocus_jax.ops.circular_time import CIRCULAR
from litefocus_jax.ops.shared_time import ConvolveDoubledShared, ConvolveShared
from litefocus_jax.parallel.time_axis import FrameShares

Module = TypeVar("Module", bound=nnx.Module)


def on_shares(module: Module, shares: FrameShares) -> Module:
    """A network like the given one, with the same arrays, that computes a device's frames within `jax.shard_map`.

    Args:
        module: a UNet, which may be on a circle of time.
        shares: of the frames at its levels.
    """
    shared: Any = nnx.merge(*nnx.split(module))
    circular = set(CIRCULAR.values())
    for _, layer in nnx.iter_modules(shared):
        if isinstance(layer, nnx.Conv):
            layer.conv_general_dilated = ConvolveShared(shares, layer.conv_general_dilated in circular)
        elif isinstance(layer, Upsample):
            layer.convolve_doubled = ConvolveDoubledShared(shares, layer.convolve_doubled in circular)
            layer.shares = shares
        elif isinstance(layer, GroupNorm | Transformer | AttentionLayers):
            layer.shares = shares
    return shared
