"""``litefocus-jax finetune``: a folder of captioned sounds in, a model out."""

import dataclasses
import enum
import logging
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from litefocus_jax.cli.attention import AttentionChoice, AttentionOptions
from litefocus_jax.cli.completions import complete_model
from litefocus_jax.cli.console import INTERRUPTED, logger, messages, output, quieten, reporting_errors
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options.checkpoint import Revision
from litefocus_jax.cli.start import find_devices

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from litefocus_jax.models.components import Components
    from litefocus_jax.training.batches import AudioBatches
    from litefocus_jax.training.config import TrainingConfig
    from litefocus_jax.training.data import Dataset

_DATA, _OPTIMISER, _COMPUTATION, _RUN = "Sounds", "Optimiser", "Attention, numbers and memory", "The run"

_OUT_OF_MEMORY = "out of memory; try --remat, a larger --gradient-accumulation, --dtype bfloat16 or shorter sounds (-d)"
_DEFAULT_WARMUP_STEPS = 100
_SKIPPED_SHOWN = 20


class TrainablePart(enum.StrEnum):
    """`litefocus_jax.training.config.LOSS_MODELS`, which takes longer to import than the help may take."""

    UNET = "unet"
    TEXT_ENCODER = "text_encoder"
    TEXT_ENCODER_2 = "text_encoder_2"
    PROJECTION_MODEL = "projection_model"
    LANGUAGE_MODEL = "language_model"


