"""What others wrote, as a message may show it: short, and without characters that a terminal would obey."""

from typing import Any

_LONGEST_VALUE = 60
_LONGEST_LINE = 500
_MOST_LINES = 120


def shown(value: Any, longest: int = _LONGEST_VALUE) -> str:
    """A value of a file as a message shows it: in ASCII, everything else escaped, and cut where it is long.

    Args:
        value: a number, a text, or whatever JSON can hold.
        longest: characters, at most.
    """
    try:
        text = ascii(value)
    except (ValueError, RecursionError):  # a number of thousands of digits; lists in lists in lists
        return f"a very large {type(value).__name__}"
    return text if len(text) <= longest else f"{text[: longest - 3]}..."


def is_unicode(text: str) -> bool:
    """Whether a text holds no half of a surrogate pair, as which Python reads bytes that are none."""
    return not any("\ud800" <= character <= "\udfff" for character in text)


def plain(text: str) -> str:
    """A whole message with control characters escaped, such as those that begin colours, and long lines cut.

    Line breaks stay; what follows some hundred of them is left out.
    """
    lines = str(text).split("\n")
    rest = [f"... and {len(lines) - _MOST_LINES} more lines"] * (len(lines) > _MOST_LINES)
    return "\n".join([*map(_plain_line, lines[:_MOST_LINES]), *rest])


def _plain_line(line: str) -> str:
    if len(line) > _LONGEST_LINE:
        line = f"{line[: _LONGEST_LINE // 2]} ... {line[-_LONGEST_LINE // 2 :]}"
    if line.isprintable():
        return line
    return "".join(each if each.isprintable() else each.encode("unicode_escape").decode() for each in line)
