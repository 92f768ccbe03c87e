"""A folder of captioned sounds: what can be used of it, and clips read from it."""

import dataclasses
import hashlib
import json
import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal, get_args

import numpy as np
import soundfile
import soxr
from jax.sharding import Mesh
from jaxtyping import Float

from litefocus_jax.audio.reading import SILENCE
from litefocus_jax.parallel.processes import together
from litefocus_jax.system.messages import is_unicode
from litefocus_jax.training.file_names import FolderFiles, NoFileError, OutsideFolderError
from litefocus_jax.training.listening import listen_to_all
from litefocus_jax.training.metadata import Columns, Entry, find_metadata, read_metadata

Short = Literal["repeat", "pad"]
"""What becomes of a sound that is shorter than a clip."""

_BLOCK = 65536  # frames read at a time where a file is only passed through
_STEP_IN_S = 0.05  # between places that a clip may begin at
_FADE_IN_S = 0.005  # before a sound begins again
_LISTED = 20  # reasons in an error message


@dataclasses.dataclass(frozen=True)
class Sound:
    """A usable sound with its captions.

    Attributes:
        path: of the file.
        file_name: as the table has it.
        caption: the first one; not empty.
        frames: length in samples of each channel.
        sampling_rate: of the file, in hertz.
        digest: of its samples.
        audible: the stretches of it that are not silent, as `Facts` has them.
        other_captions: that are drawn as often as the first.
    """

    path: Path
    file_name: str
    caption: str
    frames: int
    sampling_rate: int
    digest: str
    audible: tuple[tuple[int, int], ...]
    other_captions: tuple[str, ...] = ()

    @property
    def captions(self) -> tuple[str, ...]:
        """All of them."""
        return self.caption, *self.other_captions


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
        """Twelve hexadecimal digits that differ for other names, samples or captions, wherever the folder lies."""
        facts = [
            [sound.file_name, *sound.captions, sound.frames, sound.sampling_rate, sound.digest] for sound in self.sounds
        ]
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

    def hold_out(self, share: float, seed: int = 0) -> "tuple[Dataset, Dataset]":
        """Part the sounds into those to train on and those to validate with; all rows of a file stay together.

        Args:
            share: of the files that are held out, at least one.
            seed: decides which.

        Raises:
            ValueError: when the share is not between 0 and 1, or nothing is left to train on.
        """
        if not 0.0 < share < 1.0:
            raise ValueError(f"hold_out = {share:g}; expected a share of the sounds, more than 0 and less than 1")
        files = list(dict.fromkeys(sound.path for sound in self.sounds))
        count = max(1, round(share * len(files)))
        if count >= len(files):
            raise ValueError(
                f"hold_out = {share:g} of {len(files)} sounds leaves nothing to train on; expected two sounds or more"
            )
        chosen = {files[index] for index in np.random.default_rng(seed).permutation(len(files))[:count]}
        held_out, kept = (
            tuple(sound for sound in self.sounds if (sound.path in chosen) == wanted) for wanted in (True, False)
        )
        return dataclasses.replace(self, sounds=kept), dataclasses.replace(self, sounds=held_out, skipped=())


