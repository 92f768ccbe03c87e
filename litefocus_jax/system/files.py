"""Writing files and folders so that a reader never meets half of one."""

import contextlib
import glob
import json
import logging
import shutil
import uuid
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def written_beside(path: Path) -> Iterator[Path]:
    """A path beside the destination, which takes its place when the block ends without an exception.

    Folders on the way are made.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex[:8]}.partial")
    try:
        yield partial
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Write a text file in UTF-8, whole or not at all; folders on the way are made."""
    with written_beside(path) as partial:
        partial.write_text(text, encoding="utf-8")


def write_json(path: Path, values: Mapping[str, Any]) -> None:
    """Write a JSON object, whole or not at all; folders on the way are made.

    Raises:
        ValueError: when a number is NaN or infinite, which JSON does not know.
    """
    write_text(path, json.dumps(values, indent=2, allow_nan=False) + "\n")


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
    if not destination.exists() and not destination.is_symlink():
        return
    if not destination.is_dir() or destination.is_symlink():
        raise FileExistsError(f"{destination} exists and is not a folder; choose another destination")
    if not any(destination.iterdir()):
        return
    if not (destination / marker).is_file():
        raise FileExistsError(
            f"{destination} exists and holds no {marker}, so it is not an earlier model and is never replaced; "
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
    hidden = [path for path in destination.parent.glob(f".{glob.escape(destination.name)}.*.old") if path.is_dir()]
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
        OSError: when it cannot be written.
    """
    check_destination(destination, overwrite=overwrite, marker=marker)
    destination = destination.absolute()
    new_parents = [parent for parent in destination.parents if not parent.exists()]
    token = uuid.uuid4().hex[:12]
    new = destination.with_name(f".{destination.name}.{token}.new")
    old = destination.with_name(f".{destination.name}.{token}.old")
    try:
        new.mkdir(parents=True)
        yield new
        # Someone may have written the destination in the meantime.
        check_destination(destination, overwrite=overwrite, marker=marker)
        if destination.exists():
            destination.rename(old)
        try:
            new.rename(destination)
        except BaseException:
            if old.exists():
                old.rename(destination)
            raise
    except BaseException:
        shutil.rmtree(new, ignore_errors=True)
        for parent in new_parents:
            with contextlib.suppress(OSError):
                parent.rmdir()
        raise
    shutil.rmtree(old, ignore_errors=True)
