"""What has been measured so far, on disk line by line, so that a long evaluation can be interrupted."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from litefocus_jax.system.files import write_text

Cell = dict[str, Any]
Figures = dict[str, Any]


class Ledger:
    """A file of JSON lines: each a cell, which says what was measured on what, and the figures that came out.

    Args:
        path: of the file, which need not exist.

    Raises:
        ValueError: when a line, other than a last one that was cut short, is not such an entry.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._figures: dict[str, Figures] = {}
        lines = path.read_text(encoding="utf-8").split("\n") if path.exists() else [""]
        for number, line in enumerate(lines[:-1], 1):
            try:
                entry = json.loads(line)
                self._figures[_key(entry["cell"])] = dict(entry["figures"])
            except (json.JSONDecodeError, KeyError, TypeError, ValueError) as error:
                raise ValueError(
                    f"{path}, line {number}: {line!r}; expected a JSON object with a cell and its figures; "
                    "remove the line to have it measured again"
                ) from error
        if lines[-1]:
            # What was cut short would spoil the line that follows it.
            write_text(path, "".join(line + "\n" for line in lines[:-1]))

    def __contains__(self, cell: Cell) -> bool:
        return _key(cell) in self._figures

    def figures(self, cell: Cell, measure: Callable[[], Figures]) -> Figures:
        """The figures of a cell, measured and written down unless they have been before."""
        key = _key(cell)
        if key not in self._figures:
            figures = measure()
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a", encoding="utf-8") as file:
                file.write(json.dumps({"cell": cell, "figures": figures}) + "\n")
            self._figures[key] = figures
        return self._figures[key]


def _key(cell: Cell) -> str:
    return json.dumps(cell, sort_keys=True)
