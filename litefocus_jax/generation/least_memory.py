"""The least that a request can take, by arithmetic alone: what is hopeless is refused before anything is compiled."""

import jax.numpy as jnp

from litefocus_jax.generation.needs import InsufficientMemoryError
from litefocus_jax.generation.request import Request
from litefocus_jax.models.components import LatentGeometry
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.system.platform import memory_limit


def least_bytes(request: Request, unet: UNetConfig, geometry: LatentGeometry, dtype: str) -> int:
    """Bytes that one call of the UNet holds in its middle: all that its way up takes from its way down.

    What its layers compute, its weights and the latents themselves come on top.

    Args:
        request: what is asked for.
        unet: the shape of the network.
        geometry: of the model.
        dtype: of the network's activations.
    """
    windows, frames = 1, request.plan.frames
    if request.plan.windows is not None:
        windows, frames = request.plan.windows.windows_per_call, request.plan.windows.window
    batch = request.batch_size * request.sides * windows * (2 if request.plan.guided else 1)
    devices = 1 if request.plan.mesh is None else request.plan.mesh.size
    frequencies, channels = geometry.frequencies, unet.block_out_channels
    numbers = frames * frequencies * channels[0]
    last = len(channels) - 1
    for level, layers in enumerate(unet.layers_per_level):
        numbers += layers * frames * frequencies * channels[level]
        if level < last:
            frames, frequencies = -(-frames // 2), -(-frequencies // 2)
            numbers += frames * frequencies * channels[level]
    return batch * numbers * jnp.dtype(dtype).itemsize // devices


def require_least_memory(request: Request, unet: UNetConfig, geometry: LatentGeometry, dtype: str) -> None:
    """Refuse what cannot fit whatever the compiler does with it.

    Takes the arguments of `least_bytes`.

    Raises:
        InsufficientMemoryError: when even `least_bytes` is more than there is.
    """
    limit, least = memory_limit(), least_bytes(request, unet, geometry, dtype)
    if limit is not None and least > limit:
        raise InsufficientMemoryError(
            f"{request.batch_size} x {request.audio_length_in_s:g} s of sound take more than {least / 1e9:,.0f} GB, "
            f"and there are {limit / 1e9:,.1f} GB; ask for shorter sound, fewer waveforms, a smaller batch, or windows"
        )
