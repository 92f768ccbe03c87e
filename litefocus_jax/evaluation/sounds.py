"""Folders of sounds to be judged."""

import dataclasses
import unicodedata
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.reading import UnusableSoundError, check_not_too_long, read_sound
from litefocus_jax.evaluation.features import MetricError
from litefocus_jax.training.examination import Facts, examine
from litefocus_jax.training.file_names import SOUND_SUFFIXES

_LISTED = 10  # names, or reasons, in an error message


@dataclasses.dataclass(frozen=True)
class SoundFile:
    """A sound that can be judged.

    Attributes:
        path: of its file.
        name: its path in the folder, without suffix, by which it is paired with captions and recordings.
        facts: what is known of it.
    """

    path: Path
    name: str
    facts: Facts

    def waveform(self, sampling_rate: int) -> Float[np.ndarray, " samples"]:
        """The mean of its channels at a rate, to which it is resampled by soxr (its "HQ").

        Raises:
            UnusableSoundError: when it has changed since it was looked at.
        """
        return read_sound(self.path, sampling_rate).waveform


@dataclasses.dataclass(frozen=True)
class SoundFolder:
    """The sounds of a folder and of those in it.

    Attributes:
        folder: as it was given.
        sounds: by name, in the order of the names.
    """

    folder: Path
    sounds: Mapping[str, SoundFile]

    @property
    def silent(self) -> list[str]:
        """Names of the sounds in which there is nothing to hear."""
        return [name for name, sound in self.sounds.items() if not sound.facts.audible]

    @property
    def rates(self) -> dict[int, int]:
        """How many sounds have each sampling rate."""
        return dict(sorted(Counter(sound.facts.sampling_rate for sound in self.sounds.values()).items()))

    @property
    def seconds(self) -> float:
        """Length of all sounds together."""
        return sum(sound.facts.frames / sound.facts.sampling_rate for sound in self.sounds.values())


def open_sounds(folder: str | Path, *, silence_is_usable: bool = False) -> SoundFolder:
    """Find the sounds of a folder, and listen to each whether it can be judged.

    Args:
        folder: in which, and in whose folders, they are.
        silence_is_usable: let silence be judged, as what a model makes must be, whatever it is.

    Raises:
        MetricError: when there are fewer than two sounds, two have the same name, or some cannot be judged: no sound
            files, damaged, too short or too long, silent, or with NaN or infinity in them; the message names them.
        OSError: when the folder is missing, or no folder.
    """
    folder = Path(folder)
    if not folder.exists():
        raise FileNotFoundError(f"{folder} does not exist; expected a folder of sounds")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; expected a folder of sounds")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SOUND_SUFFIXES)
    paths = [path for path in paths if not any(part.startswith(".") for part in path.relative_to(folder).parts)]
    if not paths:
        raise MetricError(f"{folder} holds no sounds; expected files such as {', '.join(_SHOWN_SUFFIXES)}")
    if len(paths) == 1:
        raise MetricError(f"{folder} holds one sound, {paths[0].name}; expected two or more: metrics are of sets")
    named: dict[str, Path] = {}
    for path in paths:
        # Systems write accents in two ways.
        name = unicodedata.normalize("NFC", path.relative_to(folder).with_suffix("").as_posix())
        if name in named:
            raise MetricError(f"{named[name]} and {path} have the same name without suffix; expected one of them")
        named[name] = path
    sounds, problems = {}, []
    for name, path in sorted(named.items()):  # by name, in which suffixes have no say: pairs come in one order
        try:
            sounds[name] = SoundFile(path, name, examine(path, silence_is_usable=silence_is_usable))
            check_not_too_long(sounds[name].facts.frames, sounds[name].facts.sampling_rate)
        except UnusableSoundError as error:
            problems.append(f"{path} {error}")
    if problems:
        raise MetricError(f"{listed(problems, '; ')}. Leave out what cannot be judged")
    return SoundFolder(folder, sounds)


_SHOWN_SUFFIXES = (".wav", ".flac", ".mp3", ".ogg")


def check_pairs(generated: SoundFolder, reference: SoundFolder) -> None:
    """Check that every sound has its recording, of the same name, and no recording is left.

    Raises:
        MetricError: naming those without a partner.
    """
    missing = [name for name in generated.sounds if name not in reference.sounds]
    spare = [name for name in reference.sounds if name not in generated.sounds]
    if not missing and not spare:
        return
    problems = []
    if missing:
        problems.append(f"{reference.folder} has no recording for {listed(missing)}")
    if spare:
        problems.append(f"{generated.folder} has no sound for {listed(spare)}")
    raise MetricError(
        f"{' and '.join(problems)}: KL divergence and baselines need pairs of the same names ({len(generated.sounds)} "
        f"and {len(reference.sounds)} sounds). Give such folders; or --unpaired, and no baseline, to leave them out"
    )


def listed(names: list[str], separator: str = ", ") -> str:
    """Names one after the other, and how many more there are."""
    more = len(names) - _LISTED
    return separator.join(names[:_LISTED]) + (f"{separator}and {more} more" if more > 0 else "")
