"""``litefocus-jax finetune``: a folder of captioned sounds in, a model out."""

import contextlib
import shlex

import typer

from litefocus_jax.cli.attention import AttentionOptions
from litefocus_jax.cli.console import messages, naming_options, output, quieten, reporting_errors
from litefocus_jax.cli.options import monitoring, processes, publishing, training, training_sounds
from litefocus_jax.cli.options.checkpoint import Heads, Revision
from litefocus_jax.cli.processes import Processes, leave_others
from litefocus_jax.cli.publishing import PushOptions
from litefocus_jax.cli.start import find_devices
from litefocus_jax.cli.training_run import (
    DataOptions,
    devices_mesh,
    load,
    print_plan,
    print_skipped,
    published_facts,
    sample_maker,
    validation_clips,
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

_OUT_OF_MEMORY = (
    "out of memory; try --remat, a larger --gradient-accumulation, --dtype bfloat16, shorter sounds (-d), or to train "
    "an adapter alone (--lora 8); on several devices, --shard fsdp"
)


def finetune(
    data: training_sounds.Data,
    *,
    model: training.Model,
    revision: Revision = None,
    heads: Heads = None,
    out: training.Output,
    trainable: training.Trainable = None,
    steps: training.Steps = 1000,
    batch_size: training.BatchSize = 8,
    resume: training.Resume = False,
    autoresume: training.AutoResume = False,
    duration: training_sounds.Duration = None,
    short: training_sounds.Short = "repeat",
    audio_column: training_sounds.AudioColumn = "file_name",
    text_column: training_sounds.TextColumn = None,
    peak: training_sounds.Peak = None,
    caption_dropout: training_sounds.CaptionDropout = 0.1,
    learning_rate: training.LearningRate = 1e-4,
    warmup_steps: training.WarmupSteps = None,
    weight_decay: training.WeightDecay = 0.01,
    clip_norm: training.ClipNorm = 1.0,
    ema_decay: training.EmaDecay = 0.999,
    timestep_shift: training.TimestepShift = 1.0,
    lora: training.Lora = None,
    lora_alpha: training.LoraAlpha = None,
    lora_target: training.LoraTarget = "attention",
    litefocus: training.LiteFocus = "off",
    sparse_ratio: training.SparseRatio = None,
    dtype: training.Dtype = "float32",
    gradient_accumulation: training.GradientAccumulation = 1,
    remat: training.Remat = False,
    validation: monitoring.Validation = None,
    hold_out: monitoring.HoldOut = None,
    validate_every: monitoring.ValidateEvery = 100,
    sample_prompts: monitoring.SamplePrompts = None,
    samples_every: monitoring.SamplesEvery = 500,
    log_to: monitoring.LogTo = None,
    seed: training.Seed = 0,
    save_every: training.SaveEvery = 500,
    shard: processes.Shard = "none",
    distributed: processes.Distributed = False,
    coordinator: processes.Coordinator = None,
    process_id: processes.ProcessId = None,
    num_processes: processes.NumProcesses = None,
    join_timeout: processes.JoinTimeout = 120,
    push: publishing.Push = None,
    licence: publishing.Licence = None,
    quiet: training.Quiet = False,
) -> None:
    """Train a model's UNet, or what --train names, on sounds with captions.

    OUT gets the model, a log with a line for each update, and checkpoints. Ctrl-C, or a scheduler's SIGTERM, saves one
    and stops; the same command with --resume goes on, to the weights that an uninterrupted run ends with. All devices
    of this machine are used, and with --distributed those of all hosts. The folder of the model is printed to standard
    output, all else to standard error.
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

    with reporting_errors(_OUT_OF_MEMORY), naming_options(_ARGUMENTS), contextlib.ExitStack() as stack:
        group = Processes.joined(
            distributed=distributed,
            coordinator=coordinator,
            process_id=process_id,
            num_processes=num_processes,
            timeout_in_s=join_timeout,
        )
        stack.enter_context(group.naming_loss())
        quiet = quiet or not group.is_first
        if quiet:
            quieten()
        group.let_first_warn()
        # In this order, because each part takes longer than the one before it.
        from litefocus_jax.system.extras import import_extra
        from litefocus_jax.training.config import LoraConfig, TrainingConfig
        from litefocus_jax.training.loop import ADAPTER, LOG, MODEL, check_run_folder, train
        from litefocus_jax.training.monitoring import Monitoring, import_tensorboard
        from litefocus_jax.training.updates import TrainingInterrupted

        with group.agreeing("the options of the training") as found:
            config = TrainingConfig(
                steps=steps,
                batch_size=batch_size,
                gradient_accumulation=gradient_accumulation,
                learning_rate=learning_rate,
                warmup_steps=min(training.DEFAULT_WARMUP_STEPS, steps) if warmup_steps is None else warmup_steps,
                weight_decay=weight_decay,
                clip_norm=clip_norm,
                ema_decay=ema_decay,
                caption_dropout=caption_dropout,
                timestep_shift=timestep_shift,
                trainable=tuple(dict.fromkeys(part.value for part in trainable or (training.TrainablePart.UNET,))),
                lora=None if lora is None else LoraConfig(lora, lora_alpha, lora_target),
                dtype=dtype,
                rematerialise=remat,
                seed=seed,
                save_every=save_every,
            )
            columns = tuple(dict.fromkeys(text_column or ("text",)))
            options = DataOptions(audio_column, columns, duration, peak, short, validation, hold_out)
            for package in ("optax", "orbax.checkpoint"):
                import_extra(package)
            if log_to is not None:
                import_tensorboard()
            pushed = None if push is None else PushOptions(push, model, licence)
            if group.is_first:
                resume = resume or (autoresume and (out / LOG).is_file())
                check_run_folder(out, resume=resume)
                pushed = pushed and pushed.check()
            found += [config, options.of_sounds, shard, validate_every, sample_prompts, samples_every]

        together = devices_mesh() if group.are_several else None
        dataset, validation_dataset = options.open(data, seed=seed, progress=not quiet, mesh=together)
        if not quiet:
            print_skipped(dataset)
        find_devices(quiet=quiet)
        if not quiet:
            messages.print(f"Loading {model}", markup=False)
        with group.agreeing("the model"):
            batches, components, config = load(model, revision, heads, dataset, config, attention, options)
            monitoring = Monitoring(
                validation=()
                if validation_dataset is None
                else validation_clips(validation_dataset, components, config, options),
                validate_every=validate_every,
                make_samples=sample_maker(sample_prompts, out / "samples", config) if sample_prompts else None,
                samples_every=samples_every,
                tensorboard=log_to == "tensorboard",
            )
        mesh = devices_mesh()
        if not quiet:
            print_plan(batches, components, config, mesh, shard, validation_dataset)
        try:
            train(
                components,
                batches,
                config,
                out,
                resume=resume,
                mesh=mesh,
                shard=shard,
                progress=not quiet,
                monitoring=monitoring,
            )
            group.wait_for_all()
        except TrainingInterrupted as interruption:
            if group.is_first:
                messages.print(f"Stopped: {interruption}, by the same command with --resume", markup=False)
            group.wait_for_all()
            leave_others(exit_code())
            raise typer.Exit(exit_code()) from None
        if not group.is_first:
            return
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
