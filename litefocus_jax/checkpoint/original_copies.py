"""The networks that an original checkpoint holds twice: whether both copies are the same."""

import numpy as np

from litefocus_jax.checkpoint.original_kinds import Kind
from litefocus_jax.checkpoint.original_shapes import CLAP, JOINT, T5
from litefocus_jax.checkpoint.tensors import LazyArray, Tensors

COPIES = (
    (
        "CLAP",
        CLAP,
        "clap.model.",
        "the one that conditions is taken, since sound is made with it; the other one only ranked waveforms",
    ),
    (
        "T5",
        T5,
        JOINT + "cond_stage_models.1.model.",
        "the one that the UNet reads at every step is taken, for GPT-2 too, which read the other one, so that the "
        "sound is not quite the authors'",
    ),
)
"""A network's name, what the keys of the copy that is taken begin with, those of the other one, and why."""


def notices_of_copies(tensors: Tensors, kind: Kind) -> tuple[str, ...]:
    """Compare the copies of CLAP and of T5, a tensor at a time; a line for each network whose copies differ.

    Where a file holds one of them alone, nothing is said.

    Args:
        tensors: by the authors' keys.
        kind: of the file.
    """
    notices = []
    for network, usually_taken, other, why in COPIES:
        taken = kind.place(usually_taken)
        names = [key.removeprefix(taken) for key in tensors if key.startswith(taken)]
        shared = [name for name in names if other + name in tensors]
        if not shared:
            continue
        differing, largest = 0, 0.0
        for name in shared:
            difference = _difference(tensors[taken + name], tensors[other + name])
            if difference is not None:
                differing, largest = differing + 1, max(largest, difference)
        if differing:
            notices.append(
                f"the two copies of {network}, {taken}* and {other}*, differ in {differing} of {len(shared)} tensors, "
                f"by at most {largest:.3g}: {why}"
            )
    return tuple(notices)


def _difference(first: np.ndarray | LazyArray, second: np.ndarray | LazyArray) -> float | None:
    """The largest difference between two tensors, or None where they are the same."""
    if first.shape != second.shape:
        return float("inf")
    one, other = np.asarray(first), np.asarray(second)
    if np.array_equal(one, other):
        return None
    return float(np.max(np.abs(one.astype(np.float64) - other.astype(np.float64))))
