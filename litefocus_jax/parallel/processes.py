"""A mesh over several processes: arrays that lie in all of them, and whether they do the same.

Every process runs the same program and holds a part of the mesh's devices (JAX's multi-controller model). What is
computed together is called by all of them, in the same order. So whatever may go wrong in one process alone is agreed
on before the others wait for it.
"""

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import jax
import numpy as np
from jax.sharding import Mesh, NamedSharding, PartitionSpec


class ProcessesError(ValueError):
    """The processes of a mesh do not do the same."""


def processes_of(mesh: Mesh | None) -> list[int]:
    """Numbers of the processes whose devices a mesh has; none of no mesh."""
    return [] if mesh is None else sorted({device.process_index for device in mesh.devices.flat})


def spans_processes(mesh: Mesh | None) -> bool:
    """Whether a mesh has devices of other processes than this one."""
    return processes_of(mesh) not in ([], [jax.process_index()])


def mesh_of_own_devices(mesh: Mesh) -> Mesh:
    """The devices of this process that a mesh has, along the first of its axes."""
    own = [device for device in mesh.devices.flat if device.process_index == jax.process_index()]
    return Mesh(
        np.array(own).reshape(-1, *[1] * (mesh.devices.ndim - 1)), mesh.axis_names, axis_types=mesh.axis_types
    )


def lay_out(array: Any, sharding: NamedSharding) -> jax.Array:
    """Lay out an array that every process of a mesh has whole.

    Args:
        array: with the same values in all of them, on the host or on a device of the process.
        sharding: on a mesh; where that has the devices of one process, this is `jax.device_put`.
    """
    if sharding.is_fully_addressable or (isinstance(array, jax.Array) and not array.is_fully_addressable):
        return jax.device_put(array, sharding)
    is_key = isinstance(array, jax.Array) and jax.dtypes.issubdtype(array.dtype, jax.dtypes.prng_key)
    whole = array if is_key else np.asarray(array)
    return jax.make_array_from_callback(whole.shape, sharding, lambda index: whole[index], dtype=whole.dtype)


def gathered(mesh: Mesh, tree: Any) -> Any:
    """Arrays of a mesh as arrays of the host, whole in every process."""

    def gather(array: jax.Array) -> np.ndarray:
        is_here = array.is_fully_addressable or array.is_fully_replicated
        return np.asarray(array if is_here else _replicating(mesh)(array))

    return jax.tree.map(gather, tree)


@functools.cache
def _replicating(mesh: Mesh) -> Callable[[jax.Array], jax.Array]:
    return jax.jit(lambda array: array, out_shardings=NamedSharding(mesh, PartitionSpec()))


def from_each_process(mesh: Mesh, row: np.ndarray) -> np.ndarray:
    """What each process of a mesh has to say.

    Args:
        mesh: all its processes call this.
        row: of this process; of the same shape and type in all.

    Returns:
        ``[processes, *row.shape]``, in the order of `processes_of`.
    """
    devices = list(mesh.devices.flat)
    sharding = NamedSharding(mesh, PartitionSpec(mesh.axis_names))
    rows = jax.make_array_from_callback(
        (len(devices), *row.shape), sharding, lambda index: row[None], dtype=row.dtype
    )
    owners = [device.process_index for device in devices]
    return gathered(mesh, rows)[[owners.index(process) for process in processes_of(mesh)]]


@contextlib.contextmanager
def together(mesh: Mesh | None, doing: str) -> Iterator[None]:
    """Have all processes of a mesh end the block well, or none go on after it.

    Within the block nothing may be computed with the others. Without several processes this does nothing.

    Args:
        mesh: its processes.
        doing: what the block does, for the error.

    Raises:
        ProcessesError: when it failed in another process, whose own message says why.
    """
    if mesh is None or not spans_processes(mesh):
        yield
        return
    try:
        yield
    except Exception:
        from_each_process(mesh, np.zeros((), np.int32))
        raise
    went_well = from_each_process(mesh, np.ones((), np.int32))
    if failed := [process for process, well in zip(processes_of(mesh), went_well, strict=True) if not well]:
        raise ProcessesError(f"process {failed[0]} failed while {doing}; its own message says why")


def require_same(mesh: Mesh | None, facts: Mapping[str, Any]) -> None:
    """Check that all processes of a mesh are about to do the same; without several processes do nothing.

    Args:
        mesh: its processes; all of them call this.
        facts: what has to be the same in all, by what it is called; compared as text.

    Raises:
        ProcessesError: in all of them alike, naming what differs, and in which process.
    """
    if mesh is None or not spans_processes(mesh):
        return
    names = _different(mesh, np.stack([_digest(sorted(facts))]))
    differing = {"the names of the options": names[0]} if names else {}
    if not differing:
        ordered = sorted(facts)
        different = _different(mesh, np.stack([_digest(facts[name]) for name in ordered]))
        differing = {ordered[place]: process for place, process in different.items()}
    if differing:
        named = "; ".join(f"{name} in process {process}" for name, process in differing.items())
        raise ProcessesError(
            f"the processes do not ask for the same. Different from process {processes_of(mesh)[0]}: {named}. Start "
            "all with the same arguments, model and versions"
        )


def _different(mesh: Mesh, digests: np.ndarray) -> dict[int, int]:
    """Places of digests that are not those of the first process, with the first process that has others there."""
    of_all = from_each_process(mesh, digests)  # [processes, places, words]
    differs = (of_all != of_all[:1]).any(axis=-1)
    processes = processes_of(mesh)
    return {
        int(place): processes[int(np.argmax(differs[:, place]))] for place in np.flatnonzero(differs.any(axis=0))
    }


def _digest(value: Any) -> np.ndarray:
    """Eight 32-bit words."""
    return np.frombuffer(hashlib.sha256(repr(value).encode()).digest(), np.uint32)
