"""What is done to a sound before it becomes a file."""

from typing import Annotated

import typer

PANEL = "How to finish it"

Normalize = Annotated[
    float | None,
    typer.Option(
        "--normalize",
        metavar="LUFS",
        min=-70.0,
        max=0.0,
        help="Bring it to this loudness, such as -16, as far as its peak stays below --peak, or -1 dBFS unless given.",
        rich_help_panel=PANEL,
    ),
]
Peak = Annotated[
    float | None,
    typer.Option(
        "--peak", metavar="DBFS", min=-60.0, max=0.0, help="Bring its peak to this level.", rich_help_panel=PANEL
    ),
]
Fade = Annotated[
    str | None,
    typer.Option(
        "--fade",
        metavar="SECONDS|IN,OUT",
        help="Fade in and out, over as many seconds each, or over different ones (0.01,0.5).",
        rich_help_panel=PANEL,
    ),
]
Trim = Annotated[
    bool,
    typer.Option("--trim", help="Cut silence, below -60 dBFS, from both ends.", rich_help_panel=PANEL),
]
SampleRate = Annotated[
    int | None,
    typer.Option(
        "--sample-rate",
        metavar="HERTZ",
        min=1000,
        max=768_000,
        help="Samples per second of the file; the model's unless given.",
        rich_help_panel=PANEL,
    ),
]
