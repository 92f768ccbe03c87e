"""How to sample: steps, guidance, scheduler, batches."""

from typing import Annotated, Literal

import typer

PANEL = "How to sample"

Quality = Annotated[
    Literal["fast", "good", "reference"] | None,
    typer.Option(
        "--quality",
        help="Scheduler, steps and spacing together, as the model recommends them (see info); the model's defaults "
        "unless given. What is given beside it holds instead.",
        rich_help_panel=PANEL,
    ),
]
Way = Annotated[
    Literal["authors"] | None,
    typer.Option(
        "--sampling",
        help="Sample as the model's authors do: eta, steps, spacing, length, zeros and three ranked candidates, five "
        "of MusicLDM (docs/sampling.md). What is given beside it holds instead.",
        rich_help_panel=PANEL,
    ),
]
Steps = Annotated[
    int | None,
    typer.Option(
        "--steps",
        min=1,
        max=100_000,
        help="Denoising steps; the model's own number unless given.",
        rich_help_panel=PANEL,
    ),
]
Guidance = Annotated[
    float | None,
    typer.Option(
        "--guidance",
        help="How closely to follow the prompt, off at 1 or less; the model's own unless given.",
        rich_help_panel=PANEL,
    ),
]
Scheduler = Annotated[
    Literal["ddim", "dpm++"] | None,
    typer.Option("--scheduler", help="Sampler; the model's own unless given.", rich_help_panel=PANEL),
]
Spacing = Annotated[
    Literal["leading", "trailing", "linspace", "uniform"] | None,
    typer.Option(
        "--spacing",
        help="Spacing of the timesteps; the model's own unless given, or trailing where that begins below noise. "
        "uniform is that of AudioLDM2's authors, for ddim.",
        rich_help_panel=PANEL,
    ),
]
Eta = Annotated[
    float | None,
    typer.Option(
        "--eta", min=0.0, max=1.0, help="Noise that DDIM adds at each step; none unless given.", rich_help_panel=PANEL
    ),
]
ZeroNegative = Annotated[
    bool | None,
    typer.Option(
        "--zero-negative/--no-zero-negative",
        help="Guide away from zeros in the place of GPT-2's vectors where there is no negative prompt, as AudioLDM2's "
        "authors do.",
        rich_help_panel=PANEL,
        show_default=False,
    ),
]
FramesPerSecond = Annotated[
    float | None,
    typer.Option(
        "--latent-frames-per-second",
        help="Latent frames of a second of --duration, in the place of those that it has: 25.6, as AudioLDM2's authors "
        "count, makes 10.24 s of 10.",
        rich_help_panel=PANEL,
    ),
]
BatchSize = Annotated[
    int | None,
    typer.Option(
        "--batch-size",
        min=1,
        max=10_000,
        help="Sounds at a time; unless given, those of one prompt and seed. More keeps a fast GPU busy.",
        rich_help_panel=PANEL,
    ),
]
PromptPadding = Annotated[
    Literal["batch", "alone"] | None,
    typer.Option(
        "--prompt-padding",
        help="With batch, as in diffusers, a longer neighbour may change a sound a little; with alone, none does. The "
        "model's own unless given.",
        rich_help_panel=PANEL,
    ),
]
