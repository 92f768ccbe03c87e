"""What is trained, and how."""

import enum
from pathlib import Path
from typing import Annotated, Literal

import typer

from litefocus_jax.cli.attention import AttentionChoice
from litefocus_jax.cli.completions import complete_model

LARGEST_COUNT = 2**32 - 1
"""Of updates; `litefocus_jax.training.config.LARGEST_COUNT`, which takes longer to import than the help may take."""

LARGEST_BATCH = 65_536
"""Clips in an update, likewise."""

DEFAULT_WARMUP_STEPS = 100
_OPTIMISER, _COMPUTATION, _RUN = "Optimiser", "Attention, numbers and memory", "The run"
_ADAPTER = "A small adapter instead of the whole model"


class TrainablePart(enum.StrEnum):
    """`litefocus_jax.training.config.LOSS_MODELS`, likewise."""

    UNET = "unet"
    TEXT_ENCODER = "text_encoder"
    TEXT_ENCODER_2 = "text_encoder_2"
    PROJECTION_MODEL = "projection_model"
    LANGUAGE_MODEL = "language_model"


Model = Annotated[
    str,
    typer.Option(
        "--model",
        "-m",
        help="Folder of the checkpoint to begin with, or a hub id.",
        autocompletion=complete_model,
    ),
]
Output = Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder of the run, and of its model.")]
Trainable = Annotated[
    list[TrainablePart] | None,
    typer.Option("--train", help="What is trained, the UNet unless given; may come more than once."),
]
Steps = Annotated[
    int,
    typer.Option(
        min=1, max=LARGEST_COUNT, help="Updates in all; more of them with --resume extend a run that has ended."
    ),
]
BatchSize = Annotated[
    int, typer.Option(min=1, max=LARGEST_BATCH, help="Clips in an update, over all devices and parts.")
]
Resume = Annotated[bool, typer.Option("--resume", help="Go on with the run in OUT; all else as it was begun with.")]
AutoResume = Annotated[
    bool,
    typer.Option(
        "--autoresume",
        help="--resume if there is a run in OUT, else begin one: for schedulers that run a command again.",
    ),
]
LearningRate = Annotated[
    float, typer.Option(help="Learning rate at its highest, after the warm-up.", rich_help_panel=_OPTIMISER)
]
WarmupSteps = Annotated[
    int | None,
    typer.Option(
        min=0,
        max=LARGEST_COUNT,
        help=f"Updates until the learning rate is at its highest; {DEFAULT_WARMUP_STEPS}, or all where there are "
        "fewer, unless given.",
        rich_help_panel=_OPTIMISER,
    ),
]
WeightDecay = Annotated[float, typer.Option(help="Weight decay of AdamW.", rich_help_panel=_OPTIMISER)]
ClipNorm = Annotated[
    float, typer.Option(help="Longest gradient; longer ones are scaled down to it.", rich_help_panel=_OPTIMISER)
]
EmaDecay = Annotated[
    float,
    typer.Option(
        help="Decay of the moving average of the weights, which becomes the model.", rich_help_panel=_OPTIMISER
    ),
]
TimestepShift = Annotated[
    float,
    typer.Option(
        help="How many times as often as evenly the noisiest timesteps are drawn; 1 draws all alike.",
        rich_help_panel=_OPTIMISER,
    ),
]
Lora = Annotated[
    int | None,
    typer.Option(
        metavar="RANK",
        min=1,
        max=65_536,
        help="Train a low-rank adapter (LoRA) of this rank, such as 8, beside a UNet that stays as it is.",
        rich_help_panel=_ADAPTER,
    ),
]
LoraAlpha = Annotated[
    float | None,
    typer.Option(help="Strength of the adapter, as PEFT counts it; its rank unless given.", rich_help_panel=_ADAPTER),
]
LoraTarget = Annotated[
    Literal["attention", "linear"],
    typer.Option(
        help="Layers that are adapted: the projections of attention, or all linear ones.", rich_help_panel=_ADAPTER
    ),
]
LiteFocus = Annotated[
    AttentionChoice,
    typer.Option(
        help="Sparse attention in training; auto goes by the length of the clips.", rich_help_panel=_COMPUTATION
    ),
]
SparseRatio = Annotated[
    float | None,
    typer.Option(
        min=0.0,
        max=1.0,
        help="Share of tokens drawn across frequencies, 0.1 unless given; with --litefocus on, linear or authors.",
        rich_help_panel=_COMPUTATION,
    ),
]
Dtype = Annotated[
    Literal["float32", "bfloat16"],
    typer.Option(help="Number type of the computation; weights in training are float32.", rich_help_panel=_COMPUTATION),
]
GradientAccumulation = Annotated[
    int,
    typer.Option(
        min=1,
        max=LARGEST_BATCH,
        help="Parts of a batch, one after the other: less memory.",
        rich_help_panel=_COMPUTATION,
    ),
]
Remat = Annotated[
    bool,
    typer.Option("--remat", help="Compute activations twice: less memory, more time.", rich_help_panel=_COMPUTATION),
]
Seed = Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all that is drawn.", rich_help_panel=_RUN)]
SaveEvery = Annotated[
    int, typer.Option(min=1, max=LARGEST_COUNT, help="Updates between two checkpoints.", rich_help_panel=_RUN)
]
Quiet = Annotated[
    bool, typer.Option("--quiet", "-q", help="Print nothing but the model's folder.", rich_help_panel=_RUN)
]
