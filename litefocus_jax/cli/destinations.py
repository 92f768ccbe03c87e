"""The files that a command writes, decided before anything runs."""

import dataclasses
import os
from collections.abc import Collection, Sequence
from pathlib import Path

import typer

from litefocus_jax.audio import PICTURE_FORMATS, SOUND_FORMATS
from litefocus_jax.audio.formats import in_words
from litefocus_jax.cli.names import checked_name, slug
from litefocus_jax.cli.orders import SoundOrder
from litefocus_jax.cli.prompt_files import PromptRow
from litefocus_jax.system.files import expanded


@dataclasses.dataclass(frozen=True)
class Destination:
    """The files of one sound.

    Attributes:
        prompt: the text that the sound is made from.
        sound: the sound file.
        picture: the spectrogram, if one is wanted.
        json: whether the recipe is to lie beside the sound.
    """

    prompt: str
    sound: Path
    picture: Path | None
    json: bool = False

    @property
    def recipe(self) -> Path:
        """Where the recipe lies, if one is wanted."""
        return self.sound.with_suffix(".json")

    @property
    def files(self) -> list[Path]:
        """All of them that are wanted, in the order in which they are written."""
        return [
            self.sound,
            *([self.recipe] if self.json else []),
            *([] if self.picture is None else [self.picture]),
        ]

    @property
    def is_complete(self) -> bool:
        """Whether all files are there; each appears whole."""
        return all(path.exists() for path in self.files)


def file_names(prompts: Sequence[str], seed: int, num_waveforms: int, suffix: str) -> list[list[str]]:
    """A name for each waveform of each prompt, all different: ``prompt-seed0.wav``, or ``prompt-seed0-1.wav``.

    Waveforms are counted from 0. Prompts that would share a name are told apart by a number: ``prompt-2-seed0.wav``.
    """
    waveforms = range(num_waveforms)
    is_numbered = num_waveforms > 1
    orders = [[SoundOrder(PromptRow(prompt), seed, number, is_numbered) for number in waveforms] for prompt in prompts]
    return [[stem + suffix for stem, _ in row] for row in _stems(orders)]


def plan(
    orders: Sequence[Sequence[SoundOrder]],
    *,
    target: str,
    spectrogram: str | None,
    suffix: str | None = None,
    json: bool = False,
) -> list[list[Destination]]:
    """The destinations of each prompt's sounds.

    Args:
        orders: the sounds of each prompt.
        target: what the user gave for the sounds: a file or a folder.
        spectrogram: the same for the pictures, if they are wanted.
        suffix: of files in a folder whose name has none, such as ``".flac"``; the first of the known ones unless given.
        json: whether recipes are wanted beside the sounds.

    Raises:
        typer.BadParameter: when an option is the name of one file, and several are to be written.
        ValueError: for a name that a file cannot have, or that two of them would have.
    """
    stems = _stems(orders)
    sounds = _paths(target, [[(stem, own or suffix) for stem, own in row] for row in stems], SOUND_FORMATS, "--output")
    pictures: Sequence[Sequence[Path | None]] = [[None] * len(row) for row in orders]
    if spectrogram is not None:
        pictures = _paths(
            spectrogram, [[(stem, None) for stem, _ in row] for row in stems], PICTURE_FORMATS, "--spectrogram"
        )
    return [
        [
            Destination(order.row.prompt, sound, picture, json)
            for order, sound, picture in zip(row, sound_row, picture_row, strict=True)
        ]
        for row, sound_row, picture_row in zip(orders, sounds, pictures, strict=True)
    ]


Stem = tuple[str, str | None]
"""A name without its suffix, and the suffix if the user gave one."""


def _stems(orders: Sequence[Sequence[SoundOrder]]) -> list[list[Stem]]:
    """Names of files, all different on any file system: the user's own, and for the rest prompt and seed."""
    named = [[stem for stem, _ in _named(row)] if row and row[0].row.name else [] for row in orders]
    taken: dict[str, str] = {}
    for row, stems in zip(orders, named, strict=True):
        for stem in stems:
            if (other := taken.setdefault(stem.casefold(), row[0].row.place)) != row[0].row.place:
                raise ValueError(
                    f"{row[0].row.place}, column name: {row[0].row.name!r} is taken by {other}; expected another name"
                )
    return [_named(row) if stems else _numbered(row, taken) for row, stems in zip(orders, named, strict=True)]


def _named(row: Sequence[SoundOrder]) -> list[Stem]:
    """The user's name for a prompt's sound, with seed and waveform behind it where there are several."""
    place, name = row[0].row.place, row[0].row.name
    assert name is not None, "rows without a name are named after their prompt"
    try:
        stem, suffix = checked_name(name, tuple(SOUND_FORMATS))
    except ValueError as error:
        shown = name if len(name) <= 60 else f"{name[:60]} ..."
        raise ValueError(f"{place}, column name: {shown!r} {error}") from None
    return [(stem + (order.ending if len(row) > 1 else ""), suffix) for order in row]


def _numbered(row: Sequence[SoundOrder], taken: dict[str, str]) -> list[Stem]:
    """Names after prompt and seed; a number tells those apart that would be equal."""
    slugged, number = slug(row[0].row.prompt), 1
    while True:
        distinct = slugged if number == 1 else f"{slugged}-{number}"
        stems = [distinct + order.ending for order in row]
        if not any(stem.casefold() in taken for stem in stems):
            taken.update((stem.casefold(), row[0].row.place) for stem in stems)
            return [(stem, None) for stem in stems]
        number += 1


def _paths(target: str, stems: list[list[Stem]], suffixes: Collection[str], option: str) -> list[list[Path]]:
    """Where to write each file.

    A target is a folder if it exists as one, ends in a slash or has no suffix; names in it take the first of the
    suffixes unless they have one. Otherwise it is the file.

    Raises:
        typer.BadParameter: when the target is the name of one file, and several are to be written.
        ValueError: when it has a suffix that is unknown.
    """
    path = expanded(target)
    if path.is_dir() or target.endswith(("/", os.sep)) or not path.suffix:
        first = next(iter(suffixes))
        return [[path / f"{stem}{suffix or first}" for stem, suffix in row] for row in stems]
    if path.suffix.lower() not in suffixes:
        raise ValueError(
            f"{option} = {target} has the suffix {path.suffix!r}; expected {in_words(suffixes)}, or a folder: {target}/"
        )
    count = sum(map(len, stems))
    if count > 1:
        raise typer.BadParameter(
            f"{target} is the name of one file, for {count} sounds; give a folder, such as {path.with_suffix('')}/",
            param_hint=option,
        )
    return [[path]]
