"""Long sound: windows, estimates, runs that are kept on disk."""

from typing import Annotated, Literal

import typer

PANEL = "Long sound"

Windows = Annotated[
    Literal["swap", "average"] | None,
    typer.Option(
        "--windows",
        help="Denoise in overlapping windows: swap takes shared frames by turns (SaFa), average their mean "
        "(MultiDiffusion).",
        rich_help_panel=PANEL,
    ),
]
WindowLength = Annotated[
    float | None,
    typer.Option(
        "--window-length", help="Seconds in a window; the model's training length unless given.", rich_help_panel=PANEL
    ),
]
WindowOverlap = Annotated[
    float | None,
    typer.Option(
        "--window-overlap", help="Seconds that windows share; a fifth of a window unless given.", rich_help_panel=PANEL
    ),
]
DryRun = Annotated[
    bool, typer.Option("--dry-run", help="Say what memory and time it would take.", rich_help_panel=PANEL)
]
SaveEvery = Annotated[
    int | None,
    typer.Option(
        "--save-every",
        min=1,
        max=100_000,
        help="Keep the run on disk, beside the sound, after this many steps.",
        rich_help_panel=PANEL,
    ),
]
Resume = Annotated[
    bool, typer.Option("--resume", help="Go on where the same command was ended.", rich_help_panel=PANEL)
]
IgnoreMemory = Annotated[
    bool, typer.Option("--ignore-memory", help="Run even if memory seems too small.", rich_help_panel=PANEL)
]
