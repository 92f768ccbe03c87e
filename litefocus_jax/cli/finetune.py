"""``litefocus-jax finetune``: a folder of captioned sounds in, a model out."""

import enum
import shlex
from pathlib import Path
from typing import Annotated, Literal

import typer

from litefocus_jax.cli.attention import AttentionChoice, AttentionOptions
from litefocus_jax.cli.completions import complete_model
from litefocus_jax.cli.console import messages, naming_options, output, quieten, reporting_errors
from litefocus_jax.cli.options import publishing
from litefocus_jax.cli.options.checkpoint import Heads, Revision
from litefocus_jax.cli.publishing import PushOptions
from litefocus_jax.cli.start import find_devices
from litefocus_jax.cli.training_run import (
    LARGEST_BATCH,
    LARGEST_COUNT,
    DataOptions,
    devices_mesh,
    load,
    print_plan,
    print_skipped,
    published_facts,
    sample_maker,
    validation_batches,
)
from litefocus_jax.system.interruption import exit_code

# What the library calls the options of this command.
_ARGUMENTS = {
    "audio_column": "--audio-column",
    "audio_length_in_s": "--duration",
    "batch_size": "--batch-size",
    "caption_dropout": "--caption-dropout",
    "clip_norm": "--clip-norm",
    "ema_decay": "--ema-decay",
    "gradient_accumulation": "--gradient-accumulation",
    "hold_out": "--hold-out",
    "learning_rate": "--learning-rate",
    "LiteFocusConfig.levels": "--litefocus",
    "lora_alpha": "--lora-alpha",
    "lora_rank": "--lora",
    "save_every": "--save-every",
    "steps": "--steps",
    "text_column": "--text-column",
    "timestep_shift": "--timestep-shift",
    "trainable": "--train",
    "warmup_steps": "--warmup-steps",
    "weight_decay": "--weight-decay",
}
_DATA, _OPTIMISER, _COMPUTATION, _RUN = "Sounds", "Optimiser", "Attention, numbers and memory", "The run"
_ADAPTER, _MEANWHILE = "A small adapter instead of the whole model", "What to look at meanwhile"

