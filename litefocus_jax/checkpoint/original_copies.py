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


_TIED = {"encoder.embed_tokens.weight": "shared.weight"}
"""Two names of one tensor of T5, of which a file may have either."""


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
        first, second = _below(tensors, taken), _below(tensors, other)
        if first and second and (differences := _differences(first, second)):
            notices.append(
                f"the two copies of {network}, {taken}* and {other}*, differ in {' and '.join(differences)}: {why}"
            )
    return tuple(notices)


def _below(tensors: Tensors, prefix: str) -> dict[str, np.ndarray | LazyArray]:
    """The tensors of one copy, by what is the same in both, each once."""
    names = {key.removeprefix(prefix): tensor for key, tensor in tensors.items() if key.startswith(prefix)}
    return {_TIED.get(name, name): tensor for name, tensor in names.items()}


def _differences(first: dict[str, np.ndarray | LazyArray], second: dict[str, np.ndarray | LazyArray]) -> list[str]:
    """What two copies differ in, in words."""
    shared = first.keys() & second.keys()
    found = [
        difference for name in sorted(shared) if (difference := _difference(first[name], second[name])) is not None
    ]
    words = []
    if found:
        finite = [difference for difference in found if np.isfinite(difference)]
        other_kind = len(found) - len(finite)
        words.append(
            f"{len(found)} of {len(shared)} tensors"
            + (f", by at most {max(finite):.3g}" if finite else "")
            + (f", {other_kind} of them in shape or by NaN or infinity" if other_kind else "")
        )
    # Numbers of places, which are stored or not by the release of transformers, say nothing.
    alone = [name for name in first.keys() ^ second.keys() if (first | second)[name].dtype.kind not in "biu"]
    if alone:
        words.append(f"{len(alone)} tensor{'s' if len(alone) > 1 else ''} that one of them lacks")
    return words


def _difference(first: np.ndarray | LazyArray, second: np.ndarray | LazyArray) -> float | None:
    """The largest difference between two tensors, or None where they are the same; not finite where it is no number."""
    if first.shape != second.shape:
        return float("inf")
    one, other = np.asarray(first), np.asarray(second)
    if np.array_equal(one, other):
        return None
    dtype = np.result_type(one.dtype, other.dtype, np.float32)
    with np.errstate(invalid="ignore"):  # the difference of two infinities
        difference = one.astype(dtype, copy=False) - other.astype(dtype, copy=False)
    return float(np.max(np.abs(difference, out=difference)))
