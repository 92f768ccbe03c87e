"""Several devices, as a mesh of `jax.sharding` with axes called ``"data"`` and ``"time"``, and maybe ``"guidance"``.

Sounds do not depend on one another, so that each device of the data axis makes its own share of them with a copy of
the weights, and nothing passes between devices. Devices along the time axis share the frames of each sound; what they
tell each other is in `litefocus_jax.parallel.time_axis`. Two groups of devices along the guidance axis each run one
branch of classifier-free guidance, and tell each other its output once in a step.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AbstractMesh, AxisType, Mesh, NamedSharding, PartitionSpec

from litefocus_jax.parallel.processes import lay_out, processes_of
from litefocus_jax.parallel.time_axis import TIME_AXIS

DATA_AXIS = "data"
"""Name of the mesh's axis that sounds, or the clips of a batch, are spread along."""

GUIDANCE_AXIS = "guidance"
"""Name of the axis, which a mesh may have, that the two branches of classifier-free guidance are spread along."""

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
        ValueError: when it lacks one of the axes, has others, has other than one or two devices along guidance, has no
            devices of this process or of another one, or has several along time for windows.
    """
    if not isinstance(mesh, Mesh):
        raise TypeError(f"mesh is a {type(mesh).__name__}; expected None or a jax.sharding.Mesh")
    if set(mesh.axis_names) - {GUIDANCE_AXIS} != {DATA_AXIS, TIME_AXIS}:
        raise ValueError(
            f"mesh has the axes {mesh.axis_names}; expected {(DATA_AXIS, TIME_AXIS)}, as in "
            f"jax.sharding.Mesh(np.array(jax.devices()).reshape(-1, 1), {(DATA_AXIS, TIME_AXIS)})"
        )
    if mesh.shape.get(GUIDANCE_AXIS, 1) not in (1, 2):
        raise ValueError(
            f"mesh has {mesh.shape[GUIDANCE_AXIS]} groups of devices along {GUIDANCE_AXIS!r}; expected 2, for the "
            "prompt and the negative prompt"
        )
    if windowed and mesh.shape[TIME_AXIS] != 1:
        raise ValueError(
            f"mesh has {mesh.shape[TIME_AXIS]} devices along {TIME_AXIS!r}, and windowed denoising sees little of a "
            f"sound at a time; expected 1, and all devices along {DATA_AXIS!r}, or windowed = None"
        )
    if absent := sorted(set(range(jax.process_count())) - set(processes_of(mesh))):
        raise ValueError(
            f"mesh has no device of the processes {absent}; expected jax.devices(), those of all {jax.process_count()} "
            "processes, of which each calls the pipeline alike. To let each process make prompts of its own, leave "
            "jax.distributed out (litefocus-jax batch)"
        )
    return Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,) * len(mesh.axis_names))


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
    return spread(mesh, tree, EVERYWHERE)


def spread(mesh: Mesh, tree: Any, specs: Any) -> Any:
    """Lay arrays out over a mesh.

    Along the axes that are spread, the last entry is repeated until all shares are equal.

    Args:
        mesh: the devices.
        tree: a pytree of arrays, or of `jax.ShapeDtypeStruct` in their place.
        specs: a `PartitionSpec` for all of them, or a pytree of these whose leaves stand for parts of ``tree``.
    """

    def spread_part(spec: PartitionSpec, part: Any) -> Any:
        def fill(array: jax.Array) -> jax.Array:
            for axis, name in enumerate(spec):
                size, shares = array.shape[axis], 1 if name is None else mesh.shape[name]
                if size % shares:
                    places = np.minimum(np.arange(-(-size // shares) * shares), size - 1)
                    array = jnp.take(array, places, axis=axis)
            return array

        sharding = NamedSharding(mesh, spec)

        def place(leaf: Any) -> Any:
            if isinstance(leaf, jax.ShapeDtypeStruct):
                filled = jax.eval_shape(fill, leaf)
                return jax.ShapeDtypeStruct(filled.shape, filled.dtype, sharding=sharding)
            return lay_out(fill(leaf), sharding)

        return jax.tree.map(place, part)

    return jax.tree.map(spread_part, specs, tree, is_leaf=lambda node: isinstance(node, PartitionSpec))


def along_data(axis: int = 0) -> PartitionSpec:
    """The layout of an array whose axis of this number is spread along the mesh's data axis."""
    return PartitionSpec(*[None] * axis, DATA_AXIS)


def along_all(mesh: Mesh) -> PartitionSpec:
    """The layout of an array whose first axis is spread over all devices of a mesh, whatever their axes."""
    return PartitionSpec(mesh.axis_names)


def map_shares(
    mesh: Mesh, function: Callable[..., Any], specs: tuple[Any, ...], *, results: PartitionSpec | None = None
) -> Callable[..., Any]:
    """Have each device of a mesh run a function on its share of what it is called with.

    Args:
        mesh: the devices.
        function: of pytrees of arrays.
        specs: for each argument how it lies, as for `jax.shard_map`.
        results: how what it returns lies; unless given, it is collected along its first axis, so that every device has
            the results of all.
    """

    def collect(*arguments: Any) -> Any:
        own = function(*arguments)
        return jax.tree.map(lambda array: jax.lax.all_gather(array, mesh.axis_names, tiled=True), own)

    return jax.shard_map(
        collect if results is None else function,
        mesh=mesh,
        in_specs=specs,
        out_specs=EVERYWHERE if results is None else results,
        # The models' loops begin with zeros, which the check takes for values that all devices share.
        check_vma=False,
    )
