"""Several processes that JAX runs as one, each with devices of its own: how this one joins the others.

`jax.distributed` does the work. Where it cannot join, it ends the process from within C++ with a stack trace, which no
Python can catch; what can be found out before is an error here, and what cannot is said before that happens.
"""

import os
import socket
import sys
import threading
from collections.abc import Callable
from typing import NoReturn

import jax

from litefocus_jax.system.devices import start_jax

JOINING_TIMEOUT_IN_S = 120
"""Seconds that processes wait for each other unless something else is said."""

_GRACE_IN_S = 20  # by which JAX's own patience, which ends without a message, is longer than ours
_PROBE_IN_S = 3.0
_FAREWELL_IN_S = 60  # that a process which ends, or fails, waits for the others


class JoiningError(ValueError):
    """This process cannot join the others."""


def join_processes(
    coordinator: str | None = None,
    process_id: int | None = None,
    num_processes: int | None = None,
    *,
    timeout_in_s: int = JOINING_TIMEOUT_IN_S,
    give_up: Callable[[str], object] | None = None,
) -> None:
    """Join other processes, before JAX has looked for its devices; afterwards ``jax.devices()`` has those of all.

    Args:
        coordinator: address and port of process 0, ``"host:port"``, at which the processes find each other. Without it
            and the numbers, JAX reads all from its launcher: SLURM, Open MPI, Cloud TPU, Kubernetes.
        process_id: number of this process, from 0.
        num_processes: how many there are.
        timeout_in_s: seconds to wait for the others.
        give_up: told what is wrong when that time is over, in another thread, and ends the process; unless given, it is
            printed to standard error and the exit code is 1. JAX's waiting cannot be ended in another way.

    Raises:
        JoiningError: when the numbers do not fit each other or those of process 0, no launcher is found, or the
            coordinator's port cannot be had.
        RuntimeError: when JAX has started, or has joined others, already.
    """
    given = (coordinator, process_id, num_processes)
    if any(value is not None for value in given):
        _check(*given)
    if timeout_in_s < 1:
        raise JoiningError(f"timeout_in_s = {timeout_in_s}; expected at least 1 second")
    # It would take SIGTERM, by which a scheduler ends a command, and do nothing with it.
    jax.config.update("jax_enable_preemption_service", False)
    over = threading.Timer(
        timeout_in_s, lambda: (give_up or _end)(_reason(coordinator, process_id, num_processes, timeout_in_s))
    )
    over.daemon = True
    over.start()
    try:
        jax.distributed.initialize(
            coordinator,
            num_processes,
            process_id,
            initialization_timeout=timeout_in_s + _GRACE_IN_S,
            shutdown_timeout_seconds=_FAREWELL_IN_S,
        )
    except ValueError as error:
        raise JoiningError(
            f"no launcher that JAX knows started this process ({error}); start it by SLURM, Open MPI or on a TPU, or "
            "say coordinator, process_id and num_processes (--coordinator, --process-id, --num-processes)"
        ) from error
    except RuntimeError as error:
        if coordinator is None or "initialize" in str(error):  # which names the call that comes too late
            raise
        raise JoiningError(f"the processes cannot meet at {coordinator}: {error}") from error
    finally:
        over.cancel()
    start_jax()
    if num_processes is not None and jax.process_count() != num_processes:
        raise JoiningError(
            f"num_processes = {num_processes}, but process 0 waits for {jax.process_count()} in all; expected the same "
            "number in every process"
        )


def _check(coordinator: str | None, process_id: int | None, num_processes: int | None) -> None:
    """Refuse what cannot be, before anybody waits for it."""
    values = {"coordinator": coordinator, "process_id": process_id, "num_processes": num_processes}
    if missing := [name for name, value in values.items() if value is None]:
        raise JoiningError(f"not given: {', '.join(missing)}; expected {', '.join(values)} together, or none")
    assert coordinator is not None
    assert process_id is not None
    assert num_processes is not None
    host, _, port = coordinator.rpartition(":")
    if not host or not port.isdigit() or not 0 < int(port) < 2**16:
        raise JoiningError(f"coordinator = {coordinator!r}; expected host:port, such as 10.0.0.1:9911")
    if num_processes < 1:
        raise JoiningError(f"num_processes = {num_processes}; expected at least 1")
    if not 0 <= process_id < num_processes:
        raise JoiningError(
            f"process_id = {process_id}; expected 0 to {num_processes - 1}, another number in each of the "
            f"{num_processes} processes"
        )


def _reason(coordinator: str | None, process_id: int | None, num_processes: int | None, waited_in_s: int) -> str:
    """Why the others were not joined in time, as far as that can be found out."""
    if coordinator is None or process_id is None:
        return f"the processes of this launcher did not find each other within {waited_in_s} s"
    if process_id == 0:
        return (
            f"not all {num_processes} processes came to {coordinator} within {waited_in_s} s; expected one with each "
            f"process_id from 0 to {(num_processes or 1) - 1}, the same num_processes in all, and an address that "
            "they can reach"
        )
    host, _, port = coordinator.rpartition(":")
    try:
        socket.create_connection((host.strip("[]"), int(port)), timeout=_PROBE_IN_S).close()
    except OSError as error:
        return (
            f"process 0 cannot be reached at {coordinator} within {waited_in_s} s ({error}); expected its address and "
            "port, the same for all, and no firewall between"
        )
    return (
        f"process 0 answers at {coordinator}, but the processes were not complete within {waited_in_s} s; expected "
        f"one with each process_id from 0 to {(num_processes or 1) - 1}: another one may have taken {process_id}"
    )


def _end(reason: str) -> NoReturn:
    sys.stderr.write(f"error: {reason}\n")
    sys.stderr.flush()
    os._exit(1)
