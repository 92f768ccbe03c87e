"""Attention and numbers."""

from typing import Annotated, Literal

import typer

from litefocus_jax.cli.attention import AttentionChoice

PANEL = "Attention and numbers"

LiteFocus = Annotated[
    AttentionChoice,
    typer.Option(
        "--litefocus",
        help="Sparse attention; auto goes by the length in training lengths, linear costs in proportion to it, and "
        "authors is as on, in the places where its authors' code has it.",
        rich_help_panel=PANEL,
    ),
]
SparseRatio = Annotated[
    float | None,
    typer.Option(
        "--sparse-ratio",
        min=0.0,
        max=1.0,
        help="Share of tokens drawn across frequencies, 0.1 unless given; with --litefocus on, linear or authors.",
        rich_help_panel=PANEL,
    ),
]
MaxCrossTokens = Annotated[
    int | None,
    typer.Option(
        "--max-cross-tokens",
        min=1,
        max=2**31 - 1,
        help="The most tokens drawn; with --litefocus on, linear or authors.",
        rich_help_panel=PANEL,
    ),
]
Reach = Annotated[
    float | None,
    typer.Option(
        "--reach",
        help="Seconds that attention reaches within a frequency (docs/litefocus.md); with --litefocus on, linear or "
        "authors.",
        rich_help_panel=PANEL,
    ),
]
ScaleScores = Annotated[
    bool,
    typer.Option(
        "--scale-scores",
        help="Sharpen attention by the logarithm of what it sees against training.",
        rich_help_panel=PANEL,
    ),
]
TokenMerging = Annotated[
    float | None,
    typer.Option(
        "--token-merging",
        metavar="SHARE",
        help="Merge this share of tokens for attention, such as 0.5, in the place of LiteFocus (docs/paper.md).",
        rich_help_panel=PANEL,
    ),
]
NumberType = Annotated[
    Literal["float32", "bfloat16", "float16"] | None,
    typer.Option(
        "--dtype",
        help="Number type of weights and computation; chosen by device unless given.",
        rich_help_panel=PANEL,
    ),
]
