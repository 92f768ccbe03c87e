"""What is done to a sound before it becomes a file: all of it off unless asked for."""

import dataclasses
import math
from collections.abc import Iterator

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.loudness import BLOCK_IN_S
from litefocus_jax.audio.stages import (
    Blocks,
    FinishError,
    brought_to_loudness,
    brought_to_peak,
    faded,
    resampled,
    trimmed,
)

_PEAK_OF_LOUDNESS = -1.0  # dBTP: what EBU R 128 leaves as room for lossy formats


@dataclasses.dataclass(frozen=True, kw_only=True)
class Finish:
    """How sounds are finished, in the order of the attributes. As it is by default, it leaves them as they are.

    Attributes:
        trim: leave out silence at both ends: what lies before the first and after the last sample of -60 dBFS.
        sample_rate: samples per second of the file; the model's unless given.
        start_fade_in_s: seconds in which the sound rises from nothing.
        end_fade_in_s: seconds in which it falls to nothing.
        loudness_in_lufs: integrated loudness to bring it to (ITU-R BS.1770-4), as far as that leaves the true peak
            below ``peak_in_dbfs``, or -1 dBTP unless that is given.
        peak_in_dbfs: what its greatest sample becomes, in decibels of full scale; beside a loudness, what its true
            peak does not pass.

    Raises:
        TypeError: for a value of a wrong type.
        ValueError: naming the field, when a value is out of range.
    """

    trim: bool = False
    sample_rate: int | None = None
    start_fade_in_s: float = 0.0
    end_fade_in_s: float = 0.0
    loudness_in_lufs: float | None = None
    peak_in_dbfs: float | None = None

    def __post_init__(self) -> None:
        if not isinstance(self.trim, bool):
            raise TypeError(f"trim = {self.trim!r}; expected True or False")
        rate = self.sample_rate
        if rate is not None and (isinstance(rate, bool) or not isinstance(rate, int)):
            raise TypeError(f"sample_rate = {rate!r}; expected a whole number of samples per second, or None")
        if rate is not None and not 1000 <= rate <= 768_000:
            raise ValueError(f"sample_rate = {rate}; expected 1000 to 768000 samples per second")
        for name, least, most in (
            ("start_fade_in_s", 0.0, math.inf),
            ("end_fade_in_s", 0.0, math.inf),
            ("loudness_in_lufs", -70.0, 0.0),
            ("peak_in_dbfs", -60.0, 0.0),
        ):
            value = getattr(self, name)
            if value is None and least < 0.0:
                continue
            if isinstance(value, bool) or not isinstance(value, int | float):
                raise TypeError(f"{name} = {value!r}; expected a number")
            if not (math.isfinite(value) and least <= value <= most):
                allowed = "zero or more, and finite" if math.isinf(most) else f"{least:g} to {most:g}"
                raise ValueError(f"{name} = {value:g}; expected {allowed}")

    def check_length(self, seconds: float) -> None:
        """Refuse what cannot be done to a sound of a length, before it is made.

        Raises:
            FinishError: when it is shorter than its fades, or than what has a loudness.
        """
        fades = self.start_fade_in_s + self.end_fade_in_s
        if fades > seconds:
            raise FinishError(f"fades of {fades:g} s are longer than the sound, {seconds:g} s; ask for shorter ones")
        if self.loudness_in_lufs is not None and seconds < BLOCK_IN_S:
            raise FinishError(
                f"loudness is measured in blocks of {BLOCK_IN_S:g} s, and the sound is to have {seconds:g} s; make it "
                "longer, or ask for a peak instead (peak_in_dbfs, --peak)"
            )


NO_FINISH = Finish()
"""Sounds are left as they are."""


def finished(
    blocks: Blocks, sampling_rate: int, finish: Finish, *, name: str = "the sound"
) -> tuple[Iterator[Float[np.ndarray, "samples ..."]], int]:
    """Finish a sound that comes in blocks, and say its new sampling rate.

    What needs all of a sound before it can begin keeps it in a temporary file, four bytes a sample; memory does not
    grow with the sound.

    Args:
        blocks: the sound, float32; full scale is 1.
        sampling_rate: samples per second.
        finish: what to do.
        name: of the sound, for warnings that are logged.

    Returns:
        The blocks, made as they are asked for, and their sampling rate. Asking raises `FinishError` when the sound is
        silent or too short for what is to be done.
    """
    made = iter(blocks)
    rate = finish.sample_rate or sampling_rate
    if finish.trim:
        made = trimmed(made)
    if rate != sampling_rate:
        made = resampled(made, sampling_rate, rate)
    if finish.start_fade_in_s or finish.end_fade_in_s:
        made = faded(made, round(finish.start_fade_in_s * rate), round(finish.end_fade_in_s * rate))
    if finish.loudness_in_lufs is not None:
        peak = _PEAK_OF_LOUDNESS if finish.peak_in_dbfs is None else finish.peak_in_dbfs
        made = brought_to_loudness(made, rate, finish.loudness_in_lufs, peak, name)
    elif finish.peak_in_dbfs is not None:
        made = brought_to_peak(made, finish.peak_in_dbfs)
    return made, rate
