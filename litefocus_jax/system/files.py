"""Writing files and folders so that a reader never meets half of one."""

import contextlib
import errno
import glob
import json
import logging
import os
import re
import shutil
import uuid
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

from litefocus_jax.system.interruption import raise_if_interrupted, remembered_interruption
from litefocus_jax.system.locks import is_abandoned, locked

logger = logging.getLogger(__name__)

_LONGEST_NAME = 220  # bytes
_LEFT = re.compile(r"\.(.+)\.[0-9a-f]{8,12}\.(partial|new|old)", re.DOTALL)  # what a process that is killed leaves


def expanded(path: str | Path) -> Path:
    """A path with a leading ``~`` replaced by the folder of its user.

    Raises:
        ValueError: when there is no such user.
    """
    try:
        return Path(path).expanduser()
    except RuntimeError:
        raise ValueError(f"{path} begins with the name of a user who is not known here; write the folder out") from None


class UnwrittenError(OSError):
    """A file or folder could not be written; what was there before is as it was."""


@contextlib.contextmanager
def _naming(path: Path) -> Iterator[None]:
    """Have errors of the disk, which name hidden files or none, name what was to be written.

    Raises:
        UnwrittenError: in their place.
    """
    try:
        yield
    except OSError as error:
        is_own = error.filename is None or str(path.parent) in str(error.filename)
        if error.errno is None or isinstance(error, FileExistsError) or not is_own:
            raise
        unwritten = UnwrittenError(f"{path} cannot be written: {error.strerror}; nothing is lost")
        unwritten.errno = error.errno
        raise unwritten from error


@contextlib.contextmanager
def written_beside(path: Path, *, overwrite: bool = True) -> Iterator[Path]:
    """A path beside the destination, which takes its place when the block ends without an exception.

    It is on the disk, and not only in the system's memory, before it does. Folders on the way are made, and what
    earlier processes that were killed left for this destination is removed.

    Args:
        path: the destination.
        overwrite: whether a file that is there by then is replaced.

    Raises:
        FileExistsError: when it is there and may not be replaced.
        UnwrittenError: when the disk is full, read-only, or gone.
    """
    with _naming(path):
        path.parent.mkdir(parents=True, exist_ok=True)
        sweep(path)
        partial = path.with_name(f".{_short(path.name)}.{uuid.uuid4().hex[:8]}.partial")
        partial.touch(exist_ok=False)
        try:
            with locked(partial):
                yield partial
                _to_disk(partial)
            raise_if_interrupted()
            if overwrite:
                partial.replace(path)
            else:
                _place(partial, path)
            _to_disk(path.parent)
        finally:
            partial.unlink(missing_ok=True)


def _place(partial: Path, path: Path) -> None:
    """Give a file its name unless another has it."""
    try:
        try:
            path.hardlink_to(partial)
        except FileExistsError:
            raise
        except OSError:  # a file system without hard links
            if path.exists() or path.is_symlink():
                raise FileExistsError from None
            partial.replace(path)
    except FileExistsError:
        raise FileExistsError(f"{path} exists: another process wrote it in the meantime; it is left as it is") from None


def _short(name: str) -> str:
    """A name that leaves room for what is put around it, within the 255 bytes that file systems take."""
    while len(name.encode(errors="surrogateescape")) > _LONGEST_NAME:
        name = name[:-1]
    return name


def _to_disk(path: Path) -> None:
    """Wait until a file, or the entries of a folder, are on the disk; folders can be asked for that on Unix alone."""
    if os.name == "nt" and path.is_dir():
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in (errno.EINVAL, errno.EBADF, errno.ENOTSUP):  # file systems that have no such thing
            raise
    finally:
        os.close(descriptor)


def sweep(destination: Path) -> None:
    """Remove what processes that were killed left beside a destination: halves of it, and what it has replaced.

    What a running process writes is locked, and stays.
    """
    if destination.parent.is_dir():
        # By the beginning of their names first: a folder of sounds has thousands of entries, and is seen for each.
        prefix = glob.escape(f".{_short(destination.name)}.")
        _remove_left([destination], destination.parent.glob(f"{prefix}*"))


def sweep_all(destinations: Iterable[Path]) -> None:
    """`sweep` for many destinations, which looks once at each folder."""
    by_folder: dict[Path, list[Path]] = {}
    for destination in destinations:
        by_folder.setdefault(destination.parent, []).append(destination)
    for folder, those in by_folder.items():
        if folder.is_dir():
            _remove_left(those, folder.glob(".*"))


