"""What to make, and where to: prompts, seeds, files."""

from pathlib import Path
from typing import Annotated

import typer

PANEL = "What to make"

Prompts = Annotated[
    list[str] | None, typer.Argument(metavar="[PROMPT]...", help="What to hear; several make several sounds.")
]
Model = Annotated[
    str | None,
    typer.Option(
        "--model",
        "-m",
        help="Folder of a checkpoint, or a hub id such as cvssp/audioldm2; the small bundled model unless given.",
    ),
]
Duration = Annotated[
    float | None,
    typer.Option("--duration", "-d", help="Seconds of sound; the model's training length unless given."),
]
Target = Annotated[
    str,
    typer.Option(
        "--output",
        "-o",
        metavar="FILE|FOLDER",
        help="A .wav or .flac file; or a folder, where WAV files are named after prompt and seed.",
    ),
]
PromptsFile = Annotated[
    Path | None,
    typer.Option(
        "--prompts",
        metavar="FILE",
        exists=True,
        dir_okay=False,
        readable=True,
        help="More prompts, one per line; empty lines and lines that start with # are skipped.",
    ),
]
Negative = Annotated[
    str | None, typer.Option("--negative", help="What not to hear.", rich_help_panel=PANEL, show_default=False)
]
Waveforms = Annotated[int, typer.Option("--waveforms", min=1, help="Sounds for each prompt.", rich_help_panel=PANEL)]
Seed = Annotated[
    int,
    typer.Option("--seed", min=0, max=2**32 - 1, help="The same seed makes the same sound.", rich_help_panel=PANEL),
]
Spectrogram = Annotated[
    str | None,
    typer.Option(
        "--spectrogram",
        metavar="FILE|FOLDER",
        help="Also draw a .png, or one for each sound in a folder.",
        rich_help_panel=PANEL,
    ),
]
Subtype = Annotated[
    str,
    typer.Option("--subtype", help="Sample format: PCM_16, PCM_24, or FLOAT for .wav.", rich_help_panel=PANEL),
]
Overwrite = Annotated[bool, typer.Option("--overwrite", help="Replace files.", rich_help_panel=PANEL)]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the files.")]
