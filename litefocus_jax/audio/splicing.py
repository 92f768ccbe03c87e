"""A sound put back around what was made anew in it."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.waveforms import along_samples

CROSS_FADE_IN_S = 0.03
"""Of the sound that was given into what is made, and back, within each span."""


def spliced(
    blocks: Iterable[Float[np.ndarray, "samples ..."]],
    waveform: Float[np.ndarray, "samples ..."],
    spans: Sequence[tuple[int, int]],
    fade: int,
    *,
    loop: bool = False,
) -> Iterator[Float[np.ndarray, "samples ..."]]:
    """A sound whose spans come from elsewhere; outside of them it is what it was, to the bit.

    Within a span one fades out along a quarter of a cosine while the other fades in along one of a sine, so that the
    sum of their powers stays as it is (the two sounds have nothing to do with each other).

    Args:
        blocks: what was made, of the whole length.
        waveform: the sound itself, float32, of as many channels; around the beginnings and ends of spans, what
            fades out in them.
        spans: first sample, and the one after the last, of what is made anew; in order, apart from each other.
        fade: samples of each cross-fade; in a short span at most half of it. There is none at the ends of the sound.
        loop: whether the end runs on into the beginning, so that there is a cross-fade there too.
    """
    total = len(waveform)
    start = 0
    for block in blocks:
        end = start + len(block)
        mixed = np.array(waveform[start:end], np.float32)
        for span in spans:
            first, last = max(start, span[0]), min(end, span[1])
            if first >= last:
                continue
            share = along_samples(_share(np.arange(first, last), span, fade, (0, total), loop=loop), block)
            here = slice(first - start, last - start)
            kept = np.sqrt(1.0 - share**2) * mixed[here]
            mixed[here] = np.where(share == 1.0, block[here], kept + share * block[here])
        yield mixed
        start = end


def _share(
    places: np.ndarray, span: tuple[int, int], fade: int, ends: tuple[int, int], *, loop: bool
) -> Float[np.ndarray, " places"]:
    """The amplitude of what is made at some samples of a span."""
    fade = min(fade, (span[1] - span[0]) // 2)
    share = np.ones(len(places))
    if not fade:
        return share
    is_open = [edge == end and not loop for edge, end in zip(span, ends, strict=True)]
    # A loop's end and beginning may both lie within what is made anew: there it is not cut.
    distances = (places - span[0], span[1] - 1 - places)
    for distance, open_end in zip(distances, is_open, strict=True):
        if not open_end:
            rising = np.sin(np.pi / 2 * np.minimum(1.0, (distance + 0.5) / fade))
            share = np.where(distance < fade, np.minimum(share, rising), share)
    return share
