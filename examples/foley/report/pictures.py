"""Pictures of the model card: what becomes of the sound beyond the training length, and the loss of every stage."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from examples.foley.measure.variants import SCALED, SYNTHESISED
from litefocus_jax.system.files import written_beside

_PANELS = {
    "frechet": "Frechet distance (lower is better)",
    "right": "right by the classifier",
    "clap": "CLAP similarity",
    "seconds": "seconds per sound",
}
_MOST_POINTS = 200
_MOST_IN_A_LINE = 5  # of the legend


def draw_lengths(
    path: Path, rows: Sequence[Mapping[str, Any]], *, figures: Sequence[str] = ("frechet", "right", "clap")
) -> None:
    """Draw figures against the length, a line for each variant, with the deviation over seeds as bars.

    A variant with scaled scores is a dashed line in the colour of the one without. Where a figure was not measured
    there is no point, and no panel where it never was.

    Args:
        path: of the PNG.
        rows: as `evaluation.Evaluation.run` returns them under ``lengths``.
        figures: of `summaries.LENGTH_FIGURES`, a panel for each.
    """
    # Not pyplot, which picks a window system and keeps every figure alive.
    from matplotlib.figure import Figure

    figures = [name for name in figures if any(row[name] is not None for row in rows)]
    figure = Figure(figsize=(4.0 * len(figures), 3.8), layout="constrained")
    panels = figure.subplots(1, len(figures), squeeze=False)[0]
    styles = _styles(list(dict.fromkeys(row["variant"] for row in rows)))
    for axes, name in zip(panels, figures, strict=True):
        for number, (variant, style) in enumerate(styles.items()):
            measured = [row for row in rows if row["variant"] == variant and row[name] is not None]
            # Shifted a little from one another, so that the bars can be told apart.
            places = [row["multiple"] * 1.02**number for row in measured]
            means = [row[name]["mean"] for row in measured]
            deviations = [row[name]["deviation"] or 0.0 for row in measured]
            axes.errorbar(places, means, deviations, marker="o", markersize=4, capsize=2, label=variant, **style)
        multiples = sorted({row["multiple"] for row in rows})
        axes.set_xscale("log", base=2)
        axes.set_xticks(multiples, [f"{multiple}x" for multiple in multiples])
        axes.minorticks_off()
        if name == "seconds":
            axes.set_yscale("log")  # with ticks within a decade
        axes.set(xlabel="training lengths", title=_PANELS[name])
        axes.spines[["top", "right"]].set_visible(False)
    handles, labels = panels[0].get_legend_handles_labels()
    columns = max(1, min(len(labels), _MOST_IN_A_LINE))
    figure.legend(handles, labels, frameon=False, loc="outside lower center", ncols=columns)
    _save(path, figure)


def _styles(variants: Sequence[str]) -> dict[str, dict[str, str]]:
    """Colour and line of each variant."""
    colours: dict[str, str] = {SYNTHESISED: "0.6"}
    for variant in variants:
        colours.setdefault(variant.removesuffix(SCALED), f"C{len(colours) - 1}")
    return {
        variant: {
            "color": colours[variant.removesuffix(SCALED)],
            "linestyle": "--" if variant == SYNTHESISED or variant.endswith(SCALED) else "-",
        }
        for variant in variants
    }


def draw_losses(path: Path, logs: Mapping[str, Sequence[Mapping[str, float]]]) -> None:
    """Draw the loss of each stage against its updates, averaged over neighbours where there are many.

    Args:
        path: of the PNG.
        logs: for each stage the entries of its log, with the keys ``step`` and ``loss``; at least one stage.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(3.2 * len(logs), 2.8), layout="constrained")
    panels = figure.subplots(1, len(logs), squeeze=False)[0]
    for axes, (stage, entries) in zip(panels, logs.items(), strict=True):
        steps, losses = thinned(entries)
        axes.plot(steps, losses, linewidth=1.2)
        if min(losses) > 0.0:
            axes.set_yscale("log")
        axes.set(xlabel="updates", title=stage)
        axes.spines[["top", "right"]].set_visible(False)
    panels[0].set_ylabel("loss")
    _save(path, figure)


def thinned(entries: Sequence[Mapping[str, float]]) -> tuple[list[float], list[float]]:
    """Steps and losses of a log, as means over neighbours: at most 200 points."""
    groups = np.array_split(np.arange(len(entries)), min(len(entries), _MOST_POINTS))
    steps = np.array([entry["step"] for entry in entries], float)
    losses = np.array([entry["loss"] for entry in entries], float)
    return [float(steps[group].mean()) for group in groups], [float(losses[group].mean()) for group in groups]


def _save(path: Path, figure: Any) -> None:
    with written_beside(path) as partial:
        figure.savefig(partial, format="png", dpi=150)
