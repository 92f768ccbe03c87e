"""Metrics on what a classifier says of sounds: the divergence from recordings, and the Inception score."""

import itertools
from typing import Literal

import numpy as np
from jaxtyping import Array, Float, Float64
from scipy.special import expit, log_softmax, softmax

from litefocus_jax.evaluation.bootstrap import estimated
from litefocus_jax.evaluation.features import MetricError, check_alike, checked

_LEAST = 1e-6  # audioldm_eval's, added to the probabilities of generated sounds


def kl_divergence(
    generated: Float[Array | np.ndarray, "sounds classes"],
    reference: Float[Array | np.ndarray, "sounds classes"],
    *,
    activation: Literal["softmax", "sigmoid"] = "softmax",
    bootstrap: int | None = None,
    seed: int = 0,
) -> float:
    """How far what a classifier says of each sound is from what it says of its recording. Less is better.

    ``sum q (log q - log(p + 1e-6)) / sounds``, with ``q`` the recording's probabilities and ``p`` the sound's: that of
    audioldm_eval, and, with the softmax, of AudioGen (arXiv 2209.15352, section 5).

    Args:
        generated: the classifier's logits of the sounds that are judged.
        reference: those of the recordings that belong to them, in the same order.
        activation: what makes probabilities of logits: classes that exclude each other, or not.
        bootstrap: sets of pairs to draw anew for an interval.
        seed: of these draws.

    Raises:
        MetricError: when an array is no finite ``[sounds, classes]``, they are not pairs, or the activation is unknown.
    """
    sets = checked("generated", generated, least=1), checked("reference", reference, least=1)
    check_alike("generated", sets[0], "reference", sets[1], paired=True)
    if activation not in ("softmax", "sigmoid"):
        raise MetricError(f"activation = {activation!r}; expected 'softmax' or 'sigmoid'")
    sound, recording = (softmax(each, axis=1) if activation == "softmax" else expit(each) for each in sets)
    # A probability of 0 has no say, as the limit of q log q.
    logarithm = np.log(recording, out=np.zeros_like(recording), where=recording > 0.0)
    each = (recording * (logarithm - np.log(sound + _LEAST))).sum(axis=1)
    return estimated(_mean, [each], bootstrap=bootstrap, seed=seed)


def inception_score(
    generated: Float[Array | np.ndarray, "sounds classes"],
    *,
    splits: int = 10,
    shuffle: bool = True,
    bootstrap: int | None = None,
    seed: int = 2020,
) -> float:
    """Inception score (arXiv 1606.03498): how sure a classifier is of each sound, and how unlike they are.

    ``exp(mean KL(p(class | sound) || p(class)))``, its mean over parts of the set, which are shuffled as audioldm_eval
    does (by NumPy's ``RandomState(2020)``). More is better.

    Args:
        generated: the classifier's logits of the sounds.
        splits: number of parts; a part's ``p(class)`` is its own mean.
        shuffle: the sounds, before they are parted.
        bootstrap: sets to draw anew for an interval.
        seed: of the shuffling and the draws.

    Raises:
        MetricError: when the array is no finite ``[sounds, classes]``, or there are fewer sounds than parts.
    """
    logits = checked("generated", generated, least=1)
    if not 1 <= splits <= len(logits):
        raise MetricError(f"splits = {splits} for {len(logits)} sounds; expected from 1 to the number of sounds")
    if shuffle:
        logits = logits[np.random.RandomState(seed).permutation(len(logits))]
    return estimated(lambda drawn: _mean_score(drawn, splits), [logits], bootstrap=bootstrap, seed=seed)


def _mean_score(logits: Float64[np.ndarray, "sounds classes"], splits: int) -> float:
    edges = [part * len(logits) // splits for part in range(splits + 1)]
    parts = [logits[first:last] for first, last in itertools.pairwise(edges)]
    scores = []
    for part in parts:
        probabilities = softmax(part, axis=1)
        mean = probabilities.mean(axis=0)
        logarithm = np.log(mean, out=np.zeros_like(mean), where=mean > 0.0)
        scores.append(np.exp((probabilities * (log_softmax(part, axis=1) - logarithm)).sum(axis=1).mean()))
    return float(np.mean(scores))


def _mean(values: Float64[np.ndarray, " sounds"]) -> float:
    return float(values.mean())
