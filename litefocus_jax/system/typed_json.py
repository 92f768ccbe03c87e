"""Frozen dataclasses from JSON that anybody may have written: every value is checked against its field's type."""

import dataclasses
import functools
import json
import math
import types
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

from litefocus_jax.system.messages import is_unicode, shown

T = TypeVar("T")


@dataclasses.dataclass(frozen=True)
class Range:
    """The numbers that a field takes, or how many items; stands in ``typing.Annotated`` behind the type.

    Attributes:
        lowest: the smallest.
        highest: the largest.
    """

    lowest: float
    highest: float

    def __contains__(self, value: Any) -> bool:
        return self.lowest <= (len(value) if isinstance(value, tuple | list | str) else value) <= self.highest

    def __str__(self) -> str:
        return f"from {self.lowest:,} to {self.highest:,}"


def parse_object(text: str, source: str, *, allow_non_finite: bool = False) -> dict[str, Any]:
    """Parse a JSON object, in which no name stands twice.

    Args:
        text: JSON.
        source: where it came from, for messages.
        allow_non_finite: take NaN and infinity, which JSON does not know and Python writes all the same.

    Raises:
        ValueError: when it is no JSON, or no object.
    """

    def refuse(constant: str) -> None:
        raise ValueError(f"{constant} is no number of JSON")

    def distinct(pairs: Sequence[tuple[str, Any]]) -> dict[str, Any]:
        values = dict(pairs)
        if len(values) < len(pairs):
            names = [name for name, _ in pairs]
            twice = next(name for name in values if names.count(name) > 1)
            raise ValueError(f"{shown(twice)} stands twice in one object")
        return values

    constants: Any = {} if allow_non_finite else {"parse_constant": refuse}
    try:
        values = json.loads(text, object_pairs_hook=distinct, **constants)
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
        raise ValueError(f"{source} = {shown(values)}; expected an object")
    fields = {field.name: field for field in dataclasses.fields(kind)}  # pyright: ignore[reportArgumentType]
    hints = field_types(kind)
    if unknown := [name for name in values if name not in fields]:
        raise ValueError(f"{source}: {shown(unknown[0])} is unknown; expected {', '.join(fields)}")
    required = [
        name
        for name, field in fields.items()
        if field.default is dataclasses.MISSING and field.default_factory is dataclasses.MISSING
    ]
    if missing := [name for name in required if name not in values]:
        raise ValueError(f"{source}: {missing[0]} is missing")
    read = {name: read_as(hints[name], value, f"{source}: {name}") for name, value in values.items()}
    try:
        return kind(**read)
    except (TypeError, ValueError) as error:
        raise ValueError(f"{source}: {error}") from None


def to_plain(value: Any) -> Any:
    """A dataclass as JSON can hold it; fields at their defaults stay, so that a later default changes nothing."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
    return [to_plain(item) for item in value] if isinstance(value, tuple) else value


@functools.cache
def field_types(kind: Callable[..., Any]) -> Mapping[str, Any]:
    """The annotations of a dataclass, by field, with the ranges that stand in them."""
    return get_type_hints(kind, include_extras=True)


def read_as(hint: Any, value: Any, source: str) -> Any:
    """Check a parsed value against an annotation.

    Args:
        hint: a type out of those that `from_plain` knows; within ``typing.Annotated`` it may have a `Range`.
        value: as JSON has it; lists may be tuples.
        source: where it came from, for messages.

    Returns:
        The value as the annotation wants it: lists as tuples, whole numbers as floats where those are wanted.

    Raises:
        ValueError: naming what was found and what is expected.
    """
    origin = get_origin(hint)
    if origin is Annotated:
        inner, bound = get_args(hint)
        if inner not in _NAMES:
            read = read_as(inner, value, source)
            if read not in bound:
                raise _wrong(value, f"a number of items {bound}", source)
            return read
        try:
            read = read_as(inner, value, source)
        except ValueError:
            read = None
        if read is None or read not in bound:
            raise _wrong(value, f"{'a finite number' if inner is float else _NAMES[inner]} {bound}", source)
        return read
    if origin in (Union, types.UnionType):
        return _read_one_of(get_args(hint), value, source)
    if dataclasses.is_dataclass(hint) and isinstance(hint, type):
        if isinstance(value, hint):
            return value
        return from_plain(hint, value, source)  # pyright: ignore[reportArgumentType]
    if origin is tuple:
        if not isinstance(value, list | tuple):
            raise _wrong(value, "a list", source)
        items = get_args(hint)
        if items[-1] is Ellipsis:
            items = items[:1] * len(value)
        if len(items) != len(value):
            raise _wrong(value, f"{len(items)} values", source)
        return tuple(read_as(item, each, f"{source}[{place}]") for place, (item, each) in enumerate(zip(items, value)))  # noqa: B905
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
    if type(value) is not hint:
        raise _wrong(value, _NAMES.get(hint, str(hint)), source)
    if hint is str and not is_unicode(value):
        raise _wrong(value, "Unicode text", source)
    return value


_NAMES = {int: "a whole number", float: "a number", str: "text", bool: "true or false", type(None): "null"}


def _read_one_of(hints: tuple[Any, ...], value: Any, source: str) -> Any:
    """By the first of some types that takes it; the message is that of the first which is not None."""
    first_error = None
    for hint in hints:
        try:
            return read_as(hint, value, source)
        except ValueError as error:
            if hint is not type(None):
                first_error = first_error or error
    assert first_error is not None, "a union has more than None"
    raise ValueError(f"{first_error} or null") if type(None) in hints else first_error


def _wrong(value: Any, expected: str, source: str) -> ValueError:
    return ValueError(f"{source} = {shown(value)}; expected {expected}")