_OUT_OF_MEMORY = (
    "out of memory; try --remat, a larger --gradient-accumulation, --dtype bfloat16, shorter sounds (-d), or to train "
    "an adapter alone (--lora 8)"
)
_DEFAULT_WARMUP_STEPS = 100


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
    heads: Heads = None,
    out: Annotated[Path, typer.Option("--output", "-o", metavar="OUT", help="Folder of the run, and of its model.")],
    trainable: Annotated[
        list[TrainablePart] | None,
        typer.Option("--train", help="What is trained, the UNet unless given; may come more than once."),
    ] = None,
    steps: Annotated[
        int,
        typer.Option(
            min=1, max=LARGEST_COUNT, help="Updates in all; more of them with --resume extend a run that has ended."
        ),
    ] = 1000,
    batch_size: Annotated[
        int, typer.Option(min=1, max=LARGEST_BATCH, help="Clips in an update, over all devices and parts.")
    ] = 8,
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
    short: Annotated[
        Literal["repeat", "pad"],
        typer.Option(
            help="What becomes of sounds shorter than a clip: they are repeated until it is full, or followed by "
            "silence, which is then what their captions teach.",
            rich_help_panel=_DATA,
        ),
    ] = "repeat",
    audio_column: Annotated[
        str, typer.Option(help="Column of the table with the names of the sound files.", rich_help_panel=_DATA)
    ] = "file_name",
    text_column: Annotated[
        list[str] | None,
        typer.Option(
            help="Column with the captions, text unless given; of several, one caption is drawn for each clip.",
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
            max=LARGEST_COUNT,
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
    lora: Annotated[
        int | None,
        typer.Option(
            metavar="RANK",
            min=1,
            max=65_536,
            help="Train a low-rank adapter (LoRA) of this rank, such as 8, beside a UNet that stays as it is.",
            rich_help_panel=_ADAPTER,
        ),
    ] = None,
    lora_alpha: Annotated[
        float | None,
        typer.Option(
            help="Strength of the adapter, as PEFT counts it; its rank unless given.", rich_help_panel=_ADAPTER
        ),
    ] = None,
    lora_target: Annotated[
        Literal["attention", "linear"],
        typer.Option(
            help="Layers that are adapted: the projections of attention, or all linear ones.", rich_help_panel=_ADAPTER
        ),
    ] = "attention",
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
            help="Share of tokens drawn across frequencies, 0.1 unless given; with --litefocus on, linear or authors.",
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
        typer.Option(
            min=1,
            max=LARGEST_BATCH,
            help="Parts of a batch, one after the other: less memory.",
            rich_help_panel=_COMPUTATION,
        ),
    ] = 1,
    remat: Annotated[
        bool,
        typer.Option(
            "--remat", help="Compute activations twice: less memory, more time.", rich_help_panel=_COMPUTATION
        ),
    ] = False,
    validation: Annotated[
        Path | None,
        typer.Option(
            metavar="DATA",
            help="Folder like DATA, whose loss is logged with the same noise each time.",
            rich_help_panel=_MEANWHILE,
        ),
    ] = None,
    hold_out: Annotated[
        float | None,
        typer.Option(
            metavar="SHARE",
            help="Share of DATA, such as 0.1, that is not trained on but validated with.",
            rich_help_panel=_MEANWHILE,
        ),
    ] = None,
    validate_every: Annotated[
        int, typer.Option(min=1, max=LARGEST_COUNT, help="Updates between two validations.", rich_help_panel=_MEANWHILE)
    ] = 100,
    sample_prompts: Annotated[
        list[str] | None,
        typer.Option(
            metavar="PROMPT",
            help="Text to make a sound of while training, in OUT/samples; may come more than once.",
            rich_help_panel=_MEANWHILE,
        ),
    ] = None,
    samples_every: Annotated[
        int,
        typer.Option(
            min=1, max=LARGEST_COUNT, help="Updates between two makings of these sounds.", rich_help_panel=_MEANWHILE
        ),
    ] = 500,
    log_to: Annotated[
        Literal["tensorboard"] | None,
        typer.Option(help="Where to log beside OUT/log.jsonl.", rich_help_panel=_MEANWHILE),
    ] = None,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="Seed of all that is drawn.", rich_help_panel=_RUN)
    ] = 0,
    save_every: Annotated[
        int, typer.Option(min=1, max=LARGEST_COUNT, help="Updates between two checkpoints.", rich_help_panel=_RUN)
    ] = 500,
    push: publishing.Push = None,
    licence: publishing.Licence = None,
    quiet: Annotated[
        bool, typer.Option("--quiet", "-q", help="Print nothing but the model's folder.", rich_help_panel=_RUN)
    ] = False,
) -> None:
    """Train a model's UNet, or what --train names, on sounds with captions.

    OUT gets the model, a log with a line for each update, and checkpoints. Ctrl-C, or a scheduler's SIGTERM, saves one
    and stops; the same command with --resume goes on, to the weights that an uninterrupted run ends with. All devices
    of this machine are used. The folder of the model is printed to standard output, all else to standard error.
    """
    attention = AttentionOptions(litefocus, sparse_ratio)
    if validation is not None and hold_out is not None:
        raise typer.BadParameter("is instead of --validation; give one of them", param_hint="--hold-out")
    if lora is None and (lora_alpha is not None or lora_target != "attention"):
        option = "--lora-target" if lora_alpha is None else "--lora-alpha"
        raise typer.BadParameter("needs --lora RANK", param_hint=option)
    if not all(prompt.strip() for prompt in sample_prompts or ()):
        raise typer.BadParameter("is empty; expected a text", param_hint="--sample-prompts")
    if licence is not None and push is None:
        raise typer.BadParameter("needs --push USER/NAME", param_hint="--license")

    with reporting_errors(_OUT_OF_MEMORY), naming_options(_ARGUMENTS):
        if quiet:
            quieten()
        # In this order, because each part takes longer than the one before it.
        from litefocus_jax.system.extras import import_extra
        from litefocus_jax.training.config import LoraConfig, TrainingConfig
        from litefocus_jax.training.loop import ADAPTER, MODEL, check_run_folder, train
        from litefocus_jax.training.monitoring import Monitoring, import_tensorboard
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
            lora=None if lora is None else LoraConfig(lora, lora_alpha, lora_target),
            dtype=dtype,
            rematerialise=remat,
            seed=seed,
            save_every=save_every,
        )
        for package in ("optax", "orbax.checkpoint"):
            import_extra(package)
        if log_to is not None:
            import_tensorboard()
        check_run_folder(out, resume=resume)
        pushed = None if push is None else PushOptions(push, model, licence).check()

        columns = tuple(dict.fromkeys(text_column or ("text",)))
        options = DataOptions(audio_column, columns, duration, peak, short, validation, hold_out)
        dataset, validation_dataset = options.open(data, seed=seed, progress=not quiet)
        if not quiet:
            print_skipped(dataset)
        find_devices(quiet=quiet)
        if not quiet:
            messages.print(f"Loading {model}", markup=False)
        batches, components, config = load(model, revision, heads, dataset, config, attention, options)
        mesh = devices_mesh()
        if not quiet:
            print_plan(batches, components, config, mesh, validation_dataset)
        monitoring = Monitoring(
            validation=()
            if validation_dataset is None
            else validation_batches(validation_dataset, components, config, options),
            validate_every=validate_every,
            make_samples=sample_maker(sample_prompts, out / "samples", config) if sample_prompts else None,
            samples_every=samples_every,
            tensorboard=log_to == "tensorboard",
        )
        try:
            train(
                components,
                batches,
                config,
                out,
                resume=resume,
                mesh=mesh,
                progress=not quiet,
                monitoring=monitoring,
            )
        except TrainingInterrupted as interruption:
            messages.print(f"Stopped: {interruption}, by the same command with --resume", markup=False)
            raise typer.Exit(exit_code()) from None
        output.print(str(out / MODEL), markup=False)
        if not quiet:
            given = [] if duration is None else ["-d", f"{duration:g}"]
            given += [] if litefocus == "off" else ["--litefocus", litefocus]
            given += [] if sparse_ratio is None else ["--sparse-ratio", f"{sparse_ratio:g}"]
            command = ["litefocus-jax", "generate", dataset.sounds[0].caption, "-m", str(out / MODEL), *given]
            messages.print(f"Try: {shlex.join(command)}", markup=False)
        if pushed is not None:
            folder = out / (MODEL if lora is None else ADAPTER)
            facts = published_facts(batches, config)
            pushed.publish(folder, facts, is_adapter=lora is not None, prompt=dataset.sounds[0].caption, quiet=quiet)
