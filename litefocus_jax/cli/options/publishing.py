"""Options that publish what was trained."""

from typing import Annotated

import typer

_PANEL = "The run"

Push = Annotated[
    str | None,
    typer.Option(
        "--push",
        metavar="USER/NAME",
        help="Publish the model, or the adapter alone, on the Hugging Face hub, with a card that names its base's "
        "licence.",
        rich_help_panel=_PANEL,
    ),
]
Licence = Annotated[
    str | None,
    typer.Option(
        "--license",
        help="Licence of the model that is trained, such as cc-by-4.0, where its card does not say.",
        rich_help_panel=_PANEL,
    ),
]
