"""The table of a data folder: which sound has which captions, as Hugging Face's audiofolder convention writes it."""

import csv
import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

METADATA_FILES = ("metadata.csv", "metadata.jsonl")

# By what names other tables call these columns, the likelier first; only to propose them in an error.
_LIKELY_AUDIO = ("audio", "file", "filename", "file_path", "audio_path", "path", "wav", "location", "youtube_id")
_LIKELY_TEXT = ("caption", "captions", "caption_1", "description", "prompt", "sentence", "label")


@dataclasses.dataclass(frozen=True)
class Columns:
    """Which columns of a table are read; others are passed over.

    Attributes:
        audio: holds the names of the sound files.
        text: hold the captions; of several, a sound has all that are not empty.

    Raises:
        ValueError: when a name is empty, or there is none.
    """

    audio: str = "file_name"
    text: tuple[str, ...] = ("text",)

    def __post_init__(self) -> None:
        if not self.audio:
            raise ValueError("audio_column is empty; expected the name of a column")
        if not self.text or not all(self.text):
            raise ValueError(f"text_column = {list(self.text)}; expected the name of a column, or several")

    @property
    def names(self) -> tuple[str, ...]:
        """All of them, the sound's first."""
        return self.audio, *self.text


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row.

    Attributes:
        line: where it stands in the file, counted from 1.
        file_name: of the sound, relative to the data folder.
        captions: each on one line, without spaces around it; none of them is empty, but there may be none.
    """

    line: int
    file_name: str
    captions: tuple[str, ...]


def find_metadata(folder: Path) -> Path:
    """The table of a data folder.

    Raises:
        FileNotFoundError: when the folder, or the table in it, does not exist.
        NotADirectoryError: when it is a file.
        ValueError: when there are two tables.
    """
    if not folder.exists():
        raise FileNotFoundError(f"{folder} does not exist; expected a folder of sounds with {_either()}")
    if not folder.is_dir():
        raise NotADirectoryError(f"{folder} is a file; expected a folder of sounds with {_either()}")
    found = [folder / name for name in METADATA_FILES if (folder / name).is_file()]
    if not found:
        raise FileNotFoundError(
            f"{folder} holds neither {METADATA_FILES[0]} nor {METADATA_FILES[1]}; expected one of them, with "
            f"{' and '.join(Columns().names)} for each sound"
        )
    if len(found) > 1:
        raise ValueError(f"{folder} holds both {METADATA_FILES[0]} and {METADATA_FILES[1]}; remove one of them")
    return found[0]


def read_metadata(path: Path, columns: Columns = Columns()) -> list[Entry]:
    """Read a table: ``.csv`` with a header, or ``.jsonl`` with an object on each line, whose captions may be a list.

    Raises:
        ValueError: when it is not UTF-8 text, lacks a column, has no rows, or a line is malformed; the message names
            file and line, and for a missing column those that there are.
        OSError: when it cannot be read.
    """
    rows = _csv_rows if path.suffix == ".csv" else _json_rows
    try:
        entries = list(rows(path, columns))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from None
    if not entries:
        raise ValueError(f"{path} has no rows; expected one for each sound")
    return entries


def _csv_rows(path: Path, columns: Columns) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True, skipinitialspace=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            if missing := [name for name in columns.names if name not in header]:
                raise ValueError(
                    f"{path}, line 1: the columns are {_quoted(header) or 'missing'}, without "
                    f"{' and '.join(map(repr, missing))}; expected a header such as {','.join(columns.names)}"
                    f"{_proposal(header, missing, columns)}"
                )
            audio, *texts = (header.index(name) for name in columns.names)
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise ValueError(
                        f"{path}, line {reader.line_num}: {len(row)} values for {len(header)} columns; put captions "
                        "that hold commas in double quotes"
                    )
                yield _entry(path, reader.line_num, columns, row[audio], [row[text] for text in texts])
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}; expected comma-separated values") from None


def _json_rows(path: Path, columns: Columns) -> Iterator[Entry]:
    # Not by `splitlines`, which also parts a caption at separators that JSON allows in strings.
    for number, line in enumerate(path.read_text(encoding="utf-8-sig").split("\n"), 1):
        if not line.strip():
            continue
        try:
            values: Any = json.loads(line)
        except (json.JSONDecodeError, RecursionError) as error:
            raise ValueError(f"{path}, line {number}: not valid JSON: {error}") from None
        if not isinstance(values, dict):
            raise ValueError(f"{path}, line {number}: a JSON {type(values).__name__}; expected an object")
        captions: list[str] = []
        for name in columns.names:
            value = values.get(name)
            texts: list[Any] = value if isinstance(value, list) and name in columns.text else [value]
            if not all(isinstance(text, str) for text in texts):
                raise ValueError(f"{path}, line {number}: {_unsuited(values, name, columns)}")
            if name in columns.text:
                captions += texts
        yield _entry(path, number, columns, values[columns.audio], captions)


def _entry(path: Path, line: int, columns: Columns, file_name: str, captions: Sequence[str]) -> Entry:
    if not file_name.strip():
        raise ValueError(f"{path}, line {line}: {columns.audio} is empty; expected the name of a sound file")
    on_one_line = (" ".join(caption.split()) for caption in captions)
    return Entry(line, file_name.strip(), tuple(dict.fromkeys(filter(None, on_one_line))))


def _unsuited(values: Mapping[str, Any], name: str, columns: Columns) -> str:
    """Says what is wrong with a value of a JSON object."""
    if name in values:
        return f"{name} = {values[name]!r}; expected text{' or a list of texts' if name in columns.text else ''}"
    return (
        f"no {name}; expected text for {' and '.join(columns.names)}; the keys are {_quoted(values) or 'missing'}"
        f"{_proposal(values, [name], columns)}"
    )


def _proposal(found: Sequence[str] | Mapping[str, Any], missing: Sequence[str], columns: Columns) -> str:
    """How to have other columns read, with those that look right among the ones that there are."""
    by_lower_case = {name.lower(): name for name in found}

    def likely(names: Sequence[str]) -> str:
        return repr(next((by_lower_case[name] for name in names if name in by_lower_case), "NAME"))

    if len(found) == 1 and any(separator in next(iter(found)) for separator in ";\t"):
        return "; put commas between the columns"
    proposals = []
    if columns.audio in missing:
        proposals.append(f"audio_column {likely((Columns().audio, *_LIKELY_AUDIO))}")
    if set(columns.text) & set(missing):
        proposals.append(f"text_column {likely((*Columns().text, *_LIKELY_TEXT))}")
    return f". To read other columns: {' '.join(proposals)}"


def _quoted(names: Sequence[str] | Mapping[str, Any]) -> str:
    return ", ".join(map(repr, names))


def _either() -> str:
    return " or ".join(METADATA_FILES)
