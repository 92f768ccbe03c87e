"""From options of the command line to a sound that is given, and to a timeline."""

import dataclasses
import re
from pathlib import Path
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from litefocus_jax.generation.options import RequestOptions

_NEXT = re.compile(r"(?<!\\),\s*(?=\d+(?:\.\d+)?\s*:)")  # a comma before a number and a colon
_PROMPT = re.compile(r"\s*(\d+(?:\.\d+)?)\s*:(.*)", re.DOTALL)


@dataclasses.dataclass(frozen=True)
class EditOptions:
    """What a command was told of a sound that it begins with; None stands for options that are not given.

    Attributes:
        audio: the file.
        continued: the file, where it is to be continued.
        strength: how much of it is made anew.
        fill: spans to make anew.
        keep: spans that stay.
        lead_in: seconds to make before it.

    Raises:
        typer.BadParameter: naming an option that is malformed, or has no meaning without or beside another.
    """

    audio: Path | None = None
    continued: Path | None = None
    strength: float | None = None
    fill: str | None = None
    keep: str | None = None
    lead_in: float | None = None

    def __post_init__(self) -> None:
        if self.audio is not None and self.continued is not None:
            raise typer.BadParameter("are both given; expected one of them", param_hint="--audio and --continue")
        if self.audio is None and self.continued is None:
            for name in ("strength", "fill", "keep", "lead_in"):
                if getattr(self, name) is not None:
                    option = f"--{name.replace('_', '-')}"
                    raise typer.BadParameter("needs --audio FILE or --continue FILE", param_hint=option)
        self.request_options()

    @property
    def continues(self) -> bool:
        """Whether the length that is asked for is that of what comes after the sound."""
        return self.continued is not None

    def request_options(self) -> "RequestOptions":
        """The options of a request; of a recipe, those that are not given are followed."""
        audio = self.audio or self.continued
        return {
            "audio": None if audio is None else str(audio),
            "strength": self.strength,
            "fill": parse_spans(self.fill, "--fill"),
            "keep": parse_spans(self.keep, "--keep"),
            "lead_in_for_s": self.lead_in,
        }

    def with_length(self, options: "RequestOptions", training_length_in_s: float | None) -> "RequestOptions":
        """The options of a request, whose length is that of what comes after the sound where it is continued.

        Args:
            options: of the request.
            training_length_in_s: what it is unless given.
        """
        if not self.continues:
            return options
        seconds = options.get("audio_length_in_s")
        seconds = training_length_in_s if seconds is None else seconds
        return {**options, "audio_length_in_s": None, "continue_for_s": seconds}


def parse_spans(text: str | None, option: str) -> "list[tuple[float | None, float | None]] | None":
    """The spans that a text means; None for an open end.

    >>> parse_spans("3:7, 9.5:", "--fill")
    [(3.0, 7.0), (9.5, None)]

    Raises:
        typer.BadParameter: naming the option, when it is no list of spans.
    """
    if text is None:
        return None
    spans = []
    for part in text.split(","):
        edges = part.split(":")
        try:
            start, end = (float(edge) if edge.strip() else None for edge in edges)
        except ValueError:
            raise typer.BadParameter(
                f"{part.strip()!r} in {text!r}; expected seconds from and to, such as 3:7 or 3:7,9:12",
                param_hint=option,
            ) from None
        spans.append((start, end))
    return spans


def parse_timeline(text: str | None) -> list[tuple[float, str]] | None:
    """The prompts of a timeline with the second that each begins at.

    Commas and colons may stand in prompts. Only a comma that a number and a colon follow ends one, and that too can be
    written ``\\\\,`` to be part of it.

    >>> parse_timeline("0:rain, wind, 20:a bell: loud, 40.5:birds")
    [(0.0, 'rain, wind'), (20.0, 'a bell: loud'), (40.5, 'birds')]

    Raises:
        typer.BadParameter: when a part does not begin with seconds and a colon.
    """
    if text is None:
        return None
    pairs = []
    for part in _NEXT.split(text):
        match = _PROMPT.fullmatch(part)
        if match is None:
            raise typer.BadParameter(
                f'{part!r} does not begin with seconds and a colon; expected "0:rain, 20:rain and thunder"',
                param_hint="--timeline",
            )
        pairs.append((float(match[1]), match[2].replace("\\,", ",").strip()))
    return pairs


def timeline_text(pairs: list[tuple[float, str]] | None) -> list[str]:
    """The one text that stands for a timeline where a prompt is wanted; nothing where there is none."""
    if pairs is None:
        return []
    from litefocus_jax.generation.timeline import make_timeline

    timeline = make_timeline(pairs)
    return [] if timeline is None else [str(timeline)]
