"""How well sounds fit their captions, by a model that embeds both."""

import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.evaluation.bootstrap import estimated
from litefocus_jax.evaluation.features import MetricError, check_alike, checked


def clap_score(
    sounds: Float[Array | np.ndarray, "sounds features"],
    captions: Float[Array | np.ndarray, "sounds features"],
    *,
    bootstrap: int | None = None,
    seed: int = 0,
) -> float:
    """Mean cosine of CLAP's embeddings of each sound and of its caption, from -1 to 1. More is better.

    Args:
        sounds: embeddings of the sounds, of any length.
        captions: those of the captions that belong to them, in the same order.
        bootstrap: sets of pairs to draw anew for an interval.
        seed: of these draws.

    Raises:
        MetricError: when an array is no finite ``[sounds, features]``, they are not pairs, or an embedding is zero.
    """
    sets = checked("sounds", sounds, least=1), checked("captions", captions, least=1)
    check_alike("sounds", sets[0], "captions", sets[1], paired=True)
    lengths = [np.linalg.norm(each, axis=1) for each in sets]
    for name, length in zip(("sounds", "captions"), lengths, strict=True):
        if not length.all():
            raise MetricError(
                f"{name} holds an embedding of zeros, number {int(np.argmin(length))}; it has no direction"
            )
    cosines = (sets[0] * sets[1]).sum(axis=1) / (lengths[0] * lengths[1])
    return estimated(lambda drawn: float(drawn.mean()), [cosines], bootstrap=bootstrap, seed=seed)
