"""The captions of sounds that are to be judged, from a table of ours or of AudioCaps."""

import csv
import unicodedata
from collections.abc import Iterable, Mapping
from pathlib import Path, PurePosixPath

from litefocus_jax.evaluation.features import MetricError
from litefocus_jax.evaluation.sounds import listed
from litefocus_jax.training.file_names import SOUND_SUFFIXES

OURS = ("file_name", "text")
"""Columns of the tables that training reads, too."""

AUDIOCAPS = ("audiocap_id", "youtube_id", "start_time", "caption")
"""Columns of AudioCaps' tables (Kim et al., NAACL 2019)."""


def captions_of(path: str | Path, names: Iterable[str]) -> dict[str, str]:
    """The caption of each sound.

    A sound may be called by its file name in a table of ours, with or without suffix. In one of AudioCaps, it may be
    called by the number of the caption, or by the video: ``youtube_id``, ``youtube_id`` and ``start_time`` joined by an
    underscore, both also after a Y, as downloaders write them. A video has several captions there; its first one is
    taken.

    Args:
        path: of a CSV file with a header.
        names: of the sounds, without suffix.

    Returns:
        By the names of the sounds, in their order.

    Raises:
        MetricError: when the table has other columns, a row is malformed, or there are sounds without captions or
            captions without sounds; the message names them.
        OSError: when it cannot be read.
    """
    path, names = _checked(Path(path)), list(names)
    rows = _read(path)
    found: dict[str, str] = {}
    spare: dict[str, None] = {}
    wanted = set(names)
    for line, (caption, written) in rows.items():
        spellings = [unicodedata.normalize("NFC", name) for name in written]
        matching = [name for name in spellings if name in wanted]
        if not matching:
            spare[f"{spellings[0]} (line {line})"] = None
        for name in matching:
            found.setdefault(name, caption)
    problems = []
    if missing := [name for name in names if name not in found]:
        problems.append(f"sounds without a caption: {listed(missing)}")
    if spare:
        problems.append(f"captions without a sound: {listed(list(spare))}")
    if problems:
        raise MetricError(f"{path} does not fit the sounds: {'; '.join(problems)}. Expected one for the other")
    return {name: found[name] for name in names}


def read_captions(path: str | Path) -> list[str]:
    """The captions of a table in its order, whatever their sounds are called.

    Raises:
        MetricError: as `captions_of`, but for sounds that are missing.
        OSError: when it cannot be read.
    """
    return [caption for caption, _ in _read(_checked(Path(path))).values()]


def _checked(path: Path) -> Path:
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist, or is no file; expected a table of captions")
    return path


def _read(path: Path) -> Mapping[int, tuple[str, tuple[str, ...]]]:
    """Caption, and what its sound may be called, by line."""
    rows: dict[int, tuple[str, tuple[str, ...]]] = {}
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True, skipinitialspace=True)
            columns = [name.strip() for name in reader.fieldnames or ()]
            reader.fieldnames = columns
            wanted = next((layout for layout in (OURS, AUDIOCAPS) if set(layout) <= set(columns)), None)
            if wanted is None:
                raise MetricError(
                    f"{path}, line 1: the columns are {', '.join(columns) or 'missing'}; expected {','.join(OURS)} or "
                    f"AudioCaps' {','.join(AUDIOCAPS)}"
                )
            for row in reader:
                values = [row[name] for name in wanted]
                if None in row or not all(isinstance(value, str) and value.strip() for value in values):
                    raise MetricError(
                        f"{path}, line {reader.line_num}: {[*row.values()]}; expected a value for each of "
                        f"{', '.join(wanted)}; put captions that hold commas in double quotes"
                    )
                *identity, caption = (" ".join(value.split()) for value in values)
                spellings = _audiocaps_names(*identity) if wanted == AUDIOCAPS else _file_names(*identity)
                rows[reader.line_num] = caption, spellings
    except csv.Error as error:
        raise MetricError(f"{path} is no table of comma-separated values: {error}") from None
    except UnicodeDecodeError as error:
        raise MetricError(f"{path} is not UTF-8 text: {error}") from None
    if not rows:
        raise MetricError(f"{path} has no rows; expected a caption for each sound")
    return rows


def _file_names(file_name: str) -> tuple[str, ...]:
    path = PurePosixPath(file_name.replace("\\", "/"))
    name = path.as_posix()
    return (path.with_suffix("").as_posix(),) if path.suffix.lower() in SOUND_SUFFIXES else (name,)


def _audiocaps_names(audiocap_id: str, youtube_id: str, start_time: str) -> tuple[str, ...]:
    videos = (youtube_id, f"{youtube_id}_{start_time}")
    return audiocap_id, *videos, *(f"Y{name}" for name in videos)
