"""Sounds in: a file or an array, of any rate and channels, as one waveform or left and right at the rate of a model."""

import contextlib
import dataclasses
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import soundfile
import soxr
from jaxtyping import Float

from litefocus_jax.audio.levels import amplitude
from litefocus_jax.audio.waveforms import STEREO

SILENCE_IN_DB = -60.0
"""Sounds whose amplitude stays below this, relative to full scale, are silent."""

SHORTEST_IN_S = 0.04
"""Shorter sounds are not used: this is one latent frame of AudioLDM2."""

LONGEST_IN_S = 3600.0
"""Longer sounds are not read: they are held in memory, and many times that in the latents' network."""

SILENCE = amplitude(SILENCE_IN_DB)
_CANCELLED = 0.01  # of the channels' amplitude is left in their mean
_WINDOW_IN_S = 0.05  # a period of 20 Hz
_BLOCK = 1 << 18  # frames read at a time
_MOST_CHANNELS = 64
_RATES = (1000, 768_000)


class UnusableSoundError(ValueError):
    """A sound that nothing can be made of; where it is a file's, the message goes on where the file's name ended."""


@dataclasses.dataclass(frozen=True)
class InputSound:
    """A sound that was given.

    Attributes:
        waveform: at ``sampling_rate``, ``[samples]``, the mean of its channels, or ``[samples, 2]`` where both are
            wanted; full scale is 1.
        sampling_rate: of the waveform, in hertz.
        path: of its file as it was given, or None for an array.
        digest: of rate, channels and samples, as they were given.
        notes: what became of it, and what is odd about it, in words.
    """

    waveform: Float[np.ndarray, "samples ..."] = dataclasses.field(repr=False, compare=False)
    sampling_rate: int
    path: str | None
    digest: str
    notes: tuple[str, ...] = ()


@contextlib.contextmanager
def opened(path: Path) -> Iterator[soundfile.SoundFile]:
    """A sound file, open for reading.

    Raises:
        UnusableSoundError: when it is no sound file, or damaged, at any time while it is read.
    """
    try:
        if not path.exists():
            raise UnusableSoundError("does not exist")
        if not path.is_file():  # a pipe would be waited for
            raise UnusableSoundError("is not a file")
        if path.stat().st_size == 0:
            raise UnusableSoundError("is empty")
        with soundfile.SoundFile(path) as file:
            if file.frames <= 0:
                raise UnusableSoundError("holds no samples")
            yield file
    except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: a suffix of headerless samples
        raise UnusableSoundError(f"cannot be read: {error}") from None


def blocks_of(file: soundfile.SoundFile, frames_at_a_time: int) -> Iterator[Float[np.ndarray, "frames channels"]]:
    """All of a file that is open, float32, a block at a time.

    Raises:
        UnusableSoundError: at the end, when it holds less than it promises.
    """
    held = 0
    while len(block := file.read(frames_at_a_time, dtype="float32", always_2d=True)):
        held += len(block)
        yield block
    if held < file.frames:
        raise UnusableSoundError(f"is cut short: it promises {file.frames} samples and holds {held}")


def read_sound(path: str | Path, sampling_rate: int, *, stereo: bool = False) -> InputSound:
    """Read a sound file of any rate, channels and format that libsndfile reads.

    Args:
        path: of the file.
        sampling_rate: that it is to have, in hertz.
        stereo: keep left and right apart.

    Raises:
        UnusableSoundError: naming the file, when it is no sound file, damaged, too short or too long, holds NaN or
            infinity, or its channels cancel each other out; for stereo also when it has not two.
    """
    try:
        with opened(Path(path)) as file:
            check_not_too_long(file.frames, file.samplerate)
            channels = _Channels(file.samplerate, file.channels, stereo=stereo)
            for block in blocks_of(file, _BLOCK):
                channels.add(block)
        return channels.sound(sampling_rate, str(path))
    except UnusableSoundError as error:
        raise UnusableSoundError(f"{path} {error}") from None


def sound_of_array(samples: Any, from_rate: int, sampling_rate: int, *, stereo: bool = False) -> InputSound:
    """Take an array for a sound.

    Args:
        samples: ``[samples]``, or ``[channels, samples]`` or ``[samples, channels]``: of two axes, the shorter one is
            the channels. Floating-point numbers, of which 1 is full scale, or integers of 16 or 32 bits.
        from_rate: its samples per second.
        sampling_rate: that it is to have, in hertz.
        stereo: keep left and right apart.

    Raises:
        TypeError: when it is no array of numbers, or a rate is no whole number.
        UnusableSoundError: as `read_sound`.
    """
    if isinstance(from_rate, bool) or not isinstance(from_rate, int | np.integer):
        raise TypeError(f"sampling_rate = {from_rate!r}; expected a whole number of samples per second")
    if not _RATES[0] <= from_rate <= _RATES[1]:
        raise UnusableSoundError(f"sampling_rate = {from_rate}; expected {_RATES[0]} to {_RATES[1]} Hz")
    frames = _as_frames(samples)
    try:
        channels = _Channels(int(from_rate), frames.shape[1], stereo=stereo)
        check_not_too_long(len(frames), int(from_rate))
        for start in range(0, len(frames), _BLOCK):
            channels.add(_full_scale_one(frames[start : start + _BLOCK]))
        return channels.sound(sampling_rate, None)
    except UnusableSoundError as error:
        raise UnusableSoundError(f"audio {error}") from None


def extremes(
    channels: Float[np.ndarray, "channels frames"], window: int
) -> tuple[Float[np.ndarray, "channels windows"], Float[np.ndarray, "channels windows"]]:
    """The least and the greatest sample of each window; the last one may be shorter."""
    starts = np.arange(0, channels.shape[1], window)
    return np.minimum.reduceat(channels, starts, axis=1), np.maximum.reduceat(channels, starts, axis=1)


