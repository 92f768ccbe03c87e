"""The kernel audio distance of two sets of sounds: KAD (arXiv 2502.15602), which small sets do not bias."""

import numpy as np
from jaxtyping import Array, Float, Float64

from litefocus_jax.evaluation.bootstrap import estimated
from litefocus_jax.evaluation.features import MetricError, check_alike, checked

_SCALE = 100.0  # kadtk's, so that figures are easy to read
_LEAST = 1e-8  # kadtk's, for a set whose sounds are all the same


def kernel_distance(
    generated: Float[Array | np.ndarray, "sounds features"],
    reference: Float[Array | np.ndarray, "others features"],
    *,
    bandwidth: float | None = None,
    paired: bool = False,
    bootstrap: int | None = None,
    seed: int = 0,
) -> float:
    """Kernel audio distance (arXiv 2502.15602, equation 4): 100 times the unbiased squared MMD. Less is better.

    Its kernel is ``exp(-|x - y|^2 / (2 bandwidth^2))``. The formula is that of kadtk. Being unbiased, the distance of
    two sets from the same world is as often a little below 0 as above.

    Args:
        generated: features of the sounds that are judged.
        reference: those of recordings; the bandwidth is theirs.
        bandwidth: width of the kernel; unless given, the median distance of two sounds of ``reference`` (the lower one
            of two middles, as in kadtk).
        paired: the n-th sound and the n-th recording belong together, as those of one caption do, and are alike beyond
            what their sets are. They are not compared (Gretton et al., "A Kernel Two-Sample Test", JMLR 2012, equation
            4), and are drawn together; otherwise sets of n pairs seem nearer than they are, by a part of one in n.
        bootstrap: sets to draw anew for an interval.
        seed: of these draws.

    Returns:
        The distance; an `Estimate` with ``bootstrap``, for which sounds drawn twice are not compared with themselves.

    Raises:
        MetricError: when an array is no finite ``[sounds, features]`` of two or more sounds, the features differ, or
            the bandwidth is not positive; and when there are unequal numbers of pairs.
    """
    sets = checked("generated", generated), checked("reference", reference)
    check_alike("generated", sets[0], "reference", sets[1], paired=paired)
    _check_bandwidth(bandwidth)
    within, among, across = (_squared_distances(a, b) for a, b in ((sets[0],) * 2, (sets[1],) * 2, sets))
    width = _median_distance(among) if bandwidth is None else bandwidth
    kernels = [_kernel(squares, width) for squares in (within, among, across)]

    def of_rows(first: np.ndarray, second: np.ndarray) -> float:
        between = kernels[2]
        compared = _mean_of_others(between, first) if paired else float(between[np.ix_(first, second)].mean())
        return _SCALE * (_mean_of_others(kernels[0], first) + _mean_of_others(kernels[1], second) - 2.0 * compared)

    rows = [np.arange(len(each)) for each in sets]
    return estimated(of_rows, rows, bootstrap=bootstrap, seed=seed, paired=paired)


def kernel_distance_difference(
    generated: Float[Array | np.ndarray, "sounds features"],
    baseline: Float[Array | np.ndarray, "sounds features"],
    reference: Float[Array | np.ndarray, "sounds features"],
    *,
    bandwidth: float | None = None,
    bootstrap: int | None = None,
    seed: int = 0,
) -> float:
    """By how much some sounds are farther from recordings than other sounds are; below 0 they are nearer.

    It is the difference of two `kernel_distance` of pairs. Its interval is far narrower than theirs, since the same
    captions are drawn for both: what a caption is like moves both distances, and not what is between them.

    Args:
        generated: features of the sounds that are judged.
        baseline: those of the sounds that they are held against, of the same captions in the same order.
        reference: those of recordings, likewise; the bandwidth is theirs.
        bandwidth: as for `kernel_distance`.
        bootstrap: sets of captions to draw anew for an interval.
        seed: of these draws.

    Raises:
        MetricError: as `kernel_distance`; and when there are unequal numbers of sounds.
    """
    sets = checked("generated", generated), checked("baseline", baseline), checked("reference", reference)
    for name, each in zip(("generated", "baseline"), sets, strict=False):
        check_alike(name, each, "reference", sets[2], paired=True)
    _check_bandwidth(bandwidth)
    width = _median_distance(_squared_distances(sets[2], sets[2])) if bandwidth is None else bandwidth
    kernels = [[_kernel(_squared_distances(each, other), width) for other in (each, sets[2])] for each in sets[:2]]

    def of_rows(rows: np.ndarray) -> float:
        ours, theirs = (
            _mean_of_others(within, rows) - 2.0 * _mean_of_others(across, rows) for within, across in kernels
        )
        return _SCALE * (ours - theirs)

    return estimated(of_rows, [np.arange(len(sets[0]))], bootstrap=bootstrap, seed=seed)


def _check_bandwidth(bandwidth: float | None) -> None:
    if bandwidth is not None and not 0.0 < bandwidth < np.inf:
        raise MetricError(f"bandwidth = {bandwidth!r}; expected a positive number")


def _kernel(squares: Float64[np.ndarray, "sounds others"], width: float) -> Float64[np.ndarray, "sounds others"]:
    return np.exp(-squares / (2.0 * width**2 + _LEAST))


def _squared_distances(
    first: Float64[np.ndarray, "sounds features"], second: Float64[np.ndarray, "others features"]
) -> Float64[np.ndarray, "sounds others"]:
    norms = np.square(first).sum(axis=1)[:, None] + np.square(second).sum(axis=1)
    return np.maximum(norms - 2.0 * first @ second.T, 0.0)


def _median_distance(squares: Float64[np.ndarray, "sounds sounds"]) -> float:
    pairs = np.sort(squares[np.triu_indices(len(squares), 1)])
    return float(np.sqrt(pairs[(len(pairs) - 1) // 2]))


def _mean_of_others(kernel: Float64[np.ndarray, "sounds sounds"], rows: np.ndarray) -> float:
    """Mean of the kernel over pairs of different sounds."""
    different = rows[:, None] != rows
    count = different.sum()
    return float(kernel[np.ix_(rows, rows)][different].sum() / count) if count else 0.0
