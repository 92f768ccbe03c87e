"""What metrics are computed on: arrays of what a judge heard, checked before they are used."""

import numpy as np
from jaxtyping import Float64


class MetricError(ValueError):
    """Arrays that a metric cannot be computed on."""


class FewSoundsWarning(UserWarning):
    """There are too few sounds for a metric to mean what it does for many."""


def checked(name: str, features: object, *, least: int = 2) -> Float64[np.ndarray, "sounds features"]:
    """Features in double precision.

    Args:
        name: of the argument, for messages.
        features: ``[sounds, features]``, of NumPy, JAX, PyTorch, or lists.
        least: sounds that there must be.

    Raises:
        MetricError: when they are no numbers, not two-dimensional, too few, or not finite.
    """
    try:
        array = np.asarray(features, np.float64)
    except (TypeError, ValueError) as error:
        raise MetricError(f"{name} holds no array of numbers ({error}); expected [sounds, features]") from error
    if array.ndim != 2 or array.shape[1] == 0:
        raise MetricError(f"{name} has the shape {list(array.shape)}; expected [sounds, features]")
    if len(array) < least:
        raise MetricError(f"{name} holds {len(array)} sounds; expected at least {least}")
    if not np.isfinite(array).all():
        rows = np.flatnonzero(~np.isfinite(array).all(axis=1))
        raise MetricError(f"{name} holds NaN or infinity, first in sound {rows[0]} (of {len(rows)}); leave those out")
    return array


def check_alike(first_name: str, first: np.ndarray, second_name: str, second: np.ndarray, *, paired: bool) -> None:
    """Refuse arrays of other features, and where each row has a partner, of another number of sounds.

    Raises:
        MetricError: with both shapes.
    """
    if first.shape[1] != second.shape[1]:
        raise MetricError(
            f"{first_name} has {first.shape[1]} features and {second_name} {second.shape[1]}; expected the same, "
            "from the same judge"
        )
    if paired and len(first) != len(second):
        raise MetricError(
            f"{first_name} holds {len(first)} sounds and {second_name} {len(second)}; expected pairs, in the same order"
        )
