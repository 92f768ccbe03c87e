"""How sure a figure is: intervals from sets that are drawn anew from the sounds there are (Efron's bootstrap)."""

from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from litefocus_jax.evaluation.features import MetricError

CONFIDENCE = 0.95
"""Share of the sets drawn anew whose figures lie in an interval."""


class Estimate(float):
    """A figure with its interval; a float in every other way.

    Attributes:
        low: the lower end of the interval.
        high: the upper end.
        confidence: share of the figures of sets drawn anew that lie between the two.
    """

    low: float
    high: float
    confidence: float

    def __new__(cls, value: float, low: float, high: float, confidence: float = CONFIDENCE) -> Self:
        """Put a figure and its interval together."""
        made = super().__new__(cls, value)
        made.low, made.high, made.confidence = low, high, confidence
        return made

    def __getnewargs__(self) -> tuple[float, float, float, float]:  # pyright: ignore[reportIncompatibleMethodOverride]
        return float(self), self.low, self.high, self.confidence

    @property
    def interval(self) -> tuple[float, float]:
        """Both ends."""
        return self.low, self.high

    def __repr__(self) -> str:
        return f"{float(self):.6g} [{self.low:.6g}, {self.high:.6g}]"


def estimated(
    metric: Callable[..., float],
    sets: Sequence[np.ndarray],
    *,
    bootstrap: int | None,
    seed: int,
    paired: bool = False,
) -> float:
    """A metric of sets of sounds; with its interval where one is asked for.

    The interval is that of the basic bootstrap, `2 value - quantile`: distances of sets drawn anew are greater than
    that of the sets themselves, since sounds that come twice leave others out, and the percentiles of them would lie
    beside the figure.

    Args:
        metric: of as many arrays as there are sets.
        sets: of rows, each a sound.
        bootstrap: how many sets are drawn anew; None or 0 for no interval.
        seed: of the draws.
        paired: whether the n-th rows of all sets belong together, and are drawn together.

    Raises:
        MetricError: when ``bootstrap`` is no whole number from 0.
    """
    if bootstrap is not None and (isinstance(bootstrap, bool) or not isinstance(bootstrap, int) or bootstrap < 0):
        raise MetricError(f"bootstrap = {bootstrap!r}; expected a number of sets to draw, such as 1000, or None")
    value = metric(*sets)
    if not bootstrap:
        return value
    generator = np.random.default_rng(seed)
    found = []
    for _ in range(bootstrap):
        first = generator.integers(0, len(sets[0]), len(sets[0]))
        rows = [first if paired else generator.integers(0, len(each), len(each)) for each in sets]
        found.append(metric(*(each[chosen] for each, chosen in zip(sets, rows, strict=True))))
    beyond = (1.0 - CONFIDENCE) / 2.0
    lower, upper = np.quantile(found, (beyond, 1.0 - beyond))
    return Estimate(value, 2.0 * value - float(upper), 2.0 * value - float(lower))
