"""Several prompts along one sound: what is to be heard from when on."""

import dataclasses
import itertools
from collections.abc import Sequence
from typing import Any

from litefocus_jax.diffusion.windows import WindowedDenoising, WindowLayout
from litefocus_jax.generation.checks import finite_number, said
from litefocus_jax.models.components import LatentGeometry

_OVERLAP = 0.2  # share of a training clip in which stretches are merged, as that of windows


@dataclasses.dataclass(frozen=True)
class Timeline:
    """Prompts, each of which holds until the next one begins.

    Attributes:
        starts_in_s: when each begins, in seconds, rising from 0.
        prompts: as many.
    """

    starts_in_s: tuple[float, ...]
    prompts: tuple[str, ...]

    def __str__(self) -> str:
        """As the command line takes it."""
        pairs = zip(self.starts_in_s, self.prompts, strict=True)
        return ", ".join(f"{start:.10g}:{prompt}" for start, prompt in pairs)

    @property
    def pairs(self) -> tuple[tuple[float, str], ...]:
        """As a call takes it."""
        return tuple(zip(self.starts_in_s, self.prompts, strict=True))

    def layout(self, windows: WindowLayout | None, frames: int, geometry: LatentGeometry) -> WindowLayout | None:
        """Windows that know which prompt holds where; None where one prompt holds for all.

        Args:
            windows: of the latents; without them, one holds all, and the network sees all of the sound.
            frames: of the latents.
            geometry: of the model.

        Raises:
            ValueError: when a prompt begins after the end, or holds for less than a latent frame.
        """
        stretches = tuple(round(start / geometry.frame_in_s) for start in self.starts_in_s)
        for start, first, end in zip(self.starts_in_s, stretches, (*stretches[1:], frames), strict=True):
            if first >= end:
                seconds = frames * geometry.frame_in_s
                raise ValueError(
                    f"timeline has a prompt from {start:g} s on, which leaves it nothing of the {seconds:g} s of "
                    "sound before the next one; expected a latent frame, "
                    f"{geometry.frame_in_s:g} s, or more: move it, or make the sound longer (audio_length_in_s, "
                    "--duration)"
                )
        if len(stretches) == 1:
            return windows
        if windows is None:
            overlap = max(1, round(_OVERLAP * min(frames, geometry.training_frames or frames)))
            windows = WindowLayout(WindowedDenoising().method, frames, frames, overlap, windows_per_call=1)
        return dataclasses.replace(windows, stretches=stretches)


def make_timeline(value: Any) -> Timeline | None:
    """The timeline that a user means.

    Raises:
        TypeError: when it is no list of pairs of a number and a text.
        ValueError: when it is empty, does not begin at 0, does not rise, or a prompt is empty.
    """
    if value is None:
        return None
    expected = "expected pairs of seconds and prompt, as in timeline=[(0.0, 'rain'), (20.0, 'birds')]"
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise TypeError(f"timeline is a {type(value).__name__}; {expected}")
    if not value:
        raise ValueError(f"timeline is empty; {expected}")
    starts, prompts = [], []
    for pair in value:
        if not isinstance(pair, Sequence) or isinstance(pair, str | bytes) or len(pair) != 2:
            raise TypeError(f"timeline holds {pair!r}; {expected}")
        if not isinstance(pair[1], str):
            raise TypeError(f"timeline holds {pair!r}; {expected}")
        starts.append(finite_number("timeline", pair[0]))
        prompts += said("timeline", pair[1])
    if starts[0] != 0.0:
        raise ValueError(f"timeline begins at {starts[0]:g} s; expected its first prompt at 0")
    for earlier, later in itertools.pairwise(starts):
        if later <= earlier:
            raise ValueError(f"timeline has {later:g} s after {earlier:g} s; expected seconds that rise")
    return Timeline(tuple(starts), tuple(prompts))
