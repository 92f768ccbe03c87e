"""A sound to begin with, and several prompts along one."""

from pathlib import Path
from typing import Annotated

import typer

PANEL = "Sound in"

Audio = Annotated[
    Path | None,
    typer.Option(
        "--audio",
        metavar="FILE",
        help="A sound to vary (--strength), or to fill (--fill, --keep), of any format and rate.",
        rich_help_panel=PANEL,
    ),
]
Strength = Annotated[
    float | None,
    typer.Option(
        "--strength",
        help="How much of it is made anew, from 0 to 1; 0.6 unless given.",
        rich_help_panel=PANEL,
    ),
]
Fill = Annotated[
    str | None,
    typer.Option(
        "--fill",
        metavar="SPANS",
        help="Seconds of it to make anew, such as 3:7 or 3:7,9: (to its end); the rest stays as it is.",
        rich_help_panel=PANEL,
    ),
]
Keep = Annotated[
    str | None,
    typer.Option(
        "--keep", metavar="SPANS", help="Seconds of it that stay, in the place of --fill.", rich_help_panel=PANEL
    ),
]
Continue = Annotated[
    Path | None,
    typer.Option(
        "--continue",
        metavar="FILE",
        help="A sound to go on with, for as long as --duration says.",
        rich_help_panel=PANEL,
    ),
]
LeadIn = Annotated[
    float | None,
    typer.Option("--lead-in", help="Seconds to make before the sound that is given.", rich_help_panel=PANEL),
]
Stereo = Annotated[
    bool,
    typer.Option(
        "--stereo",
        help="Make left and right of a sound with two channels, each by itself of the same noise.",
        rich_help_panel=PANEL,
    ),
]
Timeline = Annotated[
    str | None,
    typer.Option(
        "--timeline",
        metavar="PROMPTS",
        help='Several prompts along one sound: "0:rain, 20:rain and thunder". A comma before a number and a colon '
        "begins the next one, unless it is written \\\\,.",
        rich_help_panel=PANEL,
    ),
]
