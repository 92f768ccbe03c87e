"""How far two results may lie apart."""

from typing import Any

import numpy as np


def deviation(actual: Any, expected: Any) -> float:
    """Largest absolute difference, in standard deviations of what is expected."""
    expected, actual = np.asarray(expected, np.float64), np.asarray(actual, np.float64)
    assert actual.shape == expected.shape, f"shape {actual.shape}, expected {expected.shape}"
    return float(np.max(np.abs(actual - expected)) / np.std(expected))
