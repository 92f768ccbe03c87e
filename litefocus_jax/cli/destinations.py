"""Names of the files a command writes, decided before anything runs."""

import dataclasses
import os
import re
import unicodedata
from collections.abc import Collection, Sequence
from pathlib import Path

import typer

from litefocus_jax.audio import PICTURE_FORMATS, SOUND_FORMATS

_LONGEST_SLUG = 48  # characters; file systems allow 255 bytes for a name, and a character takes up to four


@dataclasses.dataclass(frozen=True)
class Destination:
    """The files of one sound.

    Attributes:
        prompt: the text that the sound is made from.
        sound: the sound file.
        picture: the spectrogram, if one is wanted.
    """

    prompt: str
    sound: Path
    picture: Path | None


def slug(prompt: str) -> str:
    """A prompt as a file name: lower-case words of any script, joined by hyphens.

    >>> slug("Rain on a tin roof!")
    'rain-on-a-tin-roof'
    """
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", prompt).lower())
    name = ""
    for word in words:
        longer = f"{name}-{word}" if name else word[:_LONGEST_SLUG]
        if len(longer) > _LONGEST_SLUG:
            break
        name = longer
    return name or "sound"


def file_names(prompts: Sequence[str], seed: int, num_waveforms: int, suffix: str) -> list[list[str]]:
    """A name for each waveform of each prompt, all different: ``prompt-seed0.wav``, or ``prompt-seed0-1.wav``.

    Waveforms are counted from 0. Prompts that would share a name are told apart by a number: ``prompt-2-seed0.wav``.
    """
    taken: set[str] = set()
    names = []
    for prompt in prompts:
        stem = slug(prompt)
        number = 1
        while (distinct := stem if number == 1 else f"{stem}-{number}") in taken:
            number += 1
        taken.add(distinct)
        stem = f"{distinct}-seed{seed}"
        if num_waveforms == 1:
            names.append([stem + suffix])
        else:
            names.append([f"{stem}-{index}{suffix}" for index in range(num_waveforms)])
    return names


def paths_for(
    target: str, prompts: Sequence[str], seed: int, num_waveforms: int, *, suffixes: Collection[str], option: str
) -> list[list[Path]]:
    """Where to write each waveform of each prompt.

    ``target`` is a folder if it exists as one, ends in a slash, or several files are to be written; files in it are
    named by `file_names` and take the first of the suffixes. Otherwise it is the file.

    Args:
        target: what the user asked for.
        prompts: one text for each list returned.
        seed: enters the names.
        num_waveforms: files for each prompt.
        suffixes: suffixes of the file formats, the usual one first.
        option: the option that gave ``target``, for the error message.

    Raises:
        typer.BadParameter: when the target is the name of one file, and several are to be written.
    """
    path = Path(target).expanduser()
    is_marked_folder = path.is_dir() or target.endswith(("/", os.sep))
    count = len(prompts) * num_waveforms
    if count == 1 and not is_marked_folder:
        return [[path]]
    if not is_marked_folder and path.suffix.lower() in suffixes:
        raise typer.BadParameter(
            f"{target} is the name of one file, for {count} sounds; give a folder, such as {path.with_suffix('')}/",
            param_hint=option,
        )
    return [[path / name for name in row] for row in file_names(prompts, seed, num_waveforms, next(iter(suffixes)))]


def plan(
    prompts: Sequence[str], seed: int, num_waveforms: int, *, target: str, spectrogram: str | None
) -> list[list[Destination]]:
    """The destinations of each prompt's waveforms.

    Raises:
        typer.BadParameter: when an option is the name of one file, and several are to be written.
    """
    arguments = (prompts, seed, num_waveforms)
    sounds = paths_for(target, *arguments, suffixes=SOUND_FORMATS, option="--output")
    pictures: list[list[Path | None]] = [[None] * num_waveforms for _ in prompts]
    if spectrogram is not None:
        pictures = [
            [*row] for row in paths_for(spectrogram, *arguments, suffixes=PICTURE_FORMATS, option="--spectrogram")
        ]
    return [
        [Destination(prompt, sound, picture) for sound, picture in zip(sound_row, picture_row, strict=True)]
        for prompt, sound_row, picture_row in zip(prompts, sounds, pictures, strict=True)
    ]
