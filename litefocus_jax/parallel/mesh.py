"""Several devices, as a mesh of `jax.sharding` with axes called ``"data"`` and ``"time"``.

Sounds do not depend on one another, so that each device of the data axis makes its own share of them with a copy of the
weights, and nothing passes between devices. Devices along the time axis share the frames of each sound; what they tell
each other is in `litefocus_jax.parallel.time_axis`.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from litefocus_jax.parallel.time_axis import TIME_AXIS, cut_shares, fill_shares

DATA_AXIS = "data"
"""Name of the mesh's axis that sounds, or the clips of a batch, are spread along."""

EVERYWHERE = PartitionSpec()


def check_mesh(mesh: Mesh, *, windowed: bool = False) -> Mesh:
    """Check that sounds can be spread over a mesh.

    Args:
        mesh: the devices.
        windowed: whether the sounds are denoised in windows.

    Returns:
        The same devices, in a mesh whose axes are all left to the compiler.

    Raises:
        TypeError: when it is no mesh.
        ValueError: when it lacks one of the axes, has others, holds devices of other processes, or has several along
            time for windows.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(f"mesh is a {type(mesh).__name__}; expected None or a jax.sharding.Mesh")
    if set(mesh.axis_names) != {DATA_AXIS, TIME_AXIS}:
        raise ValueError(
            f"mesh has the axes {mesh.axis_names}; expected {(DATA_AXIS, TIME_AXIS)}, as in "
            f"jax.sharding.Mesh(np.array(jax.devices()).reshape(-1, 1), {(DATA_AXIS, TIME_AXIS)})"
        )
    if windowed and mesh.shape[TIME_AXIS] != 1:
        raise ValueError(
            f"mesh has {mesh.shape[TIME_AXIS]} devices along {TIME_AXIS!r}, and windowed denoising sees little of a "
            f"sound at a time; expected 1, and all devices along {DATA_AXIS!r}, or windowed = None"
        )
    if foreign := sorted({device.process_index for device in mesh.devices.flat} - {jax.process_index()}):
        raise ValueError(
            f"mesh holds devices of the processes {foreign}, and this is process {jax.process_index()}; expected "
            "jax.local_devices() alone. Let each process make its own share of the prompts, as examples/many_prompts.py"
        )
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * 2)


def check_frames(mesh: Mesh | AbstractMesh, frames: int) -> None:
    """Check that the devices along time all have frames of a sound.

    Args:
        mesh: the devices.
        frames: of the sound at the network's last level.

    Raises:
        ValueError: when there are fewer of them than devices along time.
    """
    # With fewer, XLA's partitioner gives wrong results (jax 0.10.2, on CPUs; seen with 4 frames for 8 devices).
    if frames < mesh.shape[TIME_AXIS]:
        raise ValueError(
            f"mesh has {mesh.shape[TIME_AXIS]} devices along {TIME_AXIS!r}, and at its last level the network has "
            f"{frames} frames of this sound; expected at least as many frames: make it longer, or lay devices along "
            f"{DATA_AXIS!r}"
        )


def replicate(mesh: Mesh, tree: Any) -> Any:
    """Copy arrays to every device of a mesh."""
    return _placed(tree, NamedSharding(mesh, EVERYWHERE), lambda array: array)


def spread_arguments(
    mesh: Mesh, unet: Any, context: Any, state: Any, keys: Any, *, guided: bool
) -> tuple[Any, Any, Any, Any]:
    """Lay the arguments of `generate.denoise` where `denoise_shares` wants them.

    Each device gets its share of the sounds and of their frames; the last sound, and each sound's last frame, is
    repeated until all shares are equal.

    Args:
        mesh: the devices.
        unet: as for `generate.denoise`; its arrays, and those of the others, may be `jax.ShapeDtypeStruct` instead.
        context: likewise.
        state: likewise.
        keys: likewise.
        guided: likewise.

    Returns:
        The four arguments. Under guidance the context's arrays are ``[2, sounds, ...]``, the negative prompts first.
    """
    per_sound = _sounds_at(0)
    latents, steps = _spread(mesh, (keys.latents, keys.steps), per_sound)
    keys = keys._replace(latents=latents, steps=steps, litefocus=replicate(mesh, keys.litefocus))
    context = _spread(mesh, context, _sounds_at(int(guided)), in_pairs=guided)
    per_frame = PartitionSpec(DATA_AXIS, TIME_AXIS) if mesh.shape[TIME_AXIS] > 1 else per_sound
    return replicate(mesh, unet), context, _spread(mesh, state, per_frame), keys


def denoise_shares(
    denoise: Callable[..., Any],
    mesh: Mesh,
    unet: Any,
    context: Any,
    schedule: Any,
    state: Any,
    first_step: Any,
    guidance_scale: Any,
    keys: Any,
    *,
    guided: bool,
    frames: int,
) -> Any:
    """Let every device denoise its share of the sounds, by ``denoise`` for one device.

    Where there are several along time, they share the ``frames`` of these sounds between them. The other arguments are
    those of `generate.denoise`, laid out by `spread_arguments`.
    """

    def denoise_share(unet: Any, context: Any, schedule: Any, state: Any, *others: Any) -> Any:
        if guided:
            context = jax.tree.map(lambda array: array.reshape(-1, *array.shape[2:]), context)
        state = jax.tree.map(lambda array: cut_shares(array, frames), state)
        return jax.tree.map(fill_shares, denoise(unet, context, schedule, state, *others))

    per_sound = _sounds_at(0)
    spread_denoise = jax.shard_map(
        denoise_share,
        mesh=mesh,
        in_specs=(
            EVERYWHERE,
            _sounds_at(1) if guided else per_sound,
            EVERYWHERE,
            per_sound,
            EVERYWHERE,
            EVERYWHERE,
            keys._replace(latents=per_sound, steps=per_sound, litefocus=EVERYWHERE),
        ),
        out_specs=per_sound,
        axis_names={DATA_AXIS} if mesh.shape[TIME_AXIS] > 1 else set(mesh.axis_names),
        # The models' loops begin with zeros, which the check takes for values that all devices share.
        check_vma=False,
    )
    return spread_denoise(unet, context, schedule, state, first_step, guidance_scale, keys)


def _spread(mesh: Mesh, tree: Any, layout: PartitionSpec, *, in_pairs: bool = False) -> Any:
    """Arrays laid out over a mesh; in pairs, [2 * sounds, ...] become [2, sounds, ...].

    Along the axes that are spread, the last entry is repeated to fill the shares.
    """

    def arrange(array: jax.Array) -> jax.Array:
        if in_pairs:
            array = array.reshape(2, -1, *array.shape[1:])
        for axis, name in enumerate(layout):
            size, shares = array.shape[axis], 1 if name is None else mesh.shape[name]
            if size % shares:
                places = np.minimum(np.arange(-(-size // shares) * shares), size - 1)
                array = jnp.take(array, places, axis=axis)
        return array

    return _placed(tree, NamedSharding(mesh, layout), arrange)


def _sounds_at(axis: int) -> PartitionSpec:
    """The layout of an array whose axis of this number counts sounds."""
    return PartitionSpec(*[None] * axis, DATA_AXIS)


def _placed(tree: Any, sharding: NamedSharding, arrange: Callable[[jax.Array], jax.Array]) -> Any:
    def place(leaf: Any) -> Any:
        if isinstance(leaf, jax.ShapeDtypeStruct):
            arranged = jax.eval_shape(arrange, leaf)
            return jax.ShapeDtypeStruct(arranged.shape, arranged.dtype, sharding=sharding)
        return jax.device_put(arrange(leaf), sharding)

    return jax.tree.map(place, tree)
