"""Whether all processes of a training see one folder."""

import contextlib
import time
import uuid
from pathlib import Path

from jax.sharding import Mesh

from litefocus_jax.parallel.processes import is_first, said_by_first, spans_processes, together

_PATIENCE_IN_S = 10.0  # file systems of a network may show new names late


class NotSharedError(OSError):
    """A process does not see what another one has written."""


def require_shared_folder(folder: Path, mesh: Mesh) -> None:
    """Check that all processes of a mesh see the folder of the first one; without several processes do nothing.

    Args:
        folder: that is there, by its path in this process.
        mesh: its processes; all of them call this.

    Raises:
        NotSharedError: in a process that does not see it.
        ProcessesError: in the others, naming that process.
    """
    if not spans_processes(mesh):
        return
    with contextlib.ExitStack() as stack:
        name = f".seen-by-all-{uuid.uuid4().hex[:12]}"
        with together(mesh, f"writing to {folder}"):
            if is_first(mesh):
                stack.callback((folder / name).unlink, missing_ok=True)
                (folder / name).touch()
        name = said_by_first(mesh, name)
        with together(mesh, f"looking for {folder}, which all processes have to see"):
            wait_for(folder / name, f"{folder} is not the folder that process 0 writes to")


def wait_for(path: Path, problem: str) -> None:
    """Wait a few seconds until a file or folder of another process is seen.

    Raises:
        NotSharedError: when it is not, beginning with the problem.
    """
    until = time.monotonic() + _PATIENCE_IN_S
    while not path.exists():
        if time.monotonic() > until:
            raise NotSharedError(f"{problem}; expected a folder that all hosts share, such as one on NFS or Lustre")
        time.sleep(0.05)
