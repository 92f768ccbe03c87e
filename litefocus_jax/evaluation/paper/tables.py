"""What the judges say of the sounds, and the tables that it makes."""

import dataclasses
import functools
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from litefocus_jax.evaluation.bootstrap import CONFIDENCE
from litefocus_jax.evaluation.comparison import Figure, Judges, evaluate
from litefocus_jax.evaluation.paper.sounds import Cell, Plan, kept
from litefocus_jax.evaluation.paper.subjects import Subjects
from litefocus_jax.evaluation.paper.variants import ORIGINAL, TABLES, TITLES
from litefocus_jax.evaluation.sounds import open_sounds
from litefocus_jax.system.files import write_json, write_text
from litefocus_jax.system.same_run import digest

ENOUGH_SOUNDS, ENOUGH_SEEDS = 96, 2
"""From which on a table is not marked as one of too few sounds."""

_FIGURES = "figures.json"
_METRICS = 3  # goes up when judges come to say more or other things of the same sounds, which are then judged again


@dataclasses.dataclass(frozen=True)
class Row:
    """One kind of attention at one length.

    Attributes:
        length: in training lengths.
        variant: the kind of attention.
        figures: what the judges say.
        seconds_per_sound: of denoising, or None where it was not measured.
    """

    length: int
    variant: str
    figures: tuple[Figure, ...]
    seconds_per_sound: float | None


def judged(
    cells: list[Cell],
    judges: Judges,
    weights: Mapping[str, str],
    subjects: Subjects,
    seconds: Mapping[int, Mapping[str, float]],
    *,
    bootstrap: int,
    on_cell: Callable[[str], None] = lambda what: None,
) -> tuple[list[Row], list[str]]:
    """Have the judges listen to every cell, but for those whose figures are kept from before.

    Args:
        cells: of complete sounds.
        judges: who listens.
        weights: where the weights of each judge came from.
        subjects: captions and recordings.
        seconds: that a sound takes to denoise, by length and name of the variant.
        bootstrap: sets to draw anew for the intervals.
        on_cell: told what comes next.

    Returns:
        A row for each cell, and what is to be known of the figures, in sentences.

    Raises:
        MetricError: as `evaluate`.
    """
    rows, notes, heard = [], {}, {}
    originals = {cell.length: cell.folder for cell in cells if cell.variant == ORIGINAL}
    captions = dict(zip(subjects.names, subjects.captions, strict=True))
    opened = functools.cache(functools.partial(open_sounds, silence_is_usable=True))
    for cell in cells:
        on_cell(f"{cell.length}x, {cell.variant.name}: listening")
        reference = subjects.recordings_at(cell.length)
        sounds = opened(cell.folder)
        is_compared = reference is not None and cell.variant != ORIGINAL and cell.length in originals
        baseline = opened(originals[cell.length]) if is_compared else None
        key = digest(
            json.dumps([_METRICS, dict(weights), bootstrap, subjects.digest]).encode(),
            *(
                sound.facts.digest.encode()
                for folder in (sounds, reference, baseline)
                for sound in (folder.sounds.values() if folder else ())
            ),
        )
        path = cell.folder / _FIGURES
        known = kept(path)
        if known.get("of") != key:
            texts = captions if judges.clap is not None else None
            found = evaluate(judges, sounds, reference, texts, baseline=baseline, bootstrap=bootstrap, heard=heard)
            figures = [dataclasses.asdict(figure) for figure in found.figures]
            known = {"of": key, "figures": figures, "notes": list(found.notes)}
            write_json(path, known)
        figures = tuple(
            Figure(**{**figure, "interval": figure["interval"] and tuple(figure["interval"])})
            for figure in known["figures"]
        )
        name = cell.variant.name
        rows.append(Row(cell.length, name, figures, seconds[cell.length].get(name)))
        notes |= dict.fromkeys(known["notes"])
    return rows, [note for note in notes if "resampled" not in note]


