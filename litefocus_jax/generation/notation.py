"""Spans and timelines as a line of text, for whoever types them."""

import re

_NEXT = re.compile(r"(?<!\\),\s*(?=\d+(?:\.\d+)?\s*:)")  # a comma before a number and a colon
_PROMPT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*:(.*)", re.DOTALL)


def spans_of(text: str) -> list[tuple[float | None, float | None]]:
    """The spans that a text means; None for an open end.

    >>> spans_of("3:7, 9.5:")
    [(3.0, 7.0), (9.5, None)]

    Raises:
        ValueError: when it is no list of spans.
    """
    spans = []
    for part in text.split(","):
        try:
            start, end = (float(edge) if edge.strip() else None for edge in part.split(":"))
        except ValueError:
            raise ValueError(
                f"{part.strip()!r} in {text!r}; expected seconds from and to, such as 3:7 or 3:7,9:12"
            ) from None
        spans.append((start, end))
    return spans


def timeline_of(text: str) -> list[tuple[float, str]]:
    r"""The prompts of a timeline with the second that each begins at.

    Commas and colons may stand in prompts. Only a comma that a number and a colon follow ends one, and that too can be
    written ``\,`` to be part of it.

    >>> timeline_of("0:rain, wind, 20:a bell: loud, 40.5:birds")
    [(0.0, 'rain, wind'), (20.0, 'a bell: loud'), (40.5, 'birds')]

    Raises:
        ValueError: when a part does not begin with seconds and a colon.
    """
    pairs = []
    for part in _NEXT.split(text):
        match = _PROMPT.fullmatch(part)
        if match is None:
            raise ValueError(
                f'{part!r} does not begin with seconds and a colon; expected "0:rain, 20:rain and thunder"'
            )
        pairs.append((float(match[1]), match[2].replace("\\,", ",").strip()))
    return pairs
