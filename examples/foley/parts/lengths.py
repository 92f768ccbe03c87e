"""Batches of captions whose longest one is now short, now long."""

import numpy as np
from jaxtyping import Int


class LengthOrder:
    """Draws captions so that a batch's longest one is as long as a caption drawn at random.

    A prompt's length moves the positions of the vectors that GPT-2 generates, and of a batch's captions the longest
    counts. If batches were drawn at large, the model would only know the positions behind long captions. Each batch
    therefore has a longest length of its own, that of a random caption, and holds captions up to it.

    Args:
        lengths: of the captions, in tokens.
        repeats: how often each of them counts, once unless given.
    """

    def __init__(
        self, lengths: Int[np.ndarray, " captions"], repeats: Int[np.ndarray, " captions"] | None = None
    ) -> None:
        captions = np.argsort(lengths, kind="stable")
        self.captions = captions if repeats is None else np.repeat(captions, repeats[captions])
        self.lengths = lengths[self.captions]

    def draw(self, generator: np.random.Generator, size: int) -> Int[np.ndarray, " size"]:
        """The places of ``size`` captions; some may come twice."""
        longest = self.lengths[generator.integers(len(self.lengths))]
        candidates = self.captions[: np.searchsorted(self.lengths, longest, side="right")]
        return candidates[generator.integers(len(candidates), size=size)]
