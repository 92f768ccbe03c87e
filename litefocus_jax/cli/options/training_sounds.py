"""The sounds of a training, and what becomes of them."""

from pathlib import Path
from typing import Annotated, Literal

import typer

_DATA = "Sounds"

Data = Annotated[
    Path,
    typer.Argument(metavar="DATA", help="Folder of sounds with metadata.csv or metadata.jsonl (file_name,text)."),
]
Duration = Annotated[
    float | None,
    typer.Option(
        "--duration",
        "-d",
        help="Seconds of each clip; the model's training length unless given.",
        rich_help_panel=_DATA,
    ),
]
Short = Annotated[
    Literal["repeat", "pad"],
    typer.Option(
        help="What becomes of sounds shorter than a clip: they are repeated until it is full, or followed by "
        "silence, which is then what their captions teach.",
        rich_help_panel=_DATA,
    ),
]
AudioColumn = Annotated[
    str, typer.Option(help="Column of the table with the names of the sound files.", rich_help_panel=_DATA)
]
TextColumn = Annotated[
    list[str] | None,
    typer.Option(
        help="Column with the captions, text unless given; of several, one caption is drawn for each clip.",
        rich_help_panel=_DATA,
    ),
]
Peak = Annotated[
    float | None,
    typer.Option(
        min=0.001,
        max=1.0,
        help="Bring every clip to this peak, without its mean; the published models learnt at 0.5. Levels are left "
        "alone unless given.",
        rich_help_panel=_DATA,
    ),
]
CaptionDropout = Annotated[
    float,
    typer.Option(min=0.0, max=1.0, help="Share of clips without their caption, for guidance.", rich_help_panel=_DATA),
]
