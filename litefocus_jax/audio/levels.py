"""How loud a sound is, measured block by block."""

import itertools
import math
from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

SILENT_IN_DBFS = -60.0
"""Below this root mean square, a whole sound is called silent."""

STRETCH_IN_S = 0.5
"""Length of the stretch by whose level a sound is called loud or soft."""

MOST_GAIN_IN_DB = 40.0
"""Sound that is farther below a `LeastLevel` is no soft sound but none, and stays as it is."""


class LeastLevel(NamedTuple):
    """How loud a sound is to be at least.

    Attributes:
        in_dbfs: root mean square of its loudest stretch, see `loudest_stretch_in_dbfs`.
        sampling_rate: of the sound.
    """

    in_dbfs: float
    sampling_rate: int


class SilenceWarning(UserWarning):
    """A sound was made that is next to silent as a whole."""


def decibels(ratio: float) -> float:
    """Amplitude as decibels; minus infinity for none."""
    return 20.0 * math.log10(ratio) if ratio > 0.0 else -math.inf


def amplitude(level: float) -> float:
    """The inverse of `decibels`."""
    return 10.0 ** (level / 20.0)


def level_in_dbfs(waveform: Float[np.ndarray, " samples"]) -> float:
    """Root mean square of a sound in decibels of full scale, which is 1: a square wave at full scale has 0 dBFS."""
    meter = LevelMeter()
    meter.add(waveform)
    return meter.level_in_dbfs


def loudest_stretch_in_dbfs(waveform: Float[np.ndarray, "samples ..."], sampling_rate: int) -> float:
    """Root mean square of the loudest half second of a sound, in decibels of full scale; of all of it, if shorter.

    Of several channels it is the mean of their powers that counts.
    """
    if not len(waveform):
        return -math.inf
    powers = np.square(waveform, dtype=np.float64).reshape(len(waveform), -1).mean(axis=1)
    length = min(round(STRETCH_IN_S * sampling_rate), len(powers))
    sums = np.cumsum(np.concatenate([[0.0], powers]))
    return decibels(math.sqrt(max(0.0, (sums[length:] - sums[:-length]).max() / length)))


def made_audible(
    blocks: Iterable[Float[np.ndarray, "samples ..."]], least: LeastLevel
) -> Iterator[Float[np.ndarray, "samples ..."]]:
    """A sound that comes in one block, made louder where it is softer than it is to be; one in more of them as it is.

    A long sound goes to its file before its end is known, and has had time to be loud somewhere.

    Args:
        blocks: of one sound.
        least: how loud it is to be; its peaks stay within [-1, 1], and what is `MOST_GAIN_IN_DB` below stays as it is.
    """
    blocks = iter(blocks)
    first = next(blocks, None)
    if first is None:
        return
    gain = least.in_dbfs - loudest_stretch_in_dbfs(first, least.sampling_rate)
    if 0.0 < gain <= MOST_GAIN_IN_DB:
        second = next(blocks, None)
        if second is None:  # a click in silence may be loud itself
            first = first * np.float32(min(amplitude(gain), max(1.0, 1.0 / np.abs(first).max())))
        else:
            blocks = itertools.chain((second,), blocks)
    yield first
    yield from blocks


class LevelMeter:
    """Measures the level of a sound while its blocks pass by.

    Attributes:
        samples: how many there were, of each channel.
        peak: greatest magnitude of any sample of any channel.
    """

    def __init__(self) -> None:
        self.samples = 0
        self.peak = 0.0
        self._energy = 0.0
        self._values = 0

    def add(self, block: Float[np.ndarray, "samples ..."]) -> None:
        """Count a block in."""
        self.samples += len(block)
        self._values += block.size
        self.peak = max(self.peak, float(np.abs(block).max(initial=0.0)))
        self._energy += float(np.square(block, dtype=np.float64).sum())

    def passing(self, blocks: Iterable[Float[np.ndarray, "samples ..."]]) -> Iterator[Float[np.ndarray, "samples ..."]]:
        """The same blocks, each counted in as it passes."""
        for block in blocks:
            self.add(block)
            yield block

    @property
    def level_in_dbfs(self) -> float:
        """Root mean square of all that passed; minus infinity for zeros, or for nothing."""
        return decibels(math.sqrt(self._energy / self._values)) if self._values else -math.inf

    @property
    def is_silent(self) -> bool:
        """Whether the whole is below `SILENT_IN_DBFS`."""
        return self.level_in_dbfs < SILENT_IN_DBFS


def silence_in_words(prompt: str, seed: int, waveform: int, level: float) -> str:
    """What to tell of a sound that is silent: which it is, and what to try.

    Args:
        prompt: what it was made of.
        seed: of it.
        waveform: its number among the sounds of that prompt and seed; said where it is not the first.
        level: in dBFS.
    """
    shown = prompt if len(prompt) <= 80 else f"{prompt[:79]}…"
    which = f"seed {seed}, waveform {waveform}" if waveform else f"seed {seed}"
    how = "nothing but zeros" if level == -math.inf else f"{level:.0f} dBFS as a whole"
    return f"{shown!r} ({which}) is next to silent, {how}: try another seed, other words, more steps or more guidance"
