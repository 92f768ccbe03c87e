"""The batches of ``litefocus-jax batch``: which are done, which are taken, and what became of each."""

import csv
import dataclasses
import io
import json
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from litefocus_jax.cli.batches import Batch
from litefocus_jax.system.files import sweep, sweep_all, write_json, write_text
from litefocus_jax.system.leases import Leases
from litefocus_jax.system.same_run import differences, digest
from litefocus_jax.system.typed_json import parse_object

SETTINGS = "batch.json"
"""File in the folder that says how its sounds are made, so that no host makes others among them."""

REPORT = "report.csv"
"""Table of all sounds, written at the end."""

_HIDDEN = ".batch"  # leases, and what could not be made
_COLUMNS = ("file", "prompt", "negative_prompt", "transcription", "seed", "waveform", "state", "error")
_LONGEST_PAUSE_IN_S = 5.0


class UnmakeableError(ValueError):
    """A batch cannot be made by any host."""


@dataclasses.dataclass(frozen=True)
class Ended:
    """How the work ended.

    Attributes:
        made: sounds that this process made.
        there: sounds that are there, whoever made them.
        failed: sounds that cannot be made.
        left: sounds that others were still at; 0 where they were waited for.
    """

    made: int
    there: int
    failed: int
    left: int


class SharedWork:
    """Batches of sounds that hosts share through a folder.

    Args:
        folder: where the sounds go.
        batches: the same for every host.
        lost_after_in_s: see `Leases`.
    """

    def __init__(self, folder: Path, batches: Sequence[Batch], lost_after_in_s: float) -> None:
        self.folder, self._lost_after_in_s = folder, lost_after_in_s
        self._batches = {_name(batch, folder): batch for batch in batches}
        self._leases = Leases(folder / _HIDDEN, lost_after_in_s)

    @property
    def batches(self) -> list[Batch]:
        """All of them, in order."""
        return list(self._batches.values())

    @property
    def total(self) -> int:
        """Sounds of all of them."""
        return sum(len(batch.destinations) for batch in self._batches.values())

    @property
    def names(self) -> list[str]:
        """Of all of them, in order: the same on every host."""
        return list(self._batches)

    def agree(self, settings: Mapping[str, Any]) -> None:
        """Write down how sounds are made, or check that it is as another process wrote it.

        Raises:
            ValueError: when it is not, or the file is damaged.
            OSError: when the folder cannot be written.
        """
        path = self.folder / SETTINGS
        try:
            write_json(path, settings, overwrite=False)
        except FileExistsError:
            try:
                stored = parse_object(path.read_text(encoding="utf-8"), str(path))
            except ValueError:
                raise ValueError(f"{path} is damaged; expected what an earlier command wrote") from None
            if changes := differences(stored, settings):
                raise ValueError(
                    f"{self.folder} holds sounds that are made otherwise: {'; '.join(changes)}. Say the same, or "
                    "choose another folder"
                ) from None

    def do(self, make: Callable[[Batch], None], *, wait: bool, show: Callable[[int], None]) -> Ended:
        """Make what nobody has made and nobody is at, again and again until nothing is left.

        Args:
            make: makes the missing sounds of a batch. An `UnmakeableError` of it is what became of the batch, and is
                made known to the other hosts; any other error ends the work of this one.
            wait: until the others are done, so that the work of one that dies is taken over.
            show: is told how many sounds are there or cannot be.
        """
        made, left = 0, dict(self._batches)
        over = 0  # counted rather than looked for: each look at a folder that hosts share is slow
        while left:
            before = len(left)
            for name in self._in_own_order(left):
                batch = left[name]
                if self._is_over(name, batch):
                    over += len(left.pop(name).destinations)
                    continue
                with self._leases.taken(name) as is_taken:
                    if not is_taken:
                        continue
                    over += len(left.pop(name).destinations)
                    missing = self._missing(batch)
                    if missing and self.error_of(name) is None:
                        self._make(name, batch, make)
                        made += len(missing) - len(self._missing(batch))
                show(over)
            if left and len(left) == before:
                if not wait:
                    break
                time.sleep(min(_LONGEST_PAUSE_IN_S, self._lost_after_in_s / 4))
        show(over)
        if over == self.total:
            self._tidy()
        missing = {name: len(self._missing(batch)) for name, batch in self._batches.items()}
        failed = sum(count for name, count in missing.items() if count and self.error_of(name) is not None)
        return Ended(made, self.total - sum(missing.values()), failed, self.total - over)

    def write_report(self) -> Path:
        """A table of all sounds, with the error of each that cannot be made."""
        text = io.StringIO(newline="")
        table = csv.DictWriter(text, _COLUMNS, lineterminator="\n")
        table.writeheader()
        for name, batch in self._batches.items():
            error = self.error_of(name)
            for order, destination in batch.sounds:
                is_there = destination.is_complete
                table.writerow({
                    "file": destination.sound.relative_to(self.folder).as_posix(),
                    "prompt": order.row.prompt,
                    "negative_prompt": order.row.negative_prompt or "",
                    "transcription": order.row.transcription or "",
                    "seed": order.seed,
                    "waveform": order.waveform,
                    "state": "made" if is_there else "missing" if error is None else "failed",
                    "error": "" if is_there else error or "",
                })  # fmt: skip
        write_text(self.folder / REPORT, text.getvalue())
        return self.folder / REPORT

    def error_of(self, name: str) -> str | None:
        """Why a batch cannot be made, if some host found that out."""
        try:
            return str(json.loads(self._failure(name).read_text(encoding="utf-8"))["error"])
        except (OSError, ValueError, LookupError, TypeError):
            return None

    def _make(self, name: str, batch: Batch, make: Callable[[Batch], None]) -> None:
        for destination in batch.destinations:
            for path in destination.files:
                sweep(path)
        try:
            make(batch)
        except UnmakeableError as error:
            write_json(self._failure(name), {"error": str(error)})

    def _tidy(self) -> None:
        """Remove what processes that were killed have left, once there is nothing more to make."""
        sweep_all(path for batch in self.batches for destination in batch.destinations for path in destination.files)
        for name in self._batches:
            self._leases.forget(name)
        self._leases.clear()

    def _failure(self, name: str) -> Path:
        return self.folder / _HIDDEN / f"{name}.failed.json"

    def _missing(self, batch: Batch) -> list[Path]:
        return [destination.sound for destination in batch.destinations if not destination.is_complete]

    def _is_over(self, name: str, batch: Batch) -> bool:
        return not self._missing(batch) or self.error_of(name) is not None

    def _in_own_order(self, names: Mapping[str, Batch]) -> list[str]:
        """Each process in an order of its own, so that two seldom want the same."""
        return sorted(names, key=lambda name: digest(f"{self._leases.owner} {name}".encode()))


def _name(batch: Batch, folder: Path) -> str:
    """The same on every host: by the names of its files."""
    return digest(*(file.sound.relative_to(folder).as_posix().encode() for file in batch.destinations))[:16]
