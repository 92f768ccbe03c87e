"""What a sound was made of: read from a file, or written beside one."""

from pathlib import Path
from typing import Annotated

import typer

PANEL = "What to make"

From = Annotated[
    Path | None,
    typer.Option(
        "--from",
        metavar="FILE",
        help="Make the sound of a file again (.wav, .flac, .mp3, .ogg, .opus, .png or .json); what else is given "
        "changes it.",
        rich_help_panel=PANEL,
    ),
]
Json = Annotated[
    bool,
    typer.Option("--json", help="Also write what it was made of, in a .json beside each sound.", rich_help_panel=PANEL),
]
