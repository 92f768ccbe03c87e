"""A part of the latents is known: it is held at every step, so that what is made of the rest goes with it.

Before each step the known frames are set to what they would be at its timestep, with one noise that never changes
(Lugmayr et al., "RePaint", arXiv 2201.09865, equation 8, without its resampling; and so diffusers' inpainting).
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from jaxtyping import Array, Float, Int

FEATHER = 3
"""Known frames beside one that is made anew which are held less and less."""


class Known(NamedTuple):
    """What is known of some latents.

    Attributes:
        latents: clean.
        noise: with which they are noised at all steps.
        weight: from 1 for frames that are held to 0 for those that are made anew.
        signal: standard deviation of the clean latents at every trained timestep.
        spread: of the noise, likewise.
    """

    latents: Float[Array, "sounds time frequency channels"]
    noise: Float[Array, "sounds time frequency channels"]
    weight: Float[Array, "sounds time 1 1"]
    signal: Float[Array, " timesteps"]
    spread: Float[Array, " timesteps"]


def hold(
    known: Known, latents: Float[Array, "sounds time frequency channels"], timestep: Int[Array, ""]
) -> Float[Array, "sounds time frequency channels"]:
    """The latents before a step: where they are known, as they would be at its timestep."""
    noised = known.signal[timestep] * known.latents + known.spread[timestep] * known.noise
    return known.weight * noised + (1.0 - known.weight) * latents


def hold_clean(
    known: Known, latents: Float[Array, "sounds time frequency channels"]
) -> Float[Array, "sounds time frequency channels"]:
    """The latents after the last step: where they are known, as they are."""
    return known.weight * known.latents + (1.0 - known.weight) * latents


def weight_of_frames(
    frames: int, spans: Sequence[tuple[int, int]], *, feather: int = FEATHER, loop: bool = False
) -> Float[np.ndarray, " frames"]:
    """How much each frame is held: 0 within the spans, rising to 1 over the frames beside them.

    >>> weight_of_frames(8, [(0, 2)]).tolist()
    [0.0, 0.0, 0.25, 0.5, 0.75, 1.0, 1.0, 1.0]

    Args:
        frames: of the latents.
        spans: first frame, and the one after the last, of what is made anew.
        feather: frames beside a span that are held in part.
        loop: whether the last frame stands before the first.
    """
    places = np.arange(frames)
    distance = np.full(frames, feather + 1)
    for start, end in spans:
        for turn in (-frames, 0, frames) if loop else (0,):
            before, after = start + turn - places, places - (end + turn - 1)
            distance = np.minimum(distance, np.maximum(0, np.maximum(before, after)))
    return (distance / (feather + 1)).astype(np.float32)