def table(number: int, rows: list[Row]) -> str:
    """One of the paper's tables as Markdown: the original first, at every length.

    Args:
        number: of the table.
        rows: of all cells.
    """
    names = [variant.name for variant in TABLES[number]]
    wanted = [row for row in rows if row.variant in names]
    columns = list(dict.fromkeys((figure.metric, figure.judge) for row in wanted for figure in row.figures))
    heads = ["length", "attention", *(f"{metric} ({judge})" for metric, judge in columns), "seconds per sound", "speed"]
    lines = [f"## Table {number}: {TITLES[number]}", "", _line(heads), "|---" * len(heads) + "|"]
    for row in wanted:
        found = {(figure.metric, figure.judge): figure for figure in row.figures}
        cells = [_figure(found.get(column)) for column in columns]
        lines.append(_line([f"{row.length}x", row.variant, *cells, _seconds(row), _speed(row, rows)]))
    return "\n".join(lines) + "\n"


def write_tables(
    folder: Path, tables: tuple[int, ...], rows: list[Row], plan: Plan, facts: Mapping[str, Any], notes: list[str]
) -> str:
    """Write ``tables.md`` for people and ``tables.json`` for programs; returns the first.

    Args:
        folder: of the report.
        tables: their numbers.
        rows: of all cells.
        plan: what was made.
        facts: what it was made and measured on, in words, by name.
        notes: what is to be known of the figures.
    """
    lines = ["# The paper's tables", "", *(f"- {name}: {value}" for name, value in facts.items()), ""]
    if marks := too_few(plan):
        lines += [f"**{marks}**", ""]
    lines += [
        f"Figures with intervals of {CONFIDENCE:.0%} (basic bootstrap over sounds). Of KAD, FAD, FD and KL less is "
        "better, of IS and the CLAP score more. The baseline is the original at the same length: below 0 is better; "
        "the same captions are drawn for both. Seconds per sound are those of denoising: the median step times "
        "the number of steps, all kinds of attention timed in turns in one run. Speed is by how much that is faster "
        "than the original at the same length.",
        "",
    ]
    lines += [table(number, rows) for number in tables]
    lines += ["## Notes", "", *(f"- {note}" for note in notes), ""] if notes else []
    text = "\n".join(lines)
    described = [dataclasses.asdict(row) for row in rows]
    write_json(folder / "tables.json", {"facts": dict(facts), "plan": dataclasses.asdict(plan), "rows": described})
    write_text(folder / "tables.md", text)
    return text


def too_few(plan: Plan) -> str | None:
    """What is to be said of tables of few sounds, or None."""
    if plan.sounds >= ENOUGH_SOUNDS and plan.seeds >= ENOUGH_SEEDS:
        return None
    seeds = f"{plan.seeds} seed{'' if plan.seeds == 1 else 's'}"
    enough = f"{ENOUGH_SOUNDS} of {ENOUGH_SEEDS} or more"
    return f"Too few to conclude from: {plan.sounds} sounds of {seeds}; expected {enough}."


def _line(cells: list[str]) -> str:
    return f"| {' | '.join(cells)} |"


def _figure(figure: Figure | None) -> str:
    if figure is None:
        return ""
    if figure.interval is None:
        return f"{figure.value:.4g}"
    return f"{figure.value:.4g} ({figure.interval[0]:.4g} to {figure.interval[1]:.4g})"


def _seconds(row: Row) -> str:
    return "not measured" if row.seconds_per_sound is None else f"{row.seconds_per_sound:.3g}"


def _speed(row: Row, rows: list[Row]) -> str:
    """How many times as long the original takes."""
    original = next((r for r in rows if r.length == row.length and r.variant == ORIGINAL.name), None)
    if original is None or original.seconds_per_sound is None or row.seconds_per_sound is None:
        return ""
    return f"{original.seconds_per_sound / row.seconds_per_sound:.2f}x"
