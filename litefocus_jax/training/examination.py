"""A sound file, listened to once before training: whether it can be used, where it can be heard, and its digest."""

import dataclasses
import hashlib
from pathlib import Path

import numpy as np
import soundfile

from litefocus_jax.audio.levels import amplitude
from litefocus_jax.audio.reading import (
    SILENCE,
    SILENCE_IN_DB,
    UnusableSoundError,
    blocks_of,
    check_mixture,
    check_not_too_short,
    extremes,
    opened,
)

_BELOW_ITS_PEAK = amplitude(-50.0)  # a pause in a loud sound: its room, or the noise of its recording
_WINDOW_IN_S = 0.05  # a period of 20 Hz
_WINDOWS_AT_A_TIME = 64


@dataclasses.dataclass(frozen=True)
class Facts:
    """What is known of a usable sound file.

    Attributes:
        frames: length in samples of each channel.
        sampling_rate: in hertz.
        digest: of all of its samples.
        audible: the stretches that are not silent, each as its first frame and the one after its last, in order; none
            of a silent sound.
    """

    frames: int
    sampling_rate: int
    digest: str
    audible: tuple[tuple[int, int], ...]


def examine(path: Path, *, silence_is_usable: bool = False) -> Facts:
    """Decode a file from its beginning to its end, a few seconds at a time.

    Amplitude is half of the way from the least to the greatest sample within 50 ms, so that a constant offset has none.

    Args:
        path: of the file.
        silence_is_usable: let silence be a sound like any other.

    Raises:
        UnusableSoundError: when it is no sound file, damaged, shorter than 0.04 s, holds NaN or infinity, or
            nothing is left to hear of the mean of its channels.
    """
    with opened(path) as file:
        return _listen(file, silence_is_usable)


def _listen(file: soundfile.SoundFile, silence_is_usable: bool) -> Facts:
    window = max(1, round(_WINDOW_IN_S * file.samplerate))
    digest = hashlib.blake2b(digest_size=16)
    mixed: list[np.ndarray] = []
    loudest_channel = highest = 0.0
    frames = 0
    for block in blocks_of(file, window * _WINDOWS_AT_A_TIME):
        frames += len(block)
        digest.update(block.tobytes())
        channels = np.ascontiguousarray(block.T)
        least, greatest = extremes(channels, window)
        if not (np.isfinite(least).all() and np.isfinite(greatest).all()):  # both of which NaN runs through
            raise UnusableSoundError("holds NaN or infinity")
        highest = max(highest, -float(least.min()), float(greatest.max()))
        loudest_channel = max(loudest_channel, float((greatest - least).max()) / 2.0)
        if len(channels) > 1:
            least, greatest = extremes(channels.mean(axis=0, keepdims=True), window)
        mixed.append((greatest - least)[0] / 2.0)
    check_not_too_short(frames, file.samplerate)
    amplitudes = np.concatenate(mixed)
    if not silence_is_usable:
        _check_audible(amplitudes.max(), loudest_channel, highest)
    is_audible = amplitudes >= max(SILENCE, amplitudes.max() * _BELOW_ITS_PEAK)
    edges = np.flatnonzero(np.diff(np.r_[False, is_audible, False])) * window
    ends = np.minimum(edges, frames).tolist()
    return Facts(frames, file.samplerate, digest.hexdigest(), tuple(zip(ends[::2], ends[1::2], strict=True)))


def _check_audible(mixed: float, loudest_channel: float, highest: float) -> None:
    if highest < SILENCE:
        raise UnusableSoundError(f"is silent: its peak is below {SILENCE_IN_DB:g} dB of full scale")
    if loudest_channel < SILENCE:
        raise UnusableSoundError(f"is silent: it holds a constant offset of {highest:.2g} of full scale and no sound")
    check_mixture(mixed, loudest_channel)