def open_dataset(
    folder: str | Path,
    *,
    audio_column: str = "file_name",
    text_column: str | Sequence[str] = "text",
    metadata: str | Path | None = None,
    progress: bool = False,
    mesh: Mesh | None = None,
) -> Dataset:
    """Read the table of a data folder, and listen to every sound that it names.

    A sound is skipped when it has no caption, or its file is missing, or `examine` finds nothing to learn from in it.

    Args:
        folder: with ``metadata.csv`` or ``metadata.jsonl``, whose file names are relative to the folder; how they may
            differ from those of the files, `FolderFiles` says.
        audio_column: of the table, with the names of the files.
        text_column: with the captions; of several columns, or of a list in JSON, a clip has one, drawn anew each time.
        metadata: the table, where it has another name.
        progress: draw a bar, where there is a terminal.
        mesh: whose processes share the listening, where it has devices of several; all of them call this alike.

    Raises:
        ProcessesError: when the processes do not find the same sounds, or one of them failed.
        ValueError: when the table is malformed, names a file outside of the folder, or has no usable pair.
        OSError: when the folder or its table is missing or cannot be read.
    """
    folder = Path(folder)
    columns = Columns(audio_column, (text_column,) if isinstance(text_column, str) else tuple(text_column))
    with together(mesh, f"reading the table of {folder}"):
        metadata = find_metadata(folder) if metadata is None else Path(metadata)
        entries = read_metadata(metadata, columns)
        paths = _find_files(folder, metadata, entries, columns.audio)
    files = list(dict.fromkeys(path for path in paths.values() if isinstance(path, Path)))
    found = listen_to_all(files, folder=folder, mesh=mesh, progress=progress)
    sounds, skipped = [], []
    for entry in entries:
        path = paths[entry.file_name]
        facts = path if isinstance(path, str) else found[path]
        reason = facts if isinstance(facts, str) else _unusable_captions(entry.captions)
        if isinstance(facts, str) or isinstance(path, str) or reason:
            skipped.append(Skipped(entry.line, entry.file_name, str(reason)))
        else:
            caption, *others = entry.captions
            sounds.append(Sound(path, entry.file_name, caption, **vars(facts), other_captions=tuple(others)))
    dataset = Dataset(metadata, tuple(sounds), tuple(skipped))
    if not sounds:
        raise ValueError(
            f"{folder} holds no pair of sound and caption to train on:\n{dataset.describe_skipped(_LISTED)}"
        )
    return dataset


def read_clip(
    sound: Sound,
    place: float,
    *,
    samples: int,
    sampling_rate: int,
    peak: float | None = None,
    short: Short = "repeat",
) -> Float[np.ndarray, " samples"]:
    """Read a part of a sound: the mean of its channels, resampled.

    Only the part is decoded, where the format can be entered in the middle. With ``"repeat"`` silence is avoided, so
    that it is not what a caption teaches: that before and after the sound is left out, a clip lies where there is at
    least half as much to hear as where there is most, and what is shorter than a clip is repeated until it is full.
    With ``"pad"`` the file is taken as it is, and followed by silence.

    Args:
        sound: from a `Dataset`.
        place: where the part begins, from 0 for the sound's beginning to just below 1 for as late as it still fits.
        samples: length of the result.
        sampling_rate: of the result, in hertz.
        peak: what the part's greatest sample becomes, after its mean is taken away; parts that are silent stay as they
            are. None leaves the level alone.
        short: what becomes of sounds that are shorter.

    Returns:
        float32; full scale is 1.

    Raises:
        OSError: when the file cannot be read any more.
        ValueError: when the part holds NaN or infinity.
    """
    start, end = clip_bounds(sound, place, samples=samples, sampling_rate=sampling_rate, short=short)
    try:
        with soundfile.SoundFile(sound.path) as file:
            _skip(file, start)
            frames = file.read(end - start, dtype="float32", always_2d=True)  # [frames, channels]
    except soundfile.SoundFileError as error:
        raise OSError(f"{sound.path} cannot be read from sample {start} on: {error}") from None
    if len(frames) < end - start:
        raise OSError(f"{sound.path} ends at sample {start + len(frames)}; expected {sound.frames} samples")
    waveform = frames.mean(axis=1)
    if not np.isfinite(waveform).all():
        raise ValueError(f"{sound.path} holds NaN or infinity between samples {start} and {end}")
    if sound.sampling_rate != sampling_rate:
        waveform = soxr.resample(waveform, sound.sampling_rate, sampling_rate)
    waveform = waveform[:samples]
    if peak is not None:
        waveform = _bring_to_peak(waveform, peak)
    if len(waveform) < samples and short == "repeat":
        waveform = _repeated(waveform, samples, fade=round(_FADE_IN_S * sampling_rate))
    clip = np.zeros(samples, np.float32)
    clip[: len(waveform)] = waveform
    return clip


