"""Which model: names and folders of checkpoints."""

from typing import Annotated, Literal

import typer

from litefocus_jax.cli.completions import complete_model

Checkpoint = Annotated[
    str,
    typer.Argument(
        help="The checkpoint: a folder, or a hub id such as cvssp/audioldm2.", autocompletion=complete_model
    ),
]
CheckpointOrSound = Annotated[
    str,
    typer.Argument(
        metavar="MODEL|SOUND",
        help="A checkpoint: a folder, or a hub id such as cvssp/audioldm2; or a sound, or a picture of one.",
        autocompletion=complete_model,
    ),
]
Revision = Annotated[str | None, typer.Option("--revision", help="Branch, tag or commit of a model on the hub.")]
Heads = Annotated[
    Literal["stored", "trained"] | None,
    typer.Option(
        "--heads",
        help="Attention heads of the UNet where the file has as many at every level: those of the file, or heads of 32 "
        "channels, as AudioLDM2 was trained (docs/checkpoints.md).",
    ),
]

Prompts = Annotated[
    bool, typer.Option("--prompts", help="Print the kinds of sound and the words that a small model knows.")
]
Lora = Annotated[
    list[str] | None,
    typer.Option(
        metavar="FILE[:STRENGTH]",
        help="Low-rank adapter to add to the model, a file or folder as finetune --lora writes it; at half strength "
        "with :0.5. May be given several times.",
    ),
]
Verify = Annotated[
    bool,
    typer.Option("--verify", help="Read all of the model, and compare every file with the digest it was written with."),
]
