"""The folder of an evaluation: ``report.json`` for programs and ``report.md`` for people."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import litefocus_jax
from litefocus_jax.evaluation.bootstrap import CONFIDENCE
from litefocus_jax.evaluation.comparison import Evaluation, Figure
from litefocus_jax.evaluation.sounds import SoundFolder
from litefocus_jax.system.files import replacement_folder, write_json, write_text

MARKER = "report.json"
"""By which an earlier report is recognised."""


@dataclasses.dataclass(frozen=True)
class Report:
    """An evaluation with what it was made of.

    Attributes:
        evaluation: what was found.
        generated: the sounds that were judged.
        reference: what they were compared with, or None.
        baseline: other sounds that they were held against, or None.
        captions: the table of captions, or None.
        weights: where the weights of each judge came from.
        bootstrap: sets that were drawn anew for the intervals.
        seed: of these draws.
    """

    evaluation: Evaluation
    generated: SoundFolder
    reference: SoundFolder | None
    baseline: SoundFolder | None
    captions: Path | None
    weights: Mapping[str, str]
    bootstrap: int
    seed: int

    def to_dict(self) -> dict[str, Any]:
        """The report as JSON."""
        return {
            "library_version": litefocus_jax.__version__,
            "generated": _described(self.generated),
            "reference": None if self.reference is None else _described(self.reference),
            "baseline": None if self.baseline is None else _described(self.baseline),
            "captions": None if self.captions is None else str(self.captions),
            "judges": dict(self.weights),
            "bootstrap": {"sets": self.bootstrap, "seed": self.seed, "confidence": CONFIDENCE},
            "figures": [dataclasses.asdict(figure) for figure in self.evaluation.figures],
            "notes": list(self.evaluation.notes),
        }

    def to_markdown(self) -> str:
        """The report as a document."""
        lines = ["# How good are these sounds?", "", _sentence("Sounds", self.generated)]
        if self.reference is not None:
            lines.append(_sentence("Recordings", self.reference))
        if self.baseline is not None:
            lines.append(_sentence("Baseline", self.baseline))
        if self.captions is not None:
            lines.append(f"- Captions: {self.captions}")
        lines += [f"- {name}: {source}" for name, source in self.weights.items()]
        lines += ["", self.table()]
        if self.bootstrap:
            lines += [
                f"Intervals of {CONFIDENCE:.0%} of the basic bootstrap, by {self.bootstrap} sets drawn anew from the "
                f"sounds (seed {self.seed}): how far a figure would move with other sounds of the same kind.",
                "",
            ]
        if self.evaluation.notes:
            lines += ["## Notes", "", *(f"- {note}" for note in self.evaluation.notes), ""]
        return "\n".join(lines)

    def table(self) -> str:
        """The figures, as a table of Markdown."""
        rows = ["| metric | judge | figure | interval | better |", "|---|---|---:|---|---|"]
        rows += [
            f"| {figure.metric} | {figure.judge} | {figure.value:.4g} | {_interval(figure)} | {figure.better} |"
            for figure in self.evaluation.figures
        ]
        return "\n".join(rows) + "\n"


def write_report(folder: Path, report: Report, *, overwrite: bool = False) -> None:
    """Write both files, or nothing.

    Args:
        folder: to write; may be missing or empty.
        report: what to write.
        overwrite: replace an earlier report.

    Raises:
        FileExistsError: when the folder exists and may not be replaced.
        OSError: when it cannot be written.
        ValueError: when a figure is NaN or infinite.
    """
    with replacement_folder(folder, overwrite=overwrite, marker=MARKER) as new:
        write_json(new / MARKER, report.to_dict())
        write_text(new / "report.md", report.to_markdown())


def _described(folder: SoundFolder) -> dict[str, Any]:
    return {
        "folder": str(folder.folder),
        "sounds": len(folder.sounds),
        "seconds": round(folder.seconds, 3),
        "sampling_rates": {str(rate): count for rate, count in folder.rates.items()},
    }


def _sentence(title: str, folder: SoundFolder) -> str:
    return f"- {title}: {folder.folder}, {len(folder.sounds)} of {folder.seconds:.4g} s together"


def _interval(figure: Figure) -> str:
    return "" if figure.interval is None else "{:.4g} to {:.4g}".format(*figure.interval)
