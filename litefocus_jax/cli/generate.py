"""``litefocus-jax generate``: prompts in, sound files out."""

import contextlib
import functools
import time
from typing import TYPE_CHECKING, Literal

import typer

from litefocus_jax.cli.adapters import parse_adapter
from litefocus_jax.cli.attention import AttentionOptions
from litefocus_jax.cli.console import UsageError, messages, naming_options, quieten, reporting_errors
from litefocus_jax.cli.editing import EditOptions, parse_timeline, timeline_text
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options import attention, editing, finish, long_sound, processes, recipe, sampling, sound
from litefocus_jax.cli.options.checkpoint import Heads, Lora, Revision
from litefocus_jax.cli.orders import sound_orders
from litefocus_jax.cli.origin import Origin
from litefocus_jax.cli.processes import Processes, can_share_frames
from litefocus_jax.cli.prompt_files import PromptRow, read_prompts
from litefocus_jax.cli.ranking import Ranking, check_rank, load_listener
from litefocus_jax.cli.sampling import SamplingOptions
from litefocus_jax.cli.seeds import chosen_seeds
from litefocus_jax.cli.start import find_devices
from litefocus_jax.cli.unquoted import check_quoted

if TYPE_CHECKING:
    from litefocus_jax.checkpoint.opened import Checkpoint
    from litefocus_jax.diffusion.windows import WindowedDenoising
    from litefocus_jax.generation.options import RequestOptions

# What the library calls the options of this command.
_ARGUMENTS = {
    "prompt": "PROMPT",
    "negative_prompt": "--negative",
    "transcription": "--transcription",
    "phonemes": "--phonemes",
    "first_waveform": "--waveform",
    "audio_length_in_s": "--duration",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "num_waveforms_per_prompt": "--waveforms",
    "window_in_s": "--window-length",
    "overlap_in_s": "--window-overlap",
    "reach_in_s": "--reach",
    "LiteFocusConfig.levels": "--litefocus",
    "scale_scores": "--scale-scores",
    "token_merging": "--token-merging",
    "litefocus": "--litefocus",
    "scheduler": "--scheduler",
    "timestep_spacing": "--spacing",
    "eta": "--eta",
    "sampling": "--sampling",
    "force_zeros_for_empty_prompt": "--zero-negative",
    "latent_frames_per_second": "--latent-frames-per-second",
    "strength": "--strength",
    "continue_for_s": "--continue",
    "lead_in_for_s": "--lead-in",
    "stereo": "--stereo",
    "timeline": "--timeline",
}
_BUNDLED_NOTICE = (
    "Loading foley, the small bundled model, of 36 kinds of synthetic sound; for a real one: -m cvssp/audioldm2"
)