def clip_bounds(sound: Sound, place: float, *, samples: int, sampling_rate: int, short: Short) -> tuple[int, int]:
    """The part of a sound that `read_clip` reads: its first frame, and the one after its last.

    Takes arguments of `read_clip`.

    Raises:
        ValueError: when ``short`` is unknown.
    """
    if short not in get_args(Short):
        raise ValueError(f"short = {short!r}; expected {' or '.join(map(repr, get_args(Short)))}")
    first, end = (0, sound.frames) if short == "pad" else (sound.audible[0][0], sound.audible[-1][1])
    wanted = min(end - first, math.ceil(samples * sound.sampling_rate / sampling_rate))
    if short == "pad" or len(sound.audible) == 1:
        start = first + int(place * (end - first - wanted + 1))
    else:
        starts = np.arange(first, end - wanted + 1, max(1, round(_STEP_IN_S * sound.sampling_rate)))
        heard = _heard(sound, starts, starts + wanted)
        starts = starts[heard >= heard.max() / 2]
        start = int(starts[int(place * len(starts))])
    return start, start + wanted


def audible_share(sound: Sound, *, samples: int, sampling_rate: int, short: Short) -> float:
    """How much of a sound's clips can be heard, on average over the places that they may begin at.

    Takes arguments of `read_clip`.
    """
    places = np.linspace(0.0, 0.999, 9)
    bounds = [clip_bounds(sound, p, samples=samples, sampling_rate=sampling_rate, short=short) for p in places]
    starts, ends = np.transpose(bounds)
    lengths = ends - starts if short == "repeat" else samples * sound.sampling_rate / sampling_rate
    return float(np.mean(_heard(sound, starts, ends) / lengths))


def _heard(sound: Sound, starts: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """How many frames between each start and end are audible."""
    return np.sum([np.maximum(0, np.minimum(ends, end) - np.maximum(starts, first)) for first, end in sound.audible], 0)


def _bring_to_peak(waveform: Float[np.ndarray, " samples"], peak: float) -> Float[np.ndarray, " samples"]:
    centred = waveform - waveform.mean()
    loudest = np.abs(centred).max()
    return centred * (peak / loudest) if loudest >= SILENCE else waveform


def _repeated(waveform: Float[np.ndarray, " some"], samples: int, *, fade: int) -> Float[np.ndarray, " samples"]:
    """A sound over and over, its end faded so that no click is taught; the last time it is cut."""
    fade = min(fade, len(waveform))
    once = waveform.copy()
    once[len(once) - fade :] *= np.linspace(1.0, 0.0, fade, dtype=np.float32)
    return np.resize(once, samples)


def _find_files(folder: Path, metadata: Path, entries: Sequence[Entry], column: str) -> dict[str, Path | str]:
    """The file of each name in the table, or why there is none.

    Raises:
        ValueError: when a name leads out of the folder.
    """
    files, found = FolderFiles(folder), {}
    for entry in entries:
        try:
            found[entry.file_name] = files.find(entry.file_name)
        except NoFileError as error:
            found[entry.file_name] = str(error)
        except OutsideFolderError:
            raise ValueError(
                f"{metadata}, line {entry.line}: {column} = {entry.file_name!r} leads out of the folder; expected a "
                f"file in {folder}"
            ) from None
    return found


def _unusable_captions(captions: Sequence[str]) -> str | None:
    if not captions:
        return "has no caption"
    if not all(map(is_unicode, captions)):
        return "has a caption with half of a surrogate pair in it; expected Unicode text"
    return None


def _skip(file: soundfile.SoundFile, frames: int) -> None:
    if file.seekable():
        file.seek(frames)
        return
    while frames > 0 and (passed := len(file.read(min(frames, _BLOCK), dtype="float32", always_2d=True))):
        frames -= passed
