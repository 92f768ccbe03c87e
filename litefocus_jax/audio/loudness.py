"""Loudness and true peak of a sound that passes by in blocks.

Loudness is that of ITU-R BS.1770-4, with the filters of pyloudnorm. Its own meter wants the whole sound in memory, and
several copies; here only the energies of tenths of a second are kept.
"""

import math
from collections.abc import Iterable
from typing import NamedTuple

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.levels import decibels
from litefocus_jax.audio.waveforms import channels_of

BLOCK_IN_S = 0.4
"""Of a gating block, and so of the shortest sound that has a loudness."""

_STEPS_IN_BLOCK = 4
_ABSOLUTE_GATE, _RELATIVE_GATE = -70.0, -10.0
_OFFSET = -0.691
_OVERSAMPLING = 4  # as Annex 2 of BS.1770 asks at 48 kHz


class Loudness(NamedTuple):
    """What was measured.

    Attributes:
        integrated_in_lufs: minus infinity where nothing is above the absolute gate of -70 LUFS.
        true_peak_in_dbtp: greatest magnitude between and at the samples.
    """

    integrated_in_lufs: float
    true_peak_in_dbtp: float


def measure_loudness(blocks: Iterable[Float[np.ndarray, "samples ..."]], sampling_rate: int) -> Loudness:
    """Measure a sound; the powers of left and right add up. Less than `BLOCK_IN_S` has a loudness of minus infinity.

    Args:
        blocks: one after another the sound; full scale is 1.
        sampling_rate: samples per second.
    """
    import pyloudnorm
    import soxr
    from scipy.signal import lfilter

    filters = (  # K-weighting: how the head, and then the ear, passes sound on
        pyloudnorm.IIRfilter(4.0, 1.0 / math.sqrt(2.0), 1500.0, sampling_rate, "high_shelf"),
        pyloudnorm.IIRfilter(0.0, 0.5, 38.0, sampling_rate, "high_pass"),
    )
    states: list[np.ndarray] | None = None
    step = BLOCK_IN_S / _STEPS_IN_BLOCK * sampling_rate  # in samples, not always a whole number
    energies: list[float] = [0.0]  # of each step
    resampler = None
    samples, peak, nothing = 0, 0.0, np.zeros(0, np.float32)
    for block in blocks:
        if resampler is None or states is None:
            nothing = np.zeros((0, *block.shape[1:]), np.float32)
            rates = sampling_rate, _OVERSAMPLING * sampling_rate
            resampler = soxr.ResampleStream(*rates, channels_of(block), dtype="float32")
            states = [np.zeros((2, *block.shape[1:]))] * len(filters)
        between = resampler.resample_chunk(block)
        peak = max(peak, *(float(np.abs(part).max(initial=0.0)) for part in (block, between)))
        weighted = block.astype(np.float64)
        for number, each in enumerate(filters):
            weighted, states[number] = lfilter(each.b, each.a, weighted, axis=0, zi=states[number])
        squares = np.square(weighted)
        first = 0
        while first < len(block):
            end = int(step * len(energies)) - samples  # of the present step, in this block or past it
            energies[-1] += float(squares[first:end].sum())
            if end <= len(block):
                energies.append(0.0)
            first = end
        samples += len(block)
    if resampler is not None:
        last = resampler.resample_chunk(nothing, last=True)
        peak = max(peak, float(np.abs(last).max(initial=0.0)))
    return Loudness(_gated(np.array(energies), samples, sampling_rate), decibels(peak))


def _gated(energies: Float[np.ndarray, " steps"], samples: int, sampling_rate: int) -> float:
    """Integrated loudness from the energies of steps, the last of them possibly cut short."""
    seconds = samples / sampling_rate
    if seconds < BLOCK_IN_S:
        return -math.inf
    count = round((seconds - BLOCK_IN_S) * _STEPS_IN_BLOCK / BLOCK_IN_S) + 1
    padded = np.append(energies, np.zeros(_STEPS_IN_BLOCK))
    sums = np.lib.stride_tricks.sliding_window_view(padded, _STEPS_IN_BLOCK).sum(axis=1)
    powers = sums[:count] / (BLOCK_IN_S * sampling_rate)
    powers = powers[powers >= _power(_ABSOLUTE_GATE)]
    if not powers.size:
        return -math.inf
    powers = powers[powers > powers.mean() * 10.0 ** (_RELATIVE_GATE / 10.0)]
    return _OFFSET + 10.0 * math.log10(powers.mean())


def _power(loudness: float) -> float:
    return 10.0 ** ((loudness - _OFFSET) / 10.0)
