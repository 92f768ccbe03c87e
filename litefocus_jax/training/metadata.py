"""The table of a data folder: which sound has which caption, as Hugging Face's audiofolder convention writes it."""

import csv
import dataclasses
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

METADATA_FILES = ("metadata.csv", "metadata.jsonl")
COLUMNS = ("file_name", "text")


@dataclasses.dataclass(frozen=True)
class Entry:
    """One row.

    Attributes:
        line: where it stands in the file, counted from 1.
        file_name: of the sound, relative to the data folder.
        caption: on one line, without spaces around it; it may be empty.
    """

    line: int
    file_name: str
    caption: str


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
            f"{' and '.join(COLUMNS)} for each sound"
        )
    if len(found) > 1:
        raise ValueError(f"{folder} holds both {METADATA_FILES[0]} and {METADATA_FILES[1]}; remove one of them")
    return found[0]


def read_metadata(path: Path) -> list[Entry]:
    """Read a table: ``.csv`` with a header, or ``.jsonl`` with an object on each line; other columns are passed over.

    Raises:
        ValueError: when it is not UTF-8 text, has no rows, or a line is malformed; the message names file and line.
        OSError: when it cannot be read.
    """
    rows = _csv_rows if path.suffix == ".csv" else _json_rows
    try:
        entries = list(rows(path))
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from None
    if not entries:
        raise ValueError(f"{path} has no rows; expected one for each sound")
    return entries


def _csv_rows(path: Path) -> Iterator[Entry]:
    with path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True, skipinitialspace=True)
        try:
            header = [name.strip() for name in next(reader, [])]
            if missing := [name for name in COLUMNS if name not in header]:
                raise ValueError(
                    f"{path}, line 1: the columns are {', '.join(map(repr, header)) or 'missing'}, without "
                    f"{' and '.join(map(repr, missing))}; expected a header such as {','.join(COLUMNS)}"
                )
            file_column, text_column = (header.index(name) for name in COLUMNS)
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    raise ValueError(
                        f"{path}, line {reader.line_num}: {len(row)} values for {len(header)} columns; put captions "
                        "that hold commas in double quotes"
                    )
                yield _entry(path, reader.line_num, row[file_column], row[text_column])
        except csv.Error as error:
            raise ValueError(f"{path}, line {reader.line_num}: {error}; expected comma-separated values") from None


def _json_rows(path: Path) -> Iterator[Entry]:
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
        for name in COLUMNS:
            if not isinstance(values.get(name), str):
                found = f"{name} = {values[name]!r}" if name in values else f"no {name}"
                raise ValueError(f"{path}, line {number}: {found}; expected text for {' and '.join(COLUMNS)}")
        yield _entry(path, number, *(values[name] for name in COLUMNS))


def _entry(path: Path, line: int, file_name: str, caption: str) -> Entry:
    if not file_name.strip():
        raise ValueError(f"{path}, line {line}: file_name is empty; expected the name of a sound file")
    return Entry(line, file_name.strip(), " ".join(caption.split()))


def _either() -> str:
    return " or ".join(METADATA_FILES)
