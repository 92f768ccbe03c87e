"""Prompts from a file: lines, CSV, TSV or JSON lines, told apart by the file's suffix."""

import csv
import dataclasses
import io
import json
import math
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from litefocus_jax.cli.seeds import parse_seed
from litefocus_jax.cli.suggestions import did_you_mean

# Each column, and other names that people have for it.
COLUMNS = {
    "prompt": ("text", "caption", "description"),
    "negative_prompt": ("negative",),
    "transcription": ("transcript",),
    "seed": (),
    "duration": ("audio_length_in_s", "seconds", "length"),
    "name": ("file_name", "filename"),
}
_BY_SPELLING = {spelling: column for column, others in COLUMNS.items() for spelling in (column, *others)}
_TABLES = {".csv": (",", ";", "\t"), ".tsv": ("\t",), ".tab": ("\t",)}
_JSON_LINES = (".jsonl", ".ndjson")

Seed = int | None
"""A seed; None is a random one."""


@dataclasses.dataclass(frozen=True)
class PromptRow:
    """What a user asks for by one prompt; None stands for what holds for the whole command.

    Attributes:
        prompt: what to hear.
        negative_prompt: what not to hear.
        seeds: at most one.
        audio_length_in_s: seconds.
        name: of the file, with or without a suffix.
        transcription: what is said.
        place: where it stands, for messages.
    """

    prompt: str
    negative_prompt: str | None = None
    seeds: tuple[Seed, ...] = ()
    audio_length_in_s: float | None = None
    name: str | None = None
    place: str = "PROMPT"
    transcription: str | None = None


def read_prompts(path: Path) -> list[PromptRow]:
    """The prompts of a file.

    A table (``.csv``, ``.tsv``) begins with the names of its columns; JSON lines (``.jsonl``) are objects with these
    names, or strings. Whatever is empty or missing is as for the whole command. In any other file each line is a
    prompt, without empty ones and those that start with ``#``.

    Raises:
        ValueError: naming file, line, column, the value and what is expected.
        OSError: when it cannot be read.
    """
    try:
        text = path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from None
    suffix = path.suffix.lower()
    if suffix in _TABLES:
        rows = list(_table_rows(path, text, _TABLES[suffix]))
    elif suffix in _JSON_LINES:
        rows = list(_json_rows(path, text))
    else:
        lines = [(number, line.strip()) for number, line in enumerate(text.splitlines(), 1)]
        rows = [
            PromptRow(line, place=f"{path}, line {number}")
            for number, line in lines
            if line and not line.startswith("#")
        ]
    if not rows:
        raise ValueError(f"{path} holds no prompts; expected at least one")
    return rows


def _table_rows(path: Path, text: str, delimiters: tuple[str, ...]) -> Iterator[PromptRow]:
    lines = text.lstrip("\r\n")
    skipped = text[: len(text) - len(lines)].count("\n")
    heading = lines.splitlines()[0] if lines else ""
    # Spreadsheets of many countries write semicolons, or tabs.
    delimiter = next((each for each in delimiters if each in heading), delimiters[0])
    reader = csv.reader(io.StringIO(lines, newline=""), delimiter=delimiter, strict=True)
    columns: list[str] | None = None
    begins = skipped + 1
    try:
        for cells in reader:
            place, begins = f"{path}, line {begins}", skipped + reader.line_num + 1
            if not any(cell.strip() for cell in cells):
                continue
            if columns is None:
                columns = _columns(place, cells)
                continue
            if extra := [cell for cell in cells[len(columns) :] if cell.strip()]:
                raise ValueError(
                    f"{place} has {len(cells)} cells for {len(columns)} columns, {extra[0]!r} among them; expected a "
                    "text with a comma in it to stand in double quotes"
                )
            yield _row(place, dict(zip(columns, cells, strict=False)))
    except csv.Error as error:
        raise ValueError(f"{path}, line {begins}: {error}; expected CSV, with text in double quotes closed") from None


def _json_rows(path: Path, text: str) -> Iterator[PromptRow]:
    for number, line in enumerate(text.split("\n"), 1):
        place = f"{path}, line {number}"
        if not line.strip():
            continue
        try:
            value = json.loads(line, object_pairs_hook=list)
        except ValueError as error:
            raise ValueError(f"{place} is not JSON: {error}; expected one object a line") from None
        except RecursionError:
            raise ValueError(f"{place} is not JSON that can be read; expected one object a line") from None
        if isinstance(value, str):
            value = [("prompt", value)]
        is_object = isinstance(value, list) and line.lstrip().startswith(("{", '"'))
        if not is_object:
            raise ValueError(f'{place} is {line.strip()[:40]}; expected an object such as {{"prompt": "rain"}}')
        columns = _columns(place, [name for name, _ in value])
        yield _row(place, dict(zip(columns, (each for _, each in value), strict=True)))


def _columns(place: str, names: list[str]) -> list[str]:
    """The columns that some names mean."""
    columns = []
    for name in names:
        spelling = name.strip().lower().replace(" ", "_").replace("-", "_")
        if spelling not in _BY_SPELLING:
            known = ", ".join(COLUMNS)
            raise ValueError(
                f"{place}: unknown column {name!r}; expected some of {known}.{did_you_mean(spelling, [*_BY_SPELLING])}"
            )
        column = _BY_SPELLING[spelling]
        if column in columns:
            raise ValueError(f"{place}: column {name!r} gives {column} a second time; expected it once")
        columns.append(column)
    if "prompt" not in columns:
        raise ValueError(f"{place}: no column prompt among {', '.join(map(repr, names))}; expected one")
    return columns


def _row(place: str, cells: dict[str, Any]) -> PromptRow:
    """Check a row's values; empty cells and null are left out, a prompt excepted."""
    prompt = _text(place, "prompt", cells.pop("prompt"))
    if not prompt:
        raise _error(place, "prompt", prompt, "a text that says what to hear")
    cells = {
        column: value
        for column, value in cells.items()
        if value is not None and not (isinstance(value, str) and not value.strip())
    }
    negative, name, said = (
        _text(place, column, cells[column]) if column in cells else None
        for column in ("negative_prompt", "name", "transcription")
    )
    seeds = (_seed(place, cells["seed"]),) if "seed" in cells else ()
    seconds = _seconds(place, cells["duration"]) if "duration" in cells else None
    return PromptRow(prompt, negative, seeds, seconds, name, place, said)


def _text(place: str, column: str, value: Any) -> str:
    if not isinstance(value, str):
        raise _error(place, column, value, "a text")
    return value.strip()


def _seed(place: str, value: Any) -> Seed:
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    try:
        # Whole numbers with a point are what spreadsheets make of a column with empty cells.
        text = str(value)
        return parse_seed(text.strip().removesuffix(".0") if isinstance(value, str) else text)
    except ValueError:
        raise _error(place, "seed", value, "a whole number from 0 to 4294967295, or random") from None


def _seconds(place: str, value: Any) -> float:
    try:
        seconds = math.nan if isinstance(value, bool) else float(value)
    except (TypeError, ValueError, OverflowError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise _error(place, "duration", value, "seconds above 0, such as 2.5")
    return seconds


def _error(place: str, column: str, value: Any, expected: str) -> ValueError:
    shown = repr(value)
    shown = shown if len(shown) <= 60 else f"{shown[:60]} ..."
    return ValueError(f"{place}, column {column}: {shown}; expected {expected}")
