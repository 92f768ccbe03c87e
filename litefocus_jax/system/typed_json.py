"""Frozen dataclasses from JSON that anybody may have written: every value is checked against its field's type."""

import dataclasses
import json
import math
import types
from collections.abc import Mapping
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def parse_object(text: str, source: str) -> dict[str, Any]:
    """Parse a JSON object; NaN and infinity, which JSON does not know, are refused.

    Args:
        text: JSON.
        source: where it came from, for messages.

    Raises:
        ValueError: when it is no JSON, or no object.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    try:
        values = json.loads(text, parse_constant=refuse)
    except RecursionError:
        raise ValueError(f"{source} is nested too deeply") from None
    except ValueError as error:
        raise ValueError(f"{source} is not valid JSON: {error}") from None
    if not isinstance(values, dict):
        raise ValueError(f"{source} holds a JSON {type(values).__name__}; expected an object")
    return values


def from_plain(kind: type[T], values: Any, source: str) -> T:
    """Make a dataclass of what `to_plain` made of it.

    Fields that have defaults may be missing.

    Args:
        kind: the dataclass. Its fields are numbers, texts, truth values, literals, tuples and dataclasses, or None.
        values: a parsed JSON object.
        source: where it came from, for messages.

    Raises:
        ValueError: naming the first field that is missing, unknown, of a wrong type, or refused by the dataclass.
    """
    if not isinstance(values, Mapping):
        raise ValueError(f"{source} = {_shown(values)}; expected an object")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    hints = get_type_hints(kind)
    if unknown := [name for name in values if name not in fields]:
        raise ValueError(f"{source}: {_shown(unknown[0])} is unknown; expected {', '.join(fields)}")
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"{source}: {missing[0]} is missing")
    read = {name: _read(hints[name], value, f"{source}: {name}") for name, value in values.items()}
    try:
        return kind(**read)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source}: {error}") from None


def to_plain(value: Any) -> Any:
    """A dataclass as JSON can hold it; fields at their defaults stay, so that a later default changes nothing."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [to_plain(item) for item in value] if isinstance(value, tuple) else value


def _read(hint: Any, value: Any, source: str) -> Any:
    origin = get_origin(hint)
    if origin in (Union, types.UnionType):
        return _read_one_of(get_args(hint), value, source)
    if dataclasses.is_dataclass(hint):
        return from_plain(hint, value, source)  # pyright: ignore[reportArgumentType]
    if origin is tuple:
        if not isinstance(value, list):
            raise _wrong(value, "a list", source)
        items = get_args(hint)
        if items[-1] is Ellipsis:
            items = items[:1] * len(value)
        if len(items) != len(value):
            raise _wrong(value, f"{len(items)} values", source)
        return tuple(_read(item, each, f"{source}[{place}]") for place, (item, each) in enumerate(zip(items, value)))  # noqa: B905
    if origin is Literal:
        choices = get_args(hint)
        # By type too, since True equals 1.
        if not any(value == choice and type(value) is type(choice) for choice in choices):
            raise _wrong(value, " or ".join(map(repr, choices)), source)
        return value
    if hint is float and type(value) in (int, float):
        try:
            if math.isfinite(number := float(value)):
                return number
        except OverflowError:
            pass
        raise _wrong(value, "a finite number", source)
    names = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}
    if type(value) is not hint:
        raise _wrong(value, names.get(hint, str(hint)), source)
    if hint is str and any("\ud800" <= character <= "\udfff" for character in value):
        raise _wrong(value, "Unicode text", source)
    return value


def _read_one_of(hints: tuple[Any, ...], value: Any, source: str) -> Any:
    """By the first of some types that takes it; the message is that of the first which is not None."""
    first_error = None
    for hint in hints:
        try:
            return _read(hint, value, source)
        except ValueError as error:
            if hint is not type(None):
                first_error = first_error or error
    assert first_error is not None, "a union has more than None"
    raise first_error


def _wrong(value: Any, expected: str, source: str) -> ValueError:
    return ValueError(f"{source} = {_shown(value)}; expected {expected}")


def _shown(value: Any) -> str:
    text = ascii(value)
    return text if len(text) <= 60 else f"{text[:59]}..."
