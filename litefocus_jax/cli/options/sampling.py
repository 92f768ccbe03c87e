"""How to sample: steps, guidance, scheduler, batches."""

from typing import Annotated, Literal

import typer

PANEL = "How to sample"

Steps = Annotated[int, typer.Option("--steps", min=1, help="Denoising steps.", rich_help_panel=PANEL)]
Guidance = Annotated[
    float,
    typer.Option("--guidance", help="How closely to follow the prompt; off at 1 or less.", rich_help_panel=PANEL),
]
Scheduler = Annotated[
    Literal["ddim", "dpm++"] | None,
    typer.Option("--scheduler", help="Sampler; the checkpoint's own unless given.", rich_help_panel=PANEL),
]
Spacing = Annotated[
    Literal["leading", "trailing", "linspace"] | None,
    typer.Option(
        "--spacing",
        help="Spacing of the timesteps; the checkpoint's own unless given, or trailing where that begins below noise.",
        rich_help_panel=PANEL,
    ),
]
Eta = Annotated[
    float,
    typer.Option("--eta", min=0.0, max=1.0, help="Noise that DDIM adds at each step.", rich_help_panel=PANEL),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        help="Sounds at a time; unless given, those of one prompt and seed. More keeps a fast GPU busy; a longer "
        "neighbour may change a sound a little.",
        rich_help_panel=PANEL,
    ),
]
