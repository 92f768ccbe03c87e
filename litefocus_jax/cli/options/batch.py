"""Options of many sounds that hosts share."""

from pathlib import Path
from typing import Annotated, Literal

import typer

PromptsFile = Annotated[
    Path,
    typer.Argument(
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="Prompts, one per line; or a table, .csv, .tsv or .jsonl, with the column prompt, and any of "
        "negative_prompt, seed, duration and name.",
    ),
]
Folder = Annotated[Path, typer.Argument(metavar="OUT", file_okay=False, help="Folder of the sounds, shared by all.")]
Format = Annotated[
    Literal["wav", "flac", "mp3", "ogg", "opus"], typer.Option("--format", help="Format of the sound files.")
]
BatchSize = Annotated[
    int,
    typer.Option(
        "--batch-size",
        min=1,
        max=10_000,
        help="Sounds at a time, the same for all hosts; the devices of a host share them where they can be divided.",
    ),
]
Lease = Annotated[
    float,
    typer.Option(
        "--lease",
        metavar="SECONDS",
        min=1.0,
        max=86_400.0,
        help="Silence of a host after which others take over what it was at.",
    ),
]
NoWait = Annotated[
    bool,
    typer.Option(
        "--no-wait", help="End when nothing is left to begin, though others are still at some; no report is written."
    ),
]