def generate(
    context: typer.Context,
    prompt: sound.Prompts = None,
    *,
    model: sound.Model = None,
    revision: Revision = None,
    heads: Heads = None,
    lora: Lora = None,
    duration: sound.Duration = None,
    target: sound.Target = ".",
    prompts_file: sound.PromptsFile = None,
    source: recipe.From = None,
    negative: sound.Negative = None,
    transcription: sound.Transcription = None,
    phonemes: sound.Phonemes = None,
    waveforms: sound.Waveforms = None,
    waveform: sound.Waveform = None,
    seed: sound.Seed = None,
    seeds: sound.Seeds = None,
    rank: sound.Rank = None,
    clap: sound.Clap = None,
    each: sound.Each = False,
    loop: sound.Loop = False,
    spectrogram: sound.Spectrogram = None,
    json: recipe.Json = False,
    subtype: sound.Subtype = None,
    overwrite: sound.Overwrite = False,
    way: sampling.Way = None,
    quality: sampling.Quality = None,
    steps: sampling.Steps = None,
    guidance: sampling.Guidance = None,
    scheduler: sampling.Scheduler = None,
    spacing: sampling.Spacing = None,
    eta: sampling.Eta = None,
    zero_negative: sampling.ZeroNegative = None,
    frames_per_second: sampling.FramesPerSecond = None,
    batch_size: sampling.BatchSize = None,
    prompt_padding: sampling.PromptPadding = None,
    litefocus: attention.LiteFocus = "auto",
    sparse_ratio: attention.SparseRatio = None,
    max_cross_tokens: attention.MaxCrossTokens = None,
    reach: attention.Reach = None,
    scale_scores: attention.ScaleScores = False,
    token_merging: attention.TokenMerging = None,
    dtype: attention.NumberType = None,
    normalize: finish.Normalize = None,
    peak: finish.Peak = None,
    fade: finish.Fade = None,
    trim: finish.Trim = False,
    sample_rate: finish.SampleRate = None,
    windows: long_sound.Windows = None,
    window_length: long_sound.WindowLength = None,
    window_overlap: long_sound.WindowOverlap = None,
    audio: editing.Audio = None,
    strength: editing.Strength = None,
    fill: editing.Fill = None,
    keep: editing.Keep = None,
    continued: editing.Continue = None,
    lead_in: editing.LeadIn = None,
    stereo: editing.Stereo = False,
    timeline: editing.Timeline = None,
    dry_run: long_sound.DryRun = False,
    save_every: long_sound.SaveEvery = None,
    resume: long_sound.Resume = False,
    ignore_memory: long_sound.IgnoreMemory = False,
    mesh: processes.Mesh = None,
    distributed: processes.Distributed = False,
    coordinator: processes.Coordinator = None,
    process_id: processes.ProcessId = None,
    num_processes: processes.NumProcesses = None,
    join_timeout: processes.JoinTimeout = 120,
    writer: processes.Writer = "first",
    quiet: sound.Quiet = False,
) -> None:
    """Make sound from text, or of a sound that is given.

    Files that exist are left alone unless --overwrite is given, and each file appears once it is complete. The paths
    of the files are printed to standard output, all else to standard error.
    """
    for option, seconds in (("--window-length", window_length), ("--window-overlap", window_overlap)):
        if seconds is not None and windows is None:
            raise typer.BadParameter("needs --windows swap or --windows average", param_hint=option)
    chosen_attention = AttentionOptions(litefocus, sparse_ratio, max_cross_tokens, reach)
    edit = EditOptions(audio, continued, strength, fill, keep, lead_in, stereo)
    sampled = SamplingOptions(
        way, quality, steps, guidance, scheduler, spacing, eta, zero_negative, frames_per_second, prompt_padding
    )
    one_is_named = waveform is not None or source is not None
    rank = sampled.ranks(rank, waveforms, one_is_named=one_is_named)
    along = parse_timeline(timeline)
    check_rank(rank, clap, timeline=along is not None)

    started = time.perf_counter()
    with reporting_errors(), contextlib.ExitStack() as checks:
        group = Processes.joined(
            distributed=distributed,
            coordinator=coordinator,
            process_id=process_id,
            num_processes=num_processes,
            timeout_in_s=join_timeout,
            mesh=mesh,
            writer=writer,
        )
        quiet = quiet or not group.is_first
        if quiet:
            quieten()
        group.refuse(**{"--rank": rank, "--dry-run": dry_run})
        found = checks.enter_context(group.agreeing())
        origin = Origin.read(source, context)
        if along is not None and (prompt or prompts_file):
            raise typer.BadParameter("has the prompts; expected no others beside it", param_hint="--timeline")
        texts = [*origin.prompts, *(prompt or []), *timeline_text(along)]
        rows = [*map(PromptRow, texts), *(read_prompts(prompts_file) if prompts_file else [])]
        if not rows or not all(row.prompt.strip() for row in rows):
            raise typer.BadParameter("give at least one, and none of them empty", param_hint="PROMPT")
        if not each:
            check_quoted(prompt or [])
        seed_list = origin.seeds or chosen_seeds(seed, seeds)
        drawn = [row.place for row in rows if None in (row.seeds or seed_list)]
        if drawn and resume:
            raise UsageError("--resume needs the seeds that were printed: a random seed is another one each time")
        group.refuse(**{"--seed random": bool(drawn)})
        adapters = [parse_adapter(text) for text in lora or ()]
        model, dtype = origin.model(model), origin.choose("dtype", dtype)
        heads = origin.choose("heads", heads)

        @functools.cache
        def opened() -> "Checkpoint":
            """The model, opened when it is first asked for."""
            from litefocus_jax.checkpoint.store import BUNDLED_MODEL

            find_devices(quiet=quiet)
            if group.are_several and not quiet:
                group.say()
            if not quiet:
                # A line and not a spinner, which would fight with the bars of a download.
                messages.print(_BUNDLED_NOTICE if model is None else f"Loading {model}", markup=False)
                if source is not None:
                    messages.print(origin.in_words, markup=False)
            return open_model(BUNDLED_MODEL if model is None else model, revision, heads)

        sounds = sampled.waveforms(waveforms, one_is_named=one_is_named, opened=opened)
        orders = sound_orders(rows, seed_list, sounds, origin.waveform or waveform)

        # In this order, because each part takes longer than the one before it.
        from litefocus_jax.cli.batches import grouped
        from litefocus_jax.cli.destinations import plan
        from litefocus_jax.cli.making import make_and_save
        from litefocus_jax.cli.run_files import RunFiles
        from litefocus_jax.cli.saving import Saving, finish_of

        subtype = origin.choose_subtype(subtype, target)
        saving = Saving(
            subtype,
            origin.choose_finish(finish_of(normalize, peak, fade, trim, sample_rate)),
            overwrite or resume,
        )
        files = plan(orders, target=target, spectrogram=spectrogram, json=json)
        runs = RunFiles(every=save_every, resume=resume, overwrite=overwrite)
        batches = runs.remaining(grouped(orders, files, batch_size))
        found += [[(order.row.prompt, order.seed, order.waveform) for order, _ in batch.sounds] for batch in batches]
        for batch in batches if group.writes else ():
            runs.check_writable(batch, subtype)
        if not batches and not rank:
            if not quiet:
                messages.print("All of these sounds are there already.")
            return
        if drawn and not quiet:
            numbers = dict.fromkeys(str(batch.first.seed) for batch in batches)
            messages.print(f"Random seed{'s' if len(numbers) > 1 else ''}: {', '.join(numbers)}")

        from litefocus_jax.generation.least_memory import require_least_memory
        from litefocus_jax.generation.request import make_request
        from litefocus_jax.pipeline import AudioLDM2Pipeline

        checkpoint = opened()
        origin.check_model(checkpoint)
        facts = checkpoint.facts
        ranking = None
        if rank and not dry_run:
            to_make = [file for batch in batches for file in batch.destinations]
            ranking = Ranking.of(load_listener(checkpoint, clap), files, to_make, quiet=quiet)
            ranking.show_waiting_for_none(saving.show)
            if not batches:
                return
        # What the model cannot honour is found before its weights are read.
        with naming_options(_ARGUMENTS):
            options: RequestOptions = {
                **sampled.request_options(),
                "litefocus": chosen_attention.choose(facts.geometry.training_length_in_s),
                "scale_scores": scale_scores,
                "token_merging": token_merging,
                "windowed": _windowed_denoising(windows, window_length, window_overlap),
                "loop": loop,
                "timeline": along,
                **edit.request_options(),
            }
        requests, rounded = [], {}
        for batch in batches:
            with naming_options(_ARGUMENTS | batch.own_arguments):
                texts, own = batch.options(
                    negative_prompt=origin.choose("negative", negative, "negative_prompt"),
                    audio_length_in_s=origin.choose("duration", duration, "audio_length_in_s"),
                    transcription=transcription,
                    phonemes=phonemes,
                )
                own = edit.with_length(options | own, facts.geometry.training_length_in_s)
                texts, all_options = origin.request(texts, own)
                spread = group.mesh(len(batch.destinations), time_can_be_split=can_share_frames(all_options))
                if spread is not None:
                    all_options["mesh"] = spread
                requests.append(make_request(facts, texts, **all_options))
                rounded |= dict.fromkeys(requests[-1].notices(all_options.get("audio_length_in_s")))
                length = requests[-1].audio_length_in_s
                if not (ignore_memory or dry_run):
                    require_least_memory(requests[-1], facts.unet, facts.geometry, dtype or checkpoint.dtype)
                if group.writes:
                    saving.check(
                        batch.destinations, facts.geometry.sampling_rate, length, overwrite=overwrite or resume
                    )
        if not quiet:
            for notice in rounded:
                messages.print(notice, markup=False)
        pipe = AudioLDM2Pipeline.from_checkpoint(checkpoint, dtype=dtype)
        for adapter in adapters:
            pipe.load_lora_weights(adapter.path, scale=adapter.scale)
        origin.prepare(pipe)
        if dry_run:
            from litefocus_jax.cli.dry_run import print_estimate

            print_estimate(pipe, requests)
            return
        work = list(zip(requests, batches, strict=True))
        checks.close()
        how = {"check_memory": not ignore_memory, "progress": not quiet}
        with group.naming_loss():
            summary = make_and_save(pipe, work, runs, saving, ranking, group, row=origin.row, **how)
            group.wait_for_all()
        if not quiet:
            messages.print(f"{summary}; {time.perf_counter() - started:.1f} s with loading")


def _windowed_denoising(
    method: 'Literal["swap", "average"] | None', window_in_s: float | None, overlap_in_s: float | None
) -> "WindowedDenoising | None":
    if method is None:
        return None
    from litefocus_jax.diffusion.windows import WindowedDenoising

    return WindowedDenoising(method, window_in_s, overlap_in_s)
