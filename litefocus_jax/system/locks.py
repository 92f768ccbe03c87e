"""Locks on files and folders, which the system releases when their process ends, in whatever way."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None


class InUseError(OSError):
    """A file or folder is being written by another process."""


def _try_lock(descriptor: int) -> bool:
    """Lock what is open, unless another process has; also true where the file system has no locks."""
    if fcntl is None:
        return True
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return True
    return True


@contextlib.contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the lock of a file or folder while the block runs. Nothing is written: the lock is the system's.

    Raises:
        InUseError: when another process holds it.
        OSError: when there is no such file or folder.
    """
    if fcntl is None:
        yield
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        if not _try_lock(descriptor):
            raise InUseError(f"{path} is in use by another process; wait for its end, or choose another place")
        yield
    finally:
        os.close(descriptor)


def is_abandoned(path: Path) -> bool:
    """Whether no process holds the lock of what was written under `locked`; where there are no locks, never."""
    if fcntl is None:
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0))
    except OSError:
        return False
    try:
        return _try_lock(descriptor)
    finally:
        os.close(descriptor)
