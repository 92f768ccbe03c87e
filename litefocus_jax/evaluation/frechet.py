"""The Frechet distance of two sets of sounds: FAD on VGGish's features, FD on those of PANNs."""

import dataclasses
import warnings
from collections.abc import Sequence
from typing import Self

import numpy as np
from jaxtyping import Array, Float, Float64

from litefocus_jax.evaluation.bootstrap import estimated
from litefocus_jax.evaluation.features import FewSoundsWarning, MetricError, check_alike, checked

_FEWEST_SIZES = 3  # a straight line through two points is no fit


@dataclasses.dataclass(frozen=True)
class Gaussian:
    """Mean ``[features]`` and covariance ``[features, features]`` of a set of features."""

    mean: Float64[np.ndarray, " features"]
    covariance: Float64[np.ndarray, "features features"]

    @classmethod
    def of(cls, features: Float[Array | np.ndarray, "sounds features"], name: str = "features") -> Self:
        """The Gaussian that fits a set; the covariance is the unbiased one.

        Raises:
            MetricError: when there are fewer than two sounds, or one is not finite.
        """
        array = checked(name, features)
        return cls(array.mean(axis=0), np.atleast_2d(np.cov(array, rowvar=False)))

    def distance(self, other: "Gaussian") -> float:
        """Squared 2-Wasserstein distance of two Gaussians, ``|m1 - m2|^2 + tr(C1 + C2 - 2 (C1 C2)^(1/2))``.

        The trace of the root is taken from the symmetric ``C1^(1/2) C2 C1^(1/2)``, which has the same eigenvalues and
        stays real.
        """
        values, vectors = np.linalg.eigh(self.covariance)
        root = (vectors * np.sqrt(np.maximum(values, 0.0))) @ vectors.T
        between = np.linalg.eigvalsh(root @ other.covariance @ root)
        trace = np.trace(self.covariance) + np.trace(other.covariance) - 2.0 * np.sqrt(np.maximum(between, 0.0)).sum()
        return max(0.0, float(np.sum(np.square(self.mean - other.mean)) + trace))


def frechet_distance(
    generated: Float[Array | np.ndarray, "sounds features"],
    reference: Float[Array | np.ndarray, "others features"],
    *,
    bootstrap: int | None = None,
    seed: int = 0,
) -> float:
    """Frechet audio distance (arXiv 1812.08466): how far the Gaussians of two sets are apart. Less is better.

    Equal to that of audioldm_eval, frechet_audio_distance and fadtk on the same features. Small sets are further apart
    than the worlds that they are drawn from: compare sets of one size only, or `frechet_distance_at_infinity`.

    Args:
        generated: features of the sounds that are judged.
        reference: those of recordings; the order does not matter.
        bootstrap: sets to draw anew for an interval.
        seed: of these draws.

    Returns:
        The squared distance; an `Estimate` with ``bootstrap``.

    Raises:
        MetricError: when an array is no finite ``[sounds, features]`` of two or more sounds, or the features differ.

    Warns:
        FewSoundsWarning: when there are no more sounds than features: the covariances are then singular.
    """
    sets = checked("generated", generated), checked("reference", reference)
    check_alike("generated", sets[0], "reference", sets[1], paired=False)
    _warn_of_few(*sets)
    return estimated(_distance, sets, bootstrap=bootstrap, seed=seed)