def finetune(
    data: Annotated[
        Path,
        typer.Argument(metavar="DATA", help="Folder of sounds with metadata.csv or metadata.jsonl (file_name,text)."),
    ],
    *,
    model: Annotated[
        str,
        typer.Option(
            "--model",
            "-m",
            help="Folder of the checkpoint to begin with, or a hub id.",
            autocompletion=complete_model,
        ),
    ],
    revision: Revision = None,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder of the run, and of its model.")],
    trainable: Annotated[
        list[TrainablePart] | None,
        typer.Option("--train", help="What is trained, the UNet unless given; may come more than once."),
    ] = None,
    steps: Annotated[int, typer.Option(min=1, help="Updates in all.")] = 1000,
    batch_size: Annotated[int, typer.Option(min=1, help="Clips in an update, over all devices and parts.")] = 8,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on with the run in OUT; all else as it was begun with.")
    ] = False,
    duration: Annotated[
        float | None,
        typer.Option(
            "--duration",
            "-d",
            help="Seconds of each clip; the model's training length unless given.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    peak: Annotated[
        float | None,
        typer.Option(
            min=0.001,
            max=1.0,
            help="Bring every clip to this peak, without its mean; the published models learnt at 0.5. Levels are left "
            "alone unless given.",
            rich_help_panel=_DATA,
        ),
    ] = None,
    caption_dropout: Annotated[
        float,
        typer.Option(
            min=0.0, max=1.0, help="Share of clips without their caption, for guidance.", rich_help_panel=_DATA
        ),
    ] = 0.1,
    learning_rate: Annotated[
        float, typer.Option(help="Learning rate at its highest, after the warm-up.", rich_help_panel=_OPTIMISER)
    ] = 1e-4,
    warmup_steps: Annotated[
        int | None,
        typer.Option(
            min=0,
            help=f"Updates until the learning rate is at its highest; {_DEFAULT_WARMUP_STEPS}, or all where there are "
            "fewer, unless given.",
            rich_help_panel=_OPTIMISER,
        ),
    ] = None,
    weight_decay: Annotated[float, typer.Option(help="Weight decay of AdamW.", rich_help_panel=_OPTIMISER)] = 0.01,
    clip_norm: Annotated[
        float, typer.Option(help="Longest gradient; longer ones are scaled down to it.", rich_help_panel=_OPTIMISER)
    ] = 1.0,
    ema_decay: Annotated[
        float,
        typer.Option(
            help="Decay of the moving average of the weights, which becomes the model.", rich_help_panel=_OPTIMISER
        ),
    ] = 0.999,
    timestep_shift: Annotated[
        float,
        typer.Option(
            help="How many times as often as evenly the noisiest timesteps are drawn; 1 draws all alike.",
            rich_help_panel=_OPTIMISER,
        ),
    ] = 1.0,
    litefocus: Annotated[
        AttentionChoice,
        typer.Option(
            help="Sparse attention in training; auto goes by the length of the clips.", rich_help_panel=_COMPUTATION
        ),
    ] = "off",
    sparse_ratio: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of tokens drawn across frequencies, 0.1 unless given; with --litefocus on or linear.",
            rich_help_panel=_COMPUTATION,
        ),
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16"],
        typer.Option(
            help="Number type of the computation; weights in training are float32.", rich_help_panel=_COMPUTATION
        ),
    ] = "float32",
    gradient_accumulation: Annotated[
        int,
        typer.Option(min=1, help="Parts of a batch, one after the other: less memory.", rich_help_panel=_COMPUTATION),
    ] = 1,
    remat: Annotated[
        bool,
        typer.Option(
            "--remat", help="Compute activations twice: less memory, more time.", rich_help_panel=_COMPUTATION
        ),
    ] = False,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of all that is drawn.", rich_help_panel=_RUN)
    ] = 0,
    save_every: Annotated[
        int, typer.Option(min=1, help="Updates between two checkpoints.", rich_help_panel=_RUN)
    ] = 500,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but the model's folder.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Train a model's UNet, or what --train names, on sounds with captions.

    OUT gets the model, a log with a line for each update, and checkpoints. Ctrl-C saves one and stops; the same command
    with --resume goes on, to the weights that an uninterrupted run ends with. All devices of this machine are used. The
    folder of the model is printed to standard output, all else to standard error.
    """
    attention = AttentionOptions(litefocus, sparse_ratio)

    with reporting_errors(_OUT_OF_MEMORY):
        if quiet:
            quieten()
        # In this order, because each part takes longer than the one before it.
        from litefocus_jax.system.extras import import_extra
        from litefocus_jax.training.config import TrainingConfig
        from litefocus_jax.training.loop import MODEL, check_run_folder, train
        from litefocus_jax.training.updates import TrainingInterrupted

        config = TrainingConfig(
            steps=steps,
            batch_size=batch_size,
            gradient_accumulation=gradient_accumulation,
            learning_rate=learning_rate,
            warmup_steps=min(_DEFAULT_WARMUP_STEPS, steps) if warmup_steps is None else warmup_steps,
            weight_decay=weight_decay,
            clip_norm=clip_norm,
            ema_decay=ema_decay,
            caption_dropout=caption_dropout,
            timestep_shift=timestep_shift,
            trainable=tuple(dict.fromkeys(part.value for part in trainable or (TrainablePart.UNET,))),
            dtype=dtype,
            rematerialise=remat,
            seed=seed,
            save_every=save_every,
        )
        for package in ("optax", "orbax.checkpoint"):
            import_extra(package)
        check_run_folder(out, resume=resume)

        from litefocus_jax.training.data import open_dataset

        dataset = open_dataset(data, progress=not quiet)
        if not quiet:
            _print_skipped(dataset)
        find_devices(quiet=quiet)
        if not quiet:
            messages.print(f"Loading {model}", markup=False)
        batches, components, config = _load(model, revision, dataset, config, attention, duration, peak)
        mesh = _mesh()
        if not quiet:
            _print_plan(batches, components, config, mesh)
        try:
            train(components, batches, config, out, resume=resume, mesh=mesh, progress=not quiet)
        except TrainingInterrupted as interruption:
            messages.print(f"Stopped: {interruption}, by the same command with --resume", markup=False)
            raise typer.Exit(INTERRUPTED) from None
        output.print(str(out / MODEL), markup=False)
        if not quiet:
            options = [] if duration is None else ["-d", f"{duration:g}"]
            options += [] if litefocus == "off" else ["--litefocus", litefocus]
            options += [] if sparse_ratio is None else ["--sparse-ratio", f"{sparse_ratio:g}"]
            command = ["litefocus-jax", "generate", dataset.sounds[0].caption, "-m", str(out / MODEL), *options]
            messages.print(f"Try: {shlex.join(command)}", markup=False)


def _load(
    model: str,
    revision: str | None,
    dataset: "Dataset",
    config: "TrainingConfig",
    attention: AttentionOptions,
    audio_length_in_s: float | None,
    peak: float | None,
) -> "tuple[AudioBatches, Components, TrainingConfig]":
    """Open the model and the batches; what does not fit is found before weights are read."""
    from litefocus_jax.generation.request import chosen_litefocus
    from litefocus_jax.models.unet.self_attention import check_layout
    from litefocus_jax.system.compilation_cache import use_compilation_cache
    from litefocus_jax.training.batches import AudioBatches, clip_samples

    use_compilation_cache()
    checkpoint = open_model(model, revision)
    geometry = checkpoint.facts.geometry
    seconds = clip_samples(geometry, audio_length_in_s) / geometry.sampling_rate
    litefocus = chosen_litefocus(attention.choose(geometry.training_length_in_s), geometry, seconds)
    if litefocus is not None:
        check_layout(checkpoint.facts.unet, litefocus.layout(geometry.frame_in_s))
    components = checkpoint.load("float32")
    batches = AudioBatches(
        dataset,
        components,
        batch_size=config.batch_size,
        audio_length_in_s=audio_length_in_s,
        caption_dropout=config.caption_dropout,
        seed=config.seed,
        peak=peak,
    )
    return batches, components, dataclasses.replace(config, litefocus=litefocus, data=batches.description)


def _mesh() -> "Mesh":
    """All devices, for the clips of a batch to spread over."""
    import jax
    import numpy as np
    from jax.sharding import Mesh

    from litefocus_jax.training.step import DATA_AXIS

    return Mesh(np.array(jax.devices()), (DATA_AXIS,))


def _print_skipped(dataset: "Dataset") -> None:
    if dataset.skipped:
        total = len(dataset.skipped) + len(dataset.sounds)
        messages.print(f"{len(dataset.skipped)} of {total} rows are skipped:")
        most = None if logger.isEnabledFor(logging.DEBUG) else _SKIPPED_SHOWN
        messages.print(dataset.describe_skipped(most), markup=False)


def _print_plan(batches: "AudioBatches", components: "Components", config: "TrainingConfig", mesh: "Mesh") -> None:
    from litefocus_jax.checkpoint.weights import parameter_count

    parameters = sum(parameter_count(components.modules[name]) for name in config.trainable)
    devices = f"{mesh.size} devices" if mesh.size > 1 else "one device"
    attention = "dense attention" if config.litefocus is None else "LiteFocus"
    messages.print(
        f"Training {', '.join(config.trainable)}: {parameters:,} parameters, {attention}, {config.dtype}, on "
        f"{devices}\n{batches.description}; {config.steps:,} updates of {config.batch_size} clips",
        markup=False,
    )
