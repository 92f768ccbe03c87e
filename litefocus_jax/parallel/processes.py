"""A mesh over several processes: arrays that lie in all of them, and whether they do the same.

Every process runs the same program and holds a part of the mesh's devices (JAX's multi-controller model). What is
computed together is called by all of them, in the same order. So whatever may go wrong in one process alone is agreed
on before the others wait for it.
"""

import contextlib
import functools
import hashlib
from collections.abc import Callable, Iterator, Mapping, Sequence
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


def is_first(mesh: Mesh | None) -> bool:
    """Whether this process is the one that writes and speaks for all processes of a mesh; true of no mesh."""
    return processes_of(mesh)[:1] in ([], [jax.process_index()])


def mesh_of_own_devices(mesh: Mesh) -> Mesh:
    """The devices of this process that a mesh has, along the first of its axes."""
    own = [device for device in mesh.devices.flat if device.process_index == jax.process_index()]
    return Mesh(np.array(own).reshape(-1, *[1] * (mesh.devices.ndim - 1)), mesh.axis_names, axis_types=mesh.axis_types)


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

    arrays, structure = jax.tree.flatten(tree)
    elsewhere = {
        place: array
        for place, array in enumerate(arrays)
        if not (array.is_fully_addressable or array.is_fully_replicated)
    }
    if elsewhere:  # all by one program
        for place, array in _replicating(mesh)(elsewhere).items():
            arrays[place] = array
    return jax.tree.unflatten(structure, map(np.asarray, arrays))


@functools.cache
def _replicating(mesh: Mesh) -> Callable[[dict[int, jax.Array]], dict[int, jax.Array]]:
    return jax.jit(lambda arrays: arrays, out_shardings=NamedSharding(mesh, PartitionSpec()))


def from_each_process(row: np.ndarray) -> np.ndarray:
    """What each process has to say; all of them call this.

    Args:
        row: of this process; of the same shape and type in all.

    Returns:
        ``[processes, *row.shape]``.
    """
    return gathered(_one_device_of_each(), _row_of_each(row))


def _row_of_each(row: np.ndarray) -> jax.Array:
    mesh = _one_device_of_each()
    sharding = NamedSharding(mesh, PartitionSpec("process"))
    return jax.make_array_from_callback((mesh.size, *row.shape), sharding, lambda index: row[None], dtype=row.dtype)


def texts_from_each_process(mesh: Mesh | None, text: str) -> list[str]:
    """What each process of a mesh has to say in words; all of them call this. Without several, only the own words."""
    if not spans_processes(mesh):
        return [text]
    own = np.frombuffer(text.encode(), np.uint8)
    lengths = from_each_process(np.array(len(own), np.int32))
    padded = np.zeros(int(lengths.max()), np.uint8)
    padded[: len(own)] = own
    of_all = from_each_process(padded)
    return [row[:length].tobytes().decode() for row, length in zip(of_all, lengths, strict=True)]


def said_by_first(mesh: Mesh | None, text: str) -> str:
    """What the first process of a mesh says, in all of them; what the others say is lost. All of them call this."""
    return texts_from_each_process(mesh, text if is_first(mesh) else "")[0]


class AnyProcess:
    """Asks all processes of a mesh a question again and again, and never waits for the answer of the last time.

    What one of them notices, such as a signal, the others cannot know at once, and they have to act upon it at the same
    place of their program. So an answer is that of the call before; without several processes, that of this one.

    Args:
        mesh: its processes; all of them call this equally often.
    """

    def __init__(self, mesh: Mesh | None) -> None:
        self._several = spans_processes(mesh)
        self._asked: jax.Array | None = None

    def __call__(self, own: bool) -> bool:
        """Whether any process said yes when it was asked the last time; ``own`` is for the next time."""
        if not self._several:
            return own
        before, self._asked = self._asked, _greatest(_row_of_each(np.array(own, np.int32)))
        return before is not None and bool(np.asarray(before))

    def now(self, own: bool) -> bool:
        """Whether any process says yes; this one waits for the others."""
        self(own)
        return self(False) if self._several else own


@jax.jit
def _greatest(rows: jax.Array) -> jax.Array:
    return rows.max()


@functools.cache
def _one_device_of_each() -> Mesh:
    """The same in all processes, which a mesh that a user makes need not be."""
    first = {device.process_index: device for device in reversed(jax.devices())}
    return Mesh(np.array([first[process] for process in sorted(first)]), ("process",))


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
    if not spans_processes(mesh):
        yield
        return
    try:
        yield
    except Exception:
        from_each_process(np.zeros((), np.int32))
        raise
    went_well = from_each_process(np.ones((), np.int32))
    if not went_well.all():
        raise ProcessesError(f"process {np.argmin(went_well)} failed while {doing}; its own message says why")


def require_same(mesh: Mesh | None, facts: Mapping[str, Any]) -> None:
    """Check that all processes of a mesh are about to do the same; without several processes do nothing.

    Args:
        mesh: its processes; all of them call this.
        facts: what has to be the same in all, by what it is called; compared as text.

    Raises:
        ProcessesError: in all of them alike, naming what differs, and in which process.
    """
    if not spans_processes(mesh):
        return
    names = sorted(facts)
    # How many there are may differ, and arrays of other sizes cannot be exchanged: the names come first, in one digest.
    if others := _different([names]):
        differing = {"the options that are given": others[0]}
    else:
        differing = {names[place]: process for place, process in _different([*map(facts.get, names)]).items()}
    if differing:
        named = "; ".join(f"{name} in process {process}" for name, process in differing.items())
        raise ProcessesError(
            f"the processes do not ask for the same. Other than in process 0: {named}. Start all with the same "
            "arguments, model and versions"
        )


def _different(values: Sequence[Any]) -> dict[int, int]:
    """Places of values that are not those of process 0 everywhere, with the first process that has another there."""
    digests = np.stack([np.frombuffer(hashlib.sha256(repr(value).encode()).digest(), np.uint32) for value in values])
    of_all = from_each_process(digests)  # [processes, places, words]
    differs = (of_all != of_all[:1]).any(axis=-1)
    return {int(place): int(np.argmax(differs[:, place])) for place in np.flatnonzero(differs.any(axis=0))}
