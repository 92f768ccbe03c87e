"""What several seeds of an evaluation say together."""

import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

from examples.foley.measure.ledger import Cell, Figures
from examples.foley.measure.measures import Spread
from examples.foley.measure.variants import SYNTHESISED

LENGTH_FIGURES = ("frechet", "right", "clap", "seconds")
"""What is compared at every length: the last one is how long a sound takes."""

RIGHT = ("right", "right_of_one", "right_of_two")
"""How often all kinds are found, and the same by the number of kinds, which the card shows of one length alone."""

Found = Sequence[tuple[Cell, Figures]]


def length_rows(found: Found) -> list[dict[str, Any]]:
    """One row for each variant and multiple, with the spread of each figure over seeds."""
    grouped: dict[tuple[str, int], list[tuple[Cell, Figures]]] = {}
    for cell, figures in found:
        grouped.setdefault((cell["variant"], cell["multiple"]), []).append((cell, figures))
    names = dict.fromkeys((*LENGTH_FIGURES, *RIGHT))  # "right" is in both
    return [
        {"variant": variant, "multiple": multiple, **spreads(seeds, names)}
        for (variant, multiple), seeds in grouped.items()
    ]


def pairs_summary(found: Found, parameter: str) -> dict[str, Any]:
    """How often pairs of one parameter are in the right order, generated ones and synthesised ones."""
    of_parameter = [(cell, figures) for cell, figures in found if cell["parameter"] == parameter]

    def spread(of: str) -> dict[str, Any]:
        return spreads([(cell, figures) for cell, figures in of_parameter if cell["of"] == of], ["right"])["right"]

    return {of: spread(of) for of in ("generated", SYNTHESISED)}


def spreads(found: Found, names: Iterable[str]) -> dict[str, Any]:
    """The spread of each named figure over seeds; None where some seed lacks it."""

    def spread(name: str) -> dict[str, Any] | None:
        values = [figures.get(name) for _, figures in found]
        known = [value for value in values if value is not None]
        return dataclasses.asdict(Spread.of(known)) if len(known) == len(values) else None

    return {name: spread(name) for name in names}
