"""Work that any number of processes and hosts share through a folder: who has taken what, and what was left undone.

A lease is a small file. It is held as long as its holder touches it again and again; one that nobody has touched for a
while is lost, and another process takes the work over by making the lease of the next number, which only one of
several can make. Two holders of the same work, as after a holder that slept too long, do harm to nothing but time:
what they make is the same, and appears whole.
"""

import contextlib
import errno
import os
import re
import socket
import threading
import uuid
from collections.abc import Iterator
from pathlib import Path

from litefocus_jax.system.files import write_text
from litefocus_jax.system.locks import InUseError, is_abandoned, locked

_TOUCHES_PER_LEASE = 4  # a holder may miss some of them


class Leases:
    """The leases of one folder, as one process sees them.

    Args:
        folder: shared by all hosts; made when it is first needed.
        lost_after_in_s: seconds without a sign of life after which a lease is lost.

    Attributes:
        folder: where they lie.
        owner: of those that this process takes: its host, its number, and a token.
    """

    def __init__(self, folder: Path, lost_after_in_s: float) -> None:
        self.folder, self._lost_after_in_s = folder, lost_after_in_s
        self.owner = f"{socket.gethostname()} {os.getpid()} {uuid.uuid4().hex[:8]}"

    @contextlib.contextmanager
    def taken(self, name: str) -> Iterator[bool]:
        """Take some work for the length of the block; yields whether it could be had.

        The lease is given back at the end of the block, however that comes about, unless the process is killed.

        Args:
            name: of the work: letters, digits and hyphens.
        """
        path = self._take(name)
        if path is None:
            yield False
            return
        ended = threading.Event()
        keeper = threading.Thread(target=self._keep_touching, args=(path, ended), daemon=True)
        try:
            with _locked_if_possible(path):
                keeper.start()
                yield True
        finally:
            ended.set()
            self.forget(name)

    def is_held(self, name: str) -> bool:
        """Whether somebody, this process included, is at this work."""
        newest = self._newest(name)
        return newest is not None and not self._is_lost(newest)

    def forget(self, name: str) -> None:
        """Remove all leases of some work; for when it is done, or given back."""
        for path in self._all(name):
            path.unlink(missing_ok=True)

    def clear(self) -> None:
        """Remove the folder where nothing is left in it; for when all work is done."""
        for path in self.folder.glob(".*"):  # of a process that was killed as it took work, or looked at the time
            if is_abandoned(path):
                path.unlink(missing_ok=True)
        with contextlib.suppress(OSError):
            self.folder.rmdir()

    def _take(self, name: str) -> Path | None:
        newest = self._newest(name)
        if newest is not None and not self._is_lost(newest):
            return None
        number = 1 if newest is None else _number(newest) + 1
        path = self.folder / f"{name}.{number}.lease"
        try:
            # It appears with its owner in it: one without is nobody's that could be found dead.
            write_text(path, f"{self.owner}\n", overwrite=False)
        except FileExistsError:  # another process was faster
            return None
        except OSError as error:
            if error.errno != errno.ENOENT:  # else another one is at `clear`
                raise
            return None
        return path

    def _keep_touching(self, path: Path, ended: threading.Event) -> None:
        while not ended.wait(self._lost_after_in_s / _TOUCHES_PER_LEASE):
            with contextlib.suppress(OSError):  # the folder may be away for a while
                path.touch(exist_ok=True)

    def _is_lost(self, path: Path) -> bool:
        try:
            host, process = [*path.read_text(encoding="utf-8").split(" "), "", ""][:2]
            touched = path.stat().st_mtime
            if host == socket.gethostname() and is_abandoned(path) and not _runs(process):
                return True
            return self._time_of_folder() - touched > self._lost_after_in_s
        except (OSError, UnicodeDecodeError):  # gone in the meantime: given back
            return True

    def _time_of_folder(self) -> float:
        """Now, by the clock that the times of the folder's files are of: those of hosts differ."""
        probe = self.folder / f".{uuid.uuid4().hex}.probe"
        try:
            probe.touch()
            return probe.stat().st_mtime
        finally:
            probe.unlink(missing_ok=True)

    def _newest(self, name: str) -> Path | None:
        return max(self._all(name), key=_number, default=None)

    def _all(self, name: str) -> list[Path]:
        return [path for path in self.folder.glob(f"{name}.*.lease") if re.fullmatch(r"\d+", path.suffixes[-2][1:])]


@contextlib.contextmanager
def _locked_if_possible(path: Path) -> Iterator[None]:
    """Hold the lock of a lease, by which processes of the same machine know at once that its holder lives."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(InUseError, OSError):
            stack.enter_context(locked(path))
        yield


def _runs(process: str) -> bool:
    """Whether a process of this machine runs; asked on systems with locks alone, where signal 0 only asks."""
    try:
        os.kill(int(process), 0)
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    except PermissionError:  # it does, as another user
        return True
    return True


def _number(path: Path) -> int:
    return int(path.suffixes[-2][1:])
