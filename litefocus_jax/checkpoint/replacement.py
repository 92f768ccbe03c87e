"""Write a folder whole or not at all."""

import contextlib
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path


def check_destination(destination: Path, *, overwrite: bool, marker: str) -> None:
    """Refuse a destination that must not be written; for a caller with long work ahead.

    Args:
        destination: the folder to be written.
        overwrite: whether an earlier one may be replaced.
        marker: a file by which an earlier one is recognised; other folders are never replaced.

    Raises:
        FileExistsError: when it exists and may not be replaced.
    """
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
