"""Seeds as people write them: one, several, a range, or any."""

import re
import secrets
from collections.abc import Callable

import typer

LARGEST = 2**32 - 1
_MOST = 10_000  # seeds of one command; more is a slip of the hand
_ANY = ("random", "-1")
_EXPECTED = f"a whole number from 0 to {LARGEST}, or random"


def parse_seed(text: str) -> int | None:
    """One seed; None stands for a random one (``random`` or ``-1``).

    Raises:
        ValueError: for anything else, saying what is expected.
    """
    text = text.strip()
    if text.lower() in _ANY:
        return None
    if not re.fullmatch(r"\+?0*[0-9]{1,10}", text) or int(text) > LARGEST:
        raise ValueError(f"{text[:40]!r} is no seed; expected {_EXPECTED}")
    return int(text)


def parse_seeds(text: str) -> list[int | None]:
    """Seeds and ranges of them, separated by commas; a range holds both of its ends. Those given twice count once.

    >>> parse_seeds("0-3, 7")
    [0, 1, 2, 3, 7]

    Raises:
        ValueError: naming the part that is neither.
    """
    seeds: list[int | None] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*([0-9]+)\s*(?:-|\.\.|:|–)\s*([0-9]+)\s*", part)  # noqa: RUF001
        if match is None:
            if not part.strip():
                raise ValueError(f"{text!r} has an empty part; expected seeds such as 0-3 or 1,5,9")
            seeds.append(parse_seed(part))
            continue
        first, last = parse_seed(match[1]), parse_seed(match[2])
        assert first is not None, "it is made of digits"
        assert last is not None, "it is made of digits"
        if last < first:
            raise ValueError(f"{part.strip()!r} goes backwards; expected {last}-{first}")
        if last - first >= _MOST:
            raise ValueError(f"{part.strip()!r} is {last - first + 1:,} seeds; expected at most {_MOST:,}")
        seeds += range(first, last + 1)
    distinct = list(dict.fromkeys(seeds))
    if len(distinct) > _MOST:
        raise ValueError(f"{text[:40]!r} is {len(distinct):,} seeds; expected at most {_MOST:,}")
    return distinct


def chosen_seeds(seed: str | None, seeds: str | None) -> list[int | None]:
    """The seeds of a command, by its options ``--seed`` and ``--seeds``; 0 unless one is given.

    Raises:
        typer.BadParameter: naming the option that is no seed, or given beside the other.
    """
    if seed is not None and seeds is not None:
        raise typer.BadParameter("cannot stand beside --seeds; give one of them", param_hint="--seed")
    if seeds is not None:
        return _named("--seeds", lambda: parse_seeds(seeds))
    return _named("--seed", lambda: [0 if seed is None else parse_seed(seed)])


def _named(option: str, parse: Callable[[], list[int | None]]) -> list[int | None]:
    try:
        return parse()
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def draw_seed() -> int:
    """A seed that nobody chose."""
    return secrets.randbelow(LARGEST + 1)
