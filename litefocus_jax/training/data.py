"""A folder of captioned sounds: what can be used of it, and clips read from it."""

import dataclasses
import hashlib
import json
import logging
import math
import os
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float

from litefocus_jax.system.extras import import_extra
from litefocus_jax.system.progress import progress_bar
from litefocus_jax.training.metadata import Entry, find_metadata, read_metadata

logger = logging.getLogger(__name__)

SILENCE_IN_DB = -60.0
"""Sounds whose peak is below this, relative to full scale, are silent."""

_SILENCE = 10.0 ** (SILENCE_IN_DB / 20.0)
_BLOCK = 65536  # frames read at a time where a file is only looked through
_LISTED = 20  # reasons in an error message
_READERS = 8


@dataclasses.dataclass(frozen=True)
class Sound:
    """A usable sound with its caption.

    Attributes:
        path: of the file.
        file_name: as the table has it.
        caption: not empty.
        frames: length in samples of each channel.
        sampling_rate: of the file, in hertz.
    """

    path: Path
    file_name: str
    caption: str
    frames: int
    sampling_rate: int


@dataclasses.dataclass(frozen=True)
class Skipped:
    """A row of the table that is not used.

    Attributes:
        line: in the table.
        file_name: as the table has it.
        reason: why, such as ``"does not exist"``.
    """

    line: int
    file_name: str
    reason: str


