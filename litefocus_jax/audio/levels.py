"""How loud a sound is, measured block by block."""

import math
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float

SILENT_IN_DBFS = -60.0
"""Below this root mean square, a whole sound is called silent."""


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
