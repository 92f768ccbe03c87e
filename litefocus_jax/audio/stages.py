"""What can be done to a sound on its way to a file, each a generator from blocks to blocks.

Blocks are float32, ``[samples]`` or ``[samples, 2]``, of any lengths; none of the stages holds more than a few of them.
"""

import logging
import math
from collections.abc import Iterable, Iterator

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.levels import LevelMeter, amplitude, decibels
from litefocus_jax.audio.loudness import BLOCK_IN_S, measure_loudness
from litefocus_jax.audio.spool import Spool
from litefocus_jax.audio.waveforms import along_samples, channels_of

logger = logging.getLogger(__name__)

SILENT_PEAK_IN_DBFS = -60.0
"""Samples below this level count as silence at the ends of a sound."""

Blocks = Iterable[Float[np.ndarray, "samples ..."]]


class FinishError(ValueError):
    """A sound cannot be finished as it was asked for; it is silent or too short."""


def trimmed(blocks: Blocks) -> Iterator[Float[np.ndarray, "samples ..."]]:
    """Without what lies before the first and after the last sample of -60 dBFS or more.

    Raises:
        FinishError: when nothing would be left.
    """
    loud = amplitude(SILENT_PEAK_IN_DBFS)
    bounds: list[int] = []  # of what is loud
    samples = 0

    def listening() -> Iterator[np.ndarray]:
        nonlocal samples, bounds
        for block in blocks:
            places = np.flatnonzero((np.abs(block) >= loud).reshape(len(block), -1).any(axis=1))
            if places.size:
                bounds = [*(bounds[:1] or [samples + int(places[0])]), samples + int(places[-1]) + 1]
            samples += len(block)
            yield block

    with Spool(listening()) as spool:
        if not bounds:
            raise FinishError(
                f"trimming would leave nothing: no sample reaches {SILENT_PEAK_IN_DBFS:g} dBFS; try another seed or "
                "other words, or do not trim"
            )
        yield from spool.blocks(*bounds)


def resampled(blocks: Blocks, from_rate: int, to_rate: int) -> Iterator[Float[np.ndarray, "samples ..."]]:
    """At another number of samples per second, by soxr at its high quality."""
    import soxr

    resampler, nothing = None, np.zeros(0, np.float32)
    for block in blocks:
        if resampler is None:
            nothing = np.zeros((0, *block.shape[1:]), np.float32)
            resampler = soxr.ResampleStream(from_rate, to_rate, channels_of(block), dtype="float32")
        if (made := resampler.resample_chunk(np.ascontiguousarray(block))).size:
            yield made
    if resampler is not None and (made := resampler.resample_chunk(nothing, last=True)).size:
        yield made


def faded(blocks: Blocks, samples_at_start: int, samples_at_end: int) -> Iterator[Float[np.ndarray, "samples ..."]]:
    """Rising from nothing, and falling to nothing, along half a cosine.

    Raises:
        FinishError: when the sound is shorter than its two fades.
    """
    rising, falling = fade_curve(samples_at_start), fade_curve(samples_at_end)[::-1]
    held = np.zeros(0, np.float32)  # what may turn out to be the end
    done = 0
    for block in blocks:
        held = np.concatenate([held, block]) if held.size else block
        if (ready := len(held) - samples_at_end) > 0:
            yield _risen(held[:ready], rising, done)
            held, done = held[ready:], done + ready
    if done < samples_at_start or len(held) < samples_at_end:
        raise FinishError(
            f"the sound has {done + len(held)} samples; expected at least the {samples_at_start} + {samples_at_end} "
            "of its fades: ask for shorter fades"
        )
    if held.size:
        yield held * along_samples(falling, held)


def fade_curve(samples: int) -> Float[np.ndarray, " samples"]:
    """From near nothing to near 1, along half a cosine."""
    return (0.5 - 0.5 * np.cos(np.pi * (np.arange(samples) + 0.5) / max(samples, 1))).astype(np.float32)


def _risen(block: np.ndarray, rising: np.ndarray, done: int) -> np.ndarray:
    part = rising[done : done + len(block)]
    risen = block[: part.size] * along_samples(part, block)
    return np.concatenate([risen, block[part.size :]]) if part.size else block


def brought_to_peak(blocks: Blocks, peak_in_dbfs: float) -> Iterator[Float[np.ndarray, "samples ..."]]:
    """With a gain that brings the greatest sample to a level.

    Raises:
        FinishError: when the sound is silent.
    """
    meter = LevelMeter()
    with Spool(meter.passing(blocks)) as spool:
        if meter.peak < amplitude(SILENT_PEAK_IN_DBFS):
            raise FinishError(
                f"a peak of {peak_in_dbfs:g} dBFS cannot be had: the sound is silent, with a peak of "
                f"{decibels(meter.peak):.0f} dBFS; try another seed or other words"
            )
        gain = np.float32(amplitude(peak_in_dbfs) / meter.peak)
        yield from (block * gain for block in spool.blocks())


def brought_to_loudness(
    blocks: Blocks, sampling_rate: int, loudness_in_lufs: float, peak_in_dbtp: float, name: str
) -> Iterator[Float[np.ndarray, "samples ..."]]:
    """With a gain that brings integrated loudness to a level, or as near to it as the true peak allows.

    A sound that stays quieter, for the sake of its peak, is logged as a warning.

    Raises:
        FinishError: when the sound is silent, or too short to have a loudness.
    """
    wanted = f"a loudness of {loudness_in_lufs:g} LUFS cannot be had"
    meter = LevelMeter()
    with Spool(meter.passing(blocks)) as spool:
        seconds = meter.samples / sampling_rate
        if seconds < BLOCK_IN_S:
            raise FinishError(
                f"{wanted}: the sound has {seconds:.3g} s, and loudness is measured in blocks of {BLOCK_IN_S:g} s; "
                "make it longer, or ask for a peak instead (peak_in_dbfs, --peak)"
            )
        measured = measure_loudness(spool.blocks(), sampling_rate)
        if math.isinf(measured.integrated_in_lufs):
            raise FinishError(
                f"{wanted}: the sound is silent, nowhere above -70 LUFS ({meter.level_in_dbfs:.0f} dBFS as a whole); "
                "try another seed or other words"
            )
        gain = loudness_in_lufs - measured.integrated_in_lufs
        room = peak_in_dbtp - measured.true_peak_in_dbtp
        if gain > room:
            logger.warning(
                "%s is at %.1f LUFS rather than %g: louder, its peak would pass %g dBTP",
                name,
                measured.integrated_in_lufs + room,
                loudness_in_lufs,
                peak_in_dbtp,
            )
        factor = np.float32(amplitude(min(gain, room)))
        yield from (block * factor for block in spool.blocks())