@dataclasses.dataclass(frozen=True)
class Dataset:
    """The pairs of sound and caption of a folder.

    Attributes:
        metadata: the table.
        sounds: those that can be used, in the order of the table; a file may appear with several captions.
        skipped: the others.
    """

    metadata: Path
    sounds: tuple[Sound, ...]
    skipped: tuple[Skipped, ...]

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that differ for other names, lengths or captions, wherever the folder lies."""
        facts = [[sound.file_name, sound.caption, sound.frames, sound.sampling_rate] for sound in self.sounds]
        return hashlib.sha256(json.dumps(facts).encode()).hexdigest()[:12]

    def describe_skipped(self, most: int | None = None) -> str:
        """A line for each skipped row, that names table, line, file and reason.

        Args:
            most: lines; what is beyond them is counted in one more. All of them unless given.
        """
        lines = [f"{self.metadata}, line {row.line}: {row.file_name} {row.reason}" for row in self.skipped]
        if most is not None and len(lines) > most:
            lines[most:] = [f"and {len(lines) - most} more"]
        return "\n".join(lines)


def open_dataset(folder: str | Path, *, progress: bool = False) -> Dataset:
    """Read the table of a data folder, and look at every sound that it names.

    A sound is skipped when its caption is empty, or its file is missing, empty, unreadable, silent (its peak is below
    `SILENCE_IN_DB`) or holds NaN. Of each file no more is read than what shows that it can be used, so that damage
    between its beginning and its end may show later, as an error of `read_clip`.

    Args:
        folder: with ``metadata.csv`` or ``metadata.jsonl``, whose ``file_name`` is relative to the folder.
        progress: draw a bar, where there is a terminal.

    Raises:
        ValueError: when the table is malformed, names a file outside of the folder, or has no usable pair.
        OSError: when the folder or its table is missing or cannot be read.
    """
    folder = Path(folder)
    metadata = find_metadata(folder)
    entries = read_metadata(metadata)
    for entry in entries:
        _check_inside(folder, metadata, entry)
    files = list(dict.fromkeys(entry.file_name for entry in entries))
    with (
        ThreadPoolExecutor(_READERS, thread_name_prefix="sounds") as readers,
        progress_bar("Checking sounds", len(files), enabled=progress) as show,
    ):
        found = {}
        for name, facts in zip(files, readers.map(lambda name: _examine(folder / name), files), strict=True):
            found[name] = facts
            show(len(found))
    sounds, skipped = [], []
    for entry in entries:
        facts = found[entry.file_name]
        reason = facts if isinstance(facts, str) else _unusable_caption(entry.caption)
        if isinstance(facts, str) or reason:
            skipped.append(Skipped(entry.line, entry.file_name, str(reason)))
        else:
            sounds.append(Sound(folder / entry.file_name, entry.file_name, entry.caption, *facts))
    dataset = Dataset(metadata, tuple(sounds), tuple(skipped))
    if not sounds:
        raise ValueError(
            f"{folder} holds no pair of sound and caption to train on:\n{dataset.describe_skipped(_LISTED)}"
        )
    return dataset


def read_clip(
    sound: Sound, place: float, *, samples: int, sampling_rate: int, peak: float | None = None
) -> Float[np.ndarray, " samples"]:
    """Read a part of a sound: the mean of its channels, resampled, followed by silence where the sound is shorter.

    Only the part is decoded, where the format can be entered in the middle.

    Args:
        sound: from a `Dataset`.
        place: where the part begins, from 0 for the sound's beginning to just below 1 for as late as it still fits.
        samples: length of the result.
        sampling_rate: of the result, in hertz.
        peak: what the part's greatest sample becomes, after its mean is taken away; parts that are silent stay as they
            are. None leaves the level alone.

    Returns:
        float32; full scale is 1.

    Raises:
        OSError: when the file cannot be read any more.
        ValueError: when the part holds NaN or infinity.
        MissingExtraError: when it has to be resampled, and soxr is not installed.
    """
    wanted = min(sound.frames, math.ceil(samples * sound.sampling_rate / sampling_rate))
    start = int(place * (sound.frames - wanted + 1))
    try:
        with soundfile.SoundFile(sound.path) as file:
            _skip(file, start)
            frames = file.read(wanted, dtype="float32", always_2d=True)  # [frames, channels]
    except soundfile.SoundFileError as error:
        raise OSError(f"{sound.path} cannot be read from sample {start} on: {error}") from None
    if len(frames) < wanted:
        raise OSError(f"{sound.path} ends at sample {start + len(frames)}; expected {sound.frames} samples")
    waveform = frames.mean(axis=1)
    if not np.isfinite(waveform).all():
        raise ValueError(f"{sound.path} holds NaN or infinity between samples {start} and {start + wanted}")
    if sound.sampling_rate != sampling_rate:
        waveform = import_extra("soxr").resample(waveform, sound.sampling_rate, sampling_rate)
    waveform = waveform[:samples]
    if peak is not None:
        waveform = _bring_to_peak(waveform, peak)
    clip = np.zeros(samples, np.float32)
    clip[: len(waveform)] = waveform
    return clip


def _bring_to_peak(waveform: Float[np.ndarray, " samples"], peak: float) -> Float[np.ndarray, " samples"]:
    centred = waveform - waveform.mean()
    loudest = np.abs(centred).max()
    return centred * (peak / loudest) if loudest >= _SILENCE else waveform


def _check_inside(folder: Path, metadata: Path, entry: Entry) -> None:
    """Refuse names that lead out of the folder, by themselves or by a link."""
    name = entry.file_name
    is_plain = "\0" not in name and not Path(name).is_absolute() and ".." not in Path(name).parts
    root = os.path.realpath(folder)
    if not is_plain or os.path.commonpath([root, os.path.realpath(folder / name)]) != root:
        raise ValueError(
            f"{metadata}, line {entry.line}: file_name = {name!r} leads out of the folder; expected a file in {folder}"
        )


def _unusable_caption(caption: str) -> str | None:
    if not caption:
        return "has no caption"
    if any("\ud800" <= character <= "\udfff" for character in caption):
        return "has a caption with half of a surrogate pair in it; expected Unicode text"
    return None


def _examine(path: Path) -> tuple[int, int] | str:
    """Frames and sampling rate of a usable sound file, or why it is none."""
    try:
        if not path.exists():
            return "does not exist"
        if not path.is_file():  # a pipe would be waited for
            return "is not a file"
        if path.stat().st_size == 0:
            return "is empty"
        with soundfile.SoundFile(path) as file:
            frames, sampling_rate = file.frames, file.samplerate
            if frames <= 0:
                return "holds no samples"
            peak = 0.0
            for block in _blocks(file):
                if not np.isfinite(block).all():
                    return "holds NaN or infinity"
                peak = max(peak, float(np.abs(block).max()))
                if peak >= _SILENCE:
                    break
            else:
                return f"is silent: its peak is below {SILENCE_IN_DB:g} dB of full scale"
            # A file that was cut short still promises its whole length.
            start = max(0, frames - _BLOCK)
            if file.seekable():
                file.seek(start)
                if start + len(file.read(_BLOCK, dtype="float32", always_2d=True)) < frames:
                    return f"is cut short; it promises {frames} samples"
    except (soundfile.SoundFileError, OSError, TypeError) as error:  # TypeError: a suffix of headerless samples
        return f"cannot be read: {error}"
    return frames, sampling_rate


def _blocks(file: soundfile.SoundFile) -> Iterator[np.ndarray]:
    """Successive parts of an open file, ``[frames, channels]``, to its end."""
    while len(block := file.read(_BLOCK, dtype="float32", always_2d=True)):
        yield block


def _skip(file: soundfile.SoundFile, frames: int) -> None:
    if file.seekable():
        file.seek(frames)
        return
    while frames > 0 and (passed := len(file.read(min(frames, _BLOCK), dtype="float32", always_2d=True))):
        frames -= passed
