"""What to look at while a model is trained."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from litefocus_jax.cli.options.training import LARGEST_COUNT

_MEANWHILE = "What to look at meanwhile"

Validation = Annotated[
    Path | None,
    typer.Option(
        metavar="DATA",
        help="Folder like DATA, whose loss is logged with the same noise each time.",
        rich_help_panel=_MEANWHILE,
    ),
]
HoldOut = Annotated[
    float | None,
    typer.Option(
        metavar="SHARE",
        help="Share of DATA, such as 0.1, that is not trained on but validated with.",
        rich_help_panel=_MEANWHILE,
    ),
]
ValidateEvery = Annotated[
    int, typer.Option(min=1, max=LARGEST_COUNT, help="Updates between two validations.", rich_help_panel=_MEANWHILE)
]
SamplePrompts = Annotated[
    list[str] | None,
    typer.Option(
        metavar="PROMPT",
        help="Text to make a sound of while training, in OUT/samples; may come more than once.",
        rich_help_panel=_MEANWHILE,
    ),
]
SamplesEvery = Annotated[
    int,
    typer.Option(
        min=1, max=LARGEST_COUNT, help="Updates between two makings of these sounds.", rich_help_panel=_MEANWHILE
    ),
]
LogTo = Annotated[
    Literal["tensorboard"] | None,
    typer.Option(help="Where to log beside OUT/log.jsonl.", rich_help_panel=_MEANWHILE),
]
