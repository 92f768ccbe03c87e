"""Digests of the files of a folder, so that damage to any of them can be found later: ``digests.json`` beside them."""

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated

from litefocus_jax.checkpoint.errors import CheckpointError, listed, tensor_name
from litefocus_jax.system.files import write_json
from litefocus_jax.system.json_config import ConfigError, read_json
from litefocus_jax.system.messages import shown
from litefocus_jax.system.typed_json import Range, read_as

DIGESTS = "digests.json"
"""The file in a model's folder: SHA-256 of every other file, by its path in the folder, but of documents."""

_HEXADECIMAL = Annotated[str, Range(64, 64)]


def digests_of(folder: Path) -> dict[str, str]:
    """SHA-256 of the files in a folder, by path, but of `DIGESTS`, documents and hidden files; all of them are read."""
    files = sorted(
        path
        for path in folder.rglob("*")
        if path.is_file() and path.suffix != ".md" and path != folder / DIGESTS and not path.name.startswith(".")
    )
    return {path.relative_to(folder).as_posix(): _digest(path) for path in files}


def _digest(path: Path) -> str:
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def write_digests(folder: Path) -> None:
    """Write `DIGESTS` for the files that a folder has now.

    Raises:
        OSError: when it cannot be written.
    """
    write_json(folder / DIGESTS, digests_of(folder))


def verify(folder: Path) -> int | None:
    """Compare the files of a folder with its `DIGESTS`; all of them are read.

    Returns:
        The number of files that are as they were written, or None where there are no digests.

    Raises:
        CheckpointError: naming all files that are damaged, missing or new, or when `DIGESTS` is malformed.
    """
    path = folder / DIGESTS
    if not path.exists():
        return None
    try:
        stored = read_json(path)
        stored = {name: read_as(_HEXADECIMAL, value, f"{path}: {shown(name)}") for name, value in stored.items()}
    except (ConfigError, ValueError) as error:
        raise CheckpointError(str(error)) from None
    problems = differing_files(folder, stored)
    if problems:
        raise CheckpointError(f"{folder} is not as it was written:\n{listed(problems)}")
    return len(stored)


def differing_files(folder: Path, stored: Mapping[str, str]) -> list[str]:
    """The files of a folder that are not as some digests say, in words.

    Args:
        folder: whose files are all read.
        stored: digests by path in the folder.
    """
    found = digests_of(folder)
    problems = [f"{tensor_name(name)} is damaged" for name in stored if name in found and found[name] != stored[name]]
    problems += [f"{tensor_name(name)} is missing" for name in stored if name not in found]
    return problems + [f"{tensor_name(name)} was not written with it" for name in found if name not in stored]
