"""Which sounds of a request a process decodes and gives back, and with which devices."""

from collections.abc import Mapping
from typing import Any, NamedTuple

import jax
from jax.sharding import Mesh

from litefocus_jax.parallel.processes import mesh_of_own_devices, processes_of, spans_processes


class Share(NamedTuple):
    """What a process decodes.

    Attributes:
        numbers: of the sounds.
        mesh: devices that share the decoding; None for one.
    """

    numbers: range
    mesh: Mesh | None


def share_of_process(mesh: Mesh | None, sounds: int, *, gather: bool) -> Share:
    """What this process decodes of the sounds of a request.

    Args:
        mesh: of the request.
        sounds: how many there are.
        gather: whether every process is to have all of them, which all decode together; or else each a run of them that
            no other has, and which it decodes with its own devices.
    """
    numbers = range(sounds)
    if mesh is not None and not gather and spans_processes(mesh):
        processes = processes_of(mesh)
        place, count = processes.index(jax.process_index()), len(processes)
        numbers = range(-(-place * sounds // count), -(-(place + 1) * sounds // count))
        mesh = mesh_of_own_devices(mesh)
    return Share(numbers, None if mesh is None or mesh.size == 1 else mesh)


def check_run_over_processes(mesh: Mesh | None, run: Mapping[str, Any]) -> None:
    """Refuse what several processes cannot do alike.

    Args:
        mesh: of the request.
        run: the options of the run.

    Raises:
        TypeError: when ``gather`` is neither true nor false.
        ValueError: for callbacks, which may end one process and not the others, and for ranking where no process has
            all sounds.
    """
    if not isinstance(run["gather"], bool):
        raise TypeError(f"gather = {run['gather']!r}; expected True or False")
    if not spans_processes(mesh):
        return
    for name in ("callback", "callback_on_step_end"):
        if run[name] is not None:
            raise ValueError(
                f"{name} is given, and the mesh has devices of {len(processes_of(mesh))} processes; a callback may do "
                "something else in each of them: leave it out, or take a mesh of one process"
            )
    if run["rank"] and not run["gather"]:
        raise ValueError("rank=True with gather=False: no process has all waveforms of a prompt; expected gather=True")