def check_mixture(mixed: float, loudest_channel: float) -> None:
    """Check that the mean of some channels is not silence.

    Args:
        mixed: amplitude of the mean.
        loudest_channel: amplitude of the loudest of them.

    Raises:
        UnusableSoundError: when they cancel each other out.
    """
    if loudest_channel >= SILENCE and mixed < max(SILENCE, _CANCELLED * loudest_channel):
        raise UnusableSoundError(
            "mixes to silence: its channels cancel each other out. Turn one of them over, or keep one alone"
        )


def check_not_too_short(frames: int, rate: int) -> None:
    """Check that a sound has a latent frame.

    Raises:
        UnusableSoundError: when it is shorter.
    """
    if frames < SHORTEST_IN_S * rate:
        raise UnusableSoundError(
            f"is too short: {frames} samples, {frames / rate:.2g} s; expected {SHORTEST_IN_S:g} s or more"
        )


def check_not_too_long(frames: int, rate: int) -> None:
    """Check that a sound can be held in memory.

    Raises:
        UnusableSoundError: when it is longer than an hour.
    """
    if frames > LONGEST_IN_S * rate:
        raise UnusableSoundError(
            f"is too long: {frames / rate:.0f} s; expected {LONGEST_IN_S:g} s at most: cut a part out of it"
        )


class _Channels:
    """The mean of the channels of a sound, whose blocks come one after another, or left and right.

    Raises:
        UnusableSoundError: when left and right are wanted, and there are not two channels.
    """

    def __init__(self, rate: int, channels: int, *, stereo: bool) -> None:
        if stereo and channels != STEREO:
            raise UnusableSoundError(f"has {channels} channel{'s' * (channels != 1)}; expected two for stereo")
        self.frames = 0
        self._rate, self._channels, self._stereo = rate, channels, stereo
        self._digest = hashlib.blake2b(f"{rate} {channels} ".encode(), digest_size=16)
        self._kept: list[np.ndarray] = []
        self._amplitude = 0.0  # of the loudest channel
        self._window = max(1, round(_WINDOW_IN_S * rate))

    def add(self, block: Float[np.ndarray, "frames channels"]) -> None:
        """The next block.

        Raises:
            UnusableSoundError: when it holds NaN or infinity.
        """
        if not np.isfinite(block).all():
            raise UnusableSoundError("holds NaN or infinity")
        self._digest.update(np.ascontiguousarray(block).tobytes())
        if self._channels == 1:
            self._kept.append(block[:, 0].copy())
        else:
            self._kept.append(block.copy() if self._stereo else block.mean(axis=1))
        self._amplitude = max(self._amplitude, _amplitude(block.T, self._window))
        self.frames += len(block)

    def sound(self, sampling_rate: int, path: str | None) -> InputSound:
        """All of it.

        Raises:
            UnusableSoundError: when it is too short, or the channels cancel each other out.
        """
        check_not_too_short(self.frames, self._rate)
        waveform = np.concatenate(self._kept)
        if not self._stereo:
            check_mixture(_amplitude(waveform[None], self._window), self._amplitude)
        name, changes, notes = path or "audio", [], []
        if self._channels > 1 and not self._stereo:
            changes.append(f"mixed from {self._channels} channels to one")
        if self._rate != sampling_rate:
            waveform = soxr.resample(waveform, self._rate, sampling_rate)
            changes.append(f"resampled from {self._rate} to {sampling_rate} Hz")
        if changes:
            notes.append(f"{name} is {' and '.join(changes)}")
        if self._amplitude < SILENCE:
            notes.append(f"{name} is silent: its amplitude is below {SILENCE_IN_DB:g} dB of full scale")
        return InputSound(waveform, sampling_rate, path, self._digest.hexdigest(), tuple(notes))


def _amplitude(channels: Float[np.ndarray, "channels frames"], window: int) -> float:
    """Half of the way from the least to the greatest sample of any window, so that a constant offset has none."""
    least, greatest = extremes(np.ascontiguousarray(channels), window)
    return float((greatest - least).max()) / 2.0


def _as_frames(samples: Any) -> np.ndarray:
    """An array ``[frames, channels]`` of what was given."""
    try:
        array = np.asarray(samples)
    except (TypeError, ValueError, RuntimeError) as error:
        raise TypeError(f"audio is a {type(samples).__name__}; expected a path or an array of samples") from error
    if array.dtype.kind not in "fiu" or array.dtype.name in ("int64", "uint16", "uint32", "uint64", "int8"):
        raise TypeError(
            f"audio is a {type(samples).__name__} of {array.dtype.name}; expected a path, or an array of "
            "floating-point numbers with full scale at 1, or of int16, int32 or uint8"
        )
    if array.ndim not in (1, 2) or not array.size:
        raise UnusableSoundError(f"audio has shape {array.shape}; expected [samples] or [channels, samples]")
    if array.ndim == 1:
        return array[:, None]
    frames = array if array.shape[0] >= array.shape[1] else array.T
    if frames.shape[1] > _MOST_CHANNELS:
        raise UnusableSoundError(
            f"audio has shape {array.shape}; expected [channels, samples] with at most {_MOST_CHANNELS} channels"
        )
    return frames


def _full_scale_one(frames: np.ndarray) -> Float[np.ndarray, "frames channels"]:
    if frames.dtype.kind == "f":
        return frames.astype(np.float32)
    if frames.dtype == np.uint8:
        return ((frames.astype(np.float32) - 128.0) / 128.0).astype(np.float32)
    return (frames / -float(np.iinfo(frames.dtype).min)).astype(np.float32)
