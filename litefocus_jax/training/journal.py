"""The log of a training: a line of JSON for an update."""

import json
import os
from pathlib import Path
from typing import Any

from litefocus_jax.system.files import write_text
from litefocus_jax.system.messages import shown


class Journal:
    """A file of JSON lines, each with the key ``step``.

    Args:
        path: of the file; made if it is missing. None writes nothing, for processes beside the one that does.
        after: number of updates that count; lines about later ones are removed, as is a line cut short.

    Attributes:
        last: the last line that is kept; empty where there is none.

    Raises:
        OSError: when the file cannot be written.
    """

    def __init__(self, path: Path | None, *, after: int) -> None:
        self._file = None
        self.last: dict[str, Any] = {}
        if path is None:
            return
        kept = [entry for entry in read_journal(path) if entry["step"] <= after]
        self.last = kept[-1] if kept else {}
        write_text(path, "".join(json.dumps(entry) + "\n" for entry in kept))
        self._file = path.open("a", encoding="utf-8")

    def write(self, **entry: Any) -> None:
        """Append a line, which other processes see at once."""
        if self._file is not None:
            self._file.write(json.dumps(entry) + "\n")
            self._file.flush()

    def close(self) -> None:
        """Put all lines on the disk."""
        if self._file is not None:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()

    def __enter__(self) -> "Journal":
        return self

    def __exit__(self, *exception: object) -> None:
        self.close()


def read_journal(path: Path) -> list[dict[str, Any]]:
    """The entries of a log, in order; none where there is no file.

    A last line without its end, as a process that was killed leaves it, is passed over.

    Raises:
        ValueError: when another line is not a JSON object with the number of its step.
    """
    if not path.exists():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    entries = []
    for number, line in enumerate(lines, 1):
        try:
            entry = json.loads(line)
            if type(entry["step"]) is not int:
                raise TypeError
        except (ValueError, KeyError, TypeError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: {shown(line)}; expected a JSON object with a step") from error
        entries.append(entry)
    return entries