def _remove_left(destinations: Iterable[Path], paths: Iterable[Path]) -> None:
    """Remove those of some paths that were left beside one of the destinations."""
    by_name = {_short(destination.name): destination for destination in destinations}
    for path in paths:
        match = _LEFT.fullmatch(path.name)
        destination = match and by_name.get(match[1])
        if match is None or destination is None or not is_abandoned(path):
            continue
        if match[2] == "old" and not destination.exists():
            continue
        if path.is_dir():
            shutil.rmtree(path, ignore_errors=True)
        else:
            path.unlink(missing_ok=True)


def write_text(path: Path, text: str, *, overwrite: bool = True) -> None:
    """Write a text file in UTF-8, whole or not at all, as `written_beside` does."""
    with written_beside(path, overwrite=overwrite) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Mapping[str, Any], *, overwrite: bool = True) -> None:
    """Write a JSON object, whole or not at all, as `written_beside` does.

    Raises:
        ValueError: when a number is NaN or infinite, which JSON does not know.
    """
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n", overwrite=overwrite)


def check_destination(destination: Path, *, overwrite: bool, marker: str) -> None:
    """Refuse a destination that must not be written; for a caller with long work ahead.

    Args:
        destination: the folder to be written.
        overwrite: whether an earlier one may be replaced.
        marker: a file by which an earlier one is recognised; other folders are never replaced.

    Raises:
        FileExistsError: when it exists and may not be replaced.
    """
    put_back(destination)
    sweep(destination)
    if not destination.exists() and not destination.is_symlink():
        return
    if not destination.is_dir() or destination.is_symlink():
        raise FileExistsError(f"{destination} exists and is not a folder; choose another destination")
    if not any(destination.iterdir()):
        return
    if not (destination / marker).is_file():
        raise FileExistsError(
            f"{destination} exists and holds no {marker}, so it is not an earlier one and is never replaced; "
            "choose another destination"
        )
    if not overwrite:
        raise FileExistsError(f"{destination} exists; choose another destination, or overwrite it (--overwrite)")


def put_back(destination: Path) -> None:
    """Bring back a folder that was about to be replaced when the process was killed, between two renames.

    It is then beside its place under a hidden name. Whatever looks for a folder calls this first.
    """
    if destination.exists() or destination.is_symlink() or not destination.parent.is_dir():
        return
    hidden = [
        path for path in destination.parent.glob(f".{glob.escape(_short(destination.name))}.*.old") if path.is_dir()
    ]
    if hidden:
        newest = max(hidden, key=lambda path: path.stat().st_mtime)
        newest.rename(destination)
        logger.warning("%s was being replaced when the process was killed; the earlier one is back", destination)


@contextlib.contextmanager
def replacement_folder(destination: Path, *, overwrite: bool, marker: str) -> Iterator[Path]:
    """A new folder beside the destination, which takes its place when the block ends without an exception.

    On any exception, Ctrl-C included, the new folder is removed and the destination is as it was.

    Args:
        destination: the folder to be written; missing parents are made.
        overwrite: whether an earlier one may be replaced.
        marker: a file by which an earlier one is recognised; other folders are never replaced.

    Raises:
        FileExistsError: when the destination exists and may not be replaced.
        UnwrittenError: when it cannot be written.
    """
    with remembered_interruption(), _naming(destination):
        check_destination(destination, overwrite=overwrite, marker=marker)
        destination = destination.absolute()
        new_parents = [parent for parent in destination.parents if not parent.exists()]
        token = uuid.uuid4().hex[:12]
        new = destination.with_name(f".{_short(destination.name)}.{token}.new")
        old = destination.with_name(f".{_short(destination.name)}.{token}.old")
        try:
            new.mkdir(parents=True)
            with locked(new):
                yield new
                for path in [*new.rglob("*"), new]:
                    _to_disk(path)
                raise_if_interrupted()
                # Someone may have written the destination in the meantime.
                check_destination(destination, overwrite=overwrite, marker=marker)
                if destination.exists():
                    destination.rename(old)
                new.rename(destination)
                _to_disk(destination.parent)
        except BaseException:
            if old.exists() and not destination.exists():
                old.rename(destination)
            shutil.rmtree(new, ignore_errors=True)
            for parent in new_parents:
                with contextlib.suppress(OSError):
                    parent.rmdir()
            raise
        finally:
            if destination.exists():
                shutil.rmtree(old, ignore_errors=True)
