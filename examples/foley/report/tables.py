"""Tables of what was measured, in Markdown."""

from collections.abc import Mapping, Sequence
from statistics import median
from typing import Any

from examples.foley.measure.audibility import quietest
from examples.foley.measure.measures import Spread
from examples.foley.world.clips import TRAINING_SECONDS

NOT_MEASURED = "not measured"
CARD_FIGURES = ("frechet", "right", "clap")
"""Those of `summaries.LENGTH_FIGURES` that the model card shows."""

Results = Mapping[str, Any]

_FIGURES = {
    "frechet": ("Frechet distance", ".2f"),
    "right": ("classifier right", ".0%"),
    "clap": ("CLAP similarity", ".3f"),
    "seconds": ("seconds per sound", ".1f"),
}
"""What stands over the column of each of `summaries.LENGTH_FIGURES`, and how its numbers are written."""


def lengths_table(
    rows: Sequence[Mapping[str, Any]], *, figures: Sequence[str] = CARD_FIGURES, compared: str = "attention"
) -> str:
    """A row for each length and variant: mean and deviation over seeds of every figure.

    Args:
        rows: as `evaluation.Evaluation.run` returns them under ``lengths``.
        figures: of `summaries.LENGTH_FIGURES`.
        compared: what the variants are variants of.
    """
    if not rows:
        return f"{NOT_MEASURED.capitalize()}.\n"
    lines = [
        [
            f"{row['multiple']}x ({row['multiple'] * TRAINING_SECONDS:g} s)",
            row["variant"],
            *(spread_text(row, name, _FIGURES[name][1]) for name in figures),
        ]
        for row in sorted(rows, key=lambda row: row["multiple"])
    ]
    return table(["length", compared, *(_FIGURES[name][0] for name in figures)], lines)


def audible_table(levels: Mapping[str, Mapping[str, Sequence[float]]]) -> str:
    """A row for each kind: the loudest half second of its sounds, where that is least of all prompts and seeds.

    Args:
        levels: for each kind and prompt, in dBFS, one for each seed.
    """
    rows = []
    for name, prompts in levels.items():
        prompt, least = quietest(prompts)
        middle = median(level for found in prompts.values() for level in found)
        rows.append([name, f"{least:.0f}", f'"{prompt}"', f"{middle:.0f}"])
    return table(["kind", "quietest, dBFS", "prompt", "median, dBFS"], rows)


def table(names: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A Markdown table."""
    lines = [names, ["---"] * len(names), *rows]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def spread_text(figures: Mapping[str, Any] | None, name: str, form: str) -> str:
    """A spread as `Spread.text` writes it, or that there is none."""
    return NOT_MEASURED if figures is None or figures.get(name) is None else Spread(**figures[name]).text(form)


def circumstances(results: Results) -> str:
    """What was measured, and on what, as a paragraph; nothing where that is not known."""
    machine, config = results.get("machine"), results.get("config")
    where = f"Measured on {machine['processor']}, {machine['cores']} cores. " if machine else ""
    if config:
        pairs = f", {config['pairs']} pairs" if "pairs" in results else ""
        where += (
            f"{_sounds(config)} for {_seeds(config['seeds'])}{pairs}; "
            f"{config['steps']} steps of {config['scheduler']}, guidance {config['guidance_scale']:g}."
        )
    return f"{where.strip()}\n\n" if where else ""


def _sounds(config: Mapping[str, Any]) -> str:
    if isinstance(config["sounds"], int):
        return f"{config['sounds']} sounds"
    counts = zip(config["sounds"], config["multiples"], strict=True)
    return ", ".join(f"{count} sounds at {multiple}x" for count, multiple in counts)


def _seeds(count: int) -> str:
    return "one seed" if count == 1 else f"each of {count} seeds"
