"""From options of the command line to a sound that is given, and to a timeline."""

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING

import typer

from litefocus_jax.generation.notation import spans_of, timeline_of

if TYPE_CHECKING:
    from litefocus_jax.generation.options import RequestOptions


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
        stereo: whether left and right are made.

    Raises:
        typer.BadParameter: naming an option that is malformed, or has no meaning without or beside another.
    """

    audio: Path | None = None
    continued: Path | None = None
    strength: float | None = None
    fill: str | None = None
    keep: str | None = None
    lead_in: float | None = None
    stereo: bool = False

    def __post_init__(self) -> None:
        if self.audio is not None and self.continued is not None:
            raise typer.BadParameter("are both given; expected one of them", param_hint="--audio and --continue")
        if self.audio is None and self.continued is None:
            for name in ("strength", "fill", "keep", "lead_in", "stereo"):
                if (value := getattr(self, name)) is not None and value is not False:
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
            "stereo": self.stereo,
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
    """The spans that a text means, or None where there is none.

    Raises:
        typer.BadParameter: naming the option, when it is no list of spans.
    """
    try:
        return None if text is None else spans_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint=option) from None


def parse_timeline(text: str | None) -> list[tuple[float, str]] | None:
    """The prompts of a timeline with the second that each begins at, or None where there is none.

    Raises:
        typer.BadParameter: when a part does not begin with seconds and a colon.
    """
    try:
        return None if text is None else timeline_of(text)
    except ValueError as error:
        raise typer.BadParameter(str(error), param_hint="--timeline") from None


def timeline_text(pairs: list[tuple[float, str]] | None) -> list[str]:
    """The one text that stands for a timeline where a prompt is wanted; nothing where there is none."""
    if pairs is None:
        return []
    from litefocus_jax.generation.timeline import make_timeline

    timeline = make_timeline(pairs)
    return [] if timeline is None else [str(timeline)]
