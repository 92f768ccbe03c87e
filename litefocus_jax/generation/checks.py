"""Values of a user, checked for their type and their range; every message names the argument."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from litefocus_jax.system.messages import is_unicode, shown

LONGEST_IN_S = 86_400.0
"""Seconds of the longest sound that may be asked for."""


def texts_of(name: str, value: Any) -> tuple[str, ...]:
    """One text or several; at least one.

    Raises:
        TypeError: when it is something else.
        ValueError: when it is an empty list, or a text is no Unicode.
    """
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise TypeError(f"{name} is a {type(value).__name__}; expected a string or a list of strings")
    texts = (value,) if isinstance(value, str) else tuple(value)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{name} holds a {type(text).__name__}, {text!r}; expected a string or a list of strings")
        if not is_unicode(text):
            # As Python reads an argument of the command line whose bytes are not text.
            raise ValueError(f"{name} {text!r} holds half of a surrogate pair; expected Unicode text")
    if not texts:
        raise ValueError(f"{name} is an empty list; expected at least one text")
    return texts


def one_word(name: str, value: Any, known: tuple[Any, ...]) -> Any:
    """One of some words, or None.

    Raises:
        ValueError: when it is another one.
    """
    if value is not None and (not isinstance(value, str) or value not in known):
        raise ValueError(f"{name} = {value!r}; expected {', '.join(map(repr, known))} or None")
    return value


def truth(name: str, value: Any) -> bool:
    """True or False.

    Raises:
        TypeError: when it is neither.
    """
    if not isinstance(value, bool):
        raise TypeError(f"{name} = {value!r}; expected True or False")
    return value


def said(name: str, value: Any) -> tuple[str, ...]:
    """Texts none of which is empty; raises as `texts_of`."""
    texts = texts_of(name, value)
    if not all(text.strip() for text in texts):
        raise ValueError(f"{name} is empty; expected what is to be heard, in words")
    return texts


def finite_number(name: str, value: Any) -> float:
    """A finite number.

    Raises:
        TypeError: when it is none.
        ValueError: when it is not finite.
    """
    try:
        if isinstance(value, bool | str):  # which float() would take
            raise TypeError
        real = float(value)
    except (TypeError, ValueError, OverflowError):
        raise TypeError(f"{name} = {shown(value)}; expected a number") from None
    if not math.isfinite(real):
        raise ValueError(f"{name} = {real}; expected a finite number")
    return real


def positive_count(name: str, value: Any, largest: int) -> int:
    """A whole number from 1 to ``largest``.

    Raises:
        TypeError: when it is no whole number.
        ValueError: when it is less or more.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} = {value!r}; expected a whole number")
    if value < 1:
        raise ValueError(f"{name} = {shown(int(value))}; expected at least 1")
    if value > largest:
        raise ValueError(f"{name} = {shown(int(value))}; expected at most {largest:,}")
    return int(value)


def at_most_a_day(name: str, seconds: float) -> float:
    """The same seconds.

    Raises:
        ValueError: when they are more than `LONGEST_IN_S`.
    """
    if seconds > LONGEST_IN_S:
        raise ValueError(f"{name} = {seconds:g} is too long; expected at most {LONGEST_IN_S:g}, a day")
    return seconds