def frechet_distance_at_infinity(
    generated: Float[Array | np.ndarray, "sounds features"],
    reference: Float[Array | np.ndarray, "others features"],
    *,
    smallest: int | None = None,
    steps: int = 25,
    bootstrap: int | None = None,
    seed: int = 0,
) -> float:
    """The Frechet distance that endless sounds would have (Gui et al., arXiv 2311.01616, section 3.3).

    The distance is too great by about as much as one over the number of sounds. It is measured for growing numbers of
    them, and a straight line over ``1 / n`` is followed to 0. A number's sounds are drawn without replacement; fadtk
    draws with replacement, where sounds that come twice leave about the excess of the whole set in the result.

    Args:
        generated: features of the sounds that are judged.
        reference: those of recordings, all of which are used every time.
        smallest: the least number of sounds; a fifth of them unless given, and 2 at least. fadtk takes 500.
        steps: how many numbers, from the least to all.
        bootstrap: sets to draw anew for an interval.
        seed: of all draws.

    Raises:
        MetricError: as `frechet_distance`; or when ``smallest`` is not from 2 to the number of sounds, or there are
            fewer than three numbers.

    Warns:
        FewSoundsWarning: as `frechet_distance`.
    """
    sets = checked("generated", generated), checked("reference", reference)
    check_alike("generated", sets[0], "reference", sets[1], paired=False)
    count = len(sets[0])
    least = max(2, count // 5) if smallest is None else smallest
    if not 2 <= least < count:
        raise MetricError(f"smallest = {least} of {count} sounds; expected at least 2, and fewer than there are")
    if steps < _FEWEST_SIZES:
        raise MetricError(f"steps = {steps}; expected at least {_FEWEST_SIZES} numbers of sounds")
    _warn_of_few(*sets)
    sizes = np.linspace(least, count, steps).astype(int)

    def followed(drawn: np.ndarray, against: np.ndarray) -> float:
        generator, world = np.random.default_rng(seed), Gaussian.of(against)
        distances = [Gaussian.of(drawn[generator.permutation(count)[:size]]).distance(world) for size in sizes]
        return float(np.polyfit(1.0 / sizes, distances, 1)[1])

    return estimated(followed, sets, bootstrap=bootstrap, seed=seed)


def pooled_frechet_distance(
    generated: Sequence[Float[Array | np.ndarray, "pieces features"]],
    reference: Sequence[Float[Array | np.ndarray, "pieces features"]],
    *,
    bootstrap: int | None = None,
    seed: int = 0,
) -> float:
    """`frechet_distance` of judges that hear a sound in pieces, as VGGish does: the pieces of all sounds are pooled.

    Args:
        generated: features of the pieces of each sound that is judged.
        reference: those of recordings.
        bootstrap: sets to draw anew for an interval; what is drawn are sounds, with all of their pieces.
        seed: of these draws.

    Raises:
        MetricError: as `frechet_distance`, or when there is no sound.

    Warns:
        FewSoundsWarning: when there are no more pieces than features.
    """
    sets = []
    for name, sounds in (("generated", generated), ("reference", reference)):
        if not len(sounds):
            raise MetricError(f"{name} holds no sounds; expected the pieces of one or more")
        sets.append([checked(f"{name}[{number}]", pieces, least=1) for number, pieces in enumerate(sounds)])
    pooled = [checked(name, np.concatenate(each)) for name, each in zip(("generated", "reference"), sets, strict=True)]
    check_alike("generated", pooled[0], "reference", pooled[1], paired=False)
    _warn_of_few(*pooled, unit="pieces")

    def of_sounds(first: np.ndarray, second: np.ndarray) -> float:
        drawn = [np.concatenate([each[i] for i in rows]) for each, rows in zip(sets, (first, second), strict=True)]
        return _distance(*drawn)

    return estimated(of_sounds, [np.arange(len(each)) for each in sets], bootstrap=bootstrap, seed=seed)


def _distance(
    generated: Float64[np.ndarray, "sounds features"], reference: Float64[np.ndarray, "others features"]
) -> float:
    """The distance of the Gaussians of two sets.

    For few sounds it is had without the large covariances: with ``C = A^T A`` for each set, the trace of
    ``(C1 C2)^(1/2)`` is the sum of the singular values of ``A1 A2^T``, which has a row for each sound and a column for
    each other.
    """
    if min(len(generated), len(reference)) >= generated.shape[1]:
        return Gaussian.of(generated).distance(Gaussian.of(reference))
    means = [each.mean(axis=0) for each in (generated, reference)]
    first, second = (
        (each - mean) / np.sqrt(len(each) - 1) for each, mean in zip((generated, reference), means, strict=True)
    )
    trace = np.square(first).sum() + np.square(second).sum()
    trace -= 2.0 * np.linalg.svd(first @ second.T, compute_uv=False).sum()
    return max(0.0, float(np.square(means[0] - means[1]).sum() + trace))


def _warn_of_few(generated: np.ndarray, reference: np.ndarray, unit: str = "sounds") -> None:
    for name, features in (("generated", generated), ("reference", reference)):
        if len(features) <= features.shape[1]:
            warnings.warn(
                f"{name} holds {len(features)} {unit} of {features.shape[1]} features: their covariance is singular, "
                "and the Frechet distance says more of the number of sounds than of how they sound; use "
                "kernel_distance, or more sounds",
                FewSoundsWarning,
                stacklevel=3,
            )
