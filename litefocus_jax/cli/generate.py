"""``litefocus-jax generate``: prompts in, sound files out."""

import itertools
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from litefocus_jax.cli.attention import AttentionChoice, AttentionOptions
from litefocus_jax.cli.console import messages, naming_options, output, reporting_errors

if TYPE_CHECKING:
    from litefocus_jax.cli.destinations import Destination
    from litefocus_jax.cli.run_files import Batch, RunFiles
    from litefocus_jax.diffusion.windows import WindowedDenoising
    from litefocus_jax.generation.request import Request, RequestOptions
    from litefocus_jax.pipeline import AudioLDM2Pipeline

# What the library calls the options of this command.
_ARGUMENTS = {
    "prompt": "PROMPT",
    "negative_prompt": "--negative",
    "audio_length_in_s": "--duration",
    "num_inference_steps": "--steps",
    "guidance_scale": "--guidance",
    "num_waveforms_per_prompt": "--waveforms",
    "window_in_s": "--window-length",
    "overlap_in_s": "--window-overlap",
    "reach_in_s": "--reach",
    "LiteFocusConfig.levels": "--litefocus",
    "scale_scores": "--scale-scores",
    "scheduler": "--scheduler",
    "timestep_spacing": "--spacing",
    "eta": "--eta",
}
_BUNDLED_NOTICE = (
    "Loading foley, the small bundled model, of 36 kinds of synthetic sound; for a real one: -m cvssp/audioldm2"
)
_SOUND, _SAMPLING, _ATTENTION = "What to make", "How to sample", "Attention and numbers"
_LONG = "Long sound"


def generate(
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="[PROMPT]...", help="What to hear; several make several sounds.")
    ] = None,
    *,
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="Folder of a checkpoint, or a hub id such as cvssp/audioldm2; the small bundled model unless given.",
        ),
    ] = None,
    lora: Annotated[
        str | None,
        typer.Option(metavar="FILE|FOLDER", help="Low-rank adapter to add to the model, as finetune --lora writes it."),
    ] = None,
    duration: Annotated[
        float | None,
        typer.Option("--duration", "-d", help="Seconds of sound; the model's training length unless given."),
    ] = None,
    target: Annotated[
        str,
        typer.Option(
            "--output",
            "-o",
            metavar="FILE|FOLDER",
            help="A .wav or .flac file; or a folder, where WAV files are named after prompt and seed.",
        ),
    ] = ".",
    prompts_file: Annotated[
        Path | None,
        typer.Option(
            "--prompts",
            metavar="FILE",
            exists=True,
            dir_okay=False,
            readable=True,
            help="More prompts, one per line; empty lines and lines that start with # are skipped.",
        ),
    ] = None,
    negative: Annotated[
        str | None, typer.Option(help="What not to hear.", rich_help_panel=_SOUND, show_default=False)
    ] = None,
    waveforms: Annotated[int, typer.Option(min=1, help="Sounds for each prompt.", rich_help_panel=_SOUND)] = 1,
    seed: Annotated[
        int, typer.Option(min=0, max=2**32 - 1, help="The same seed makes the same sound.", rich_help_panel=_SOUND)
    ] = 0,
    spectrogram: Annotated[
        str | None,
        typer.Option(
            metavar="FILE|FOLDER", help="Also draw a .png, or one for each sound in a folder.", rich_help_panel=_SOUND
        ),
    ] = None,
    subtype: Annotated[
        str, typer.Option(help="Sample format: PCM_16, PCM_24, or FLOAT for .wav.", rich_help_panel=_SOUND)
    ] = "PCM_16",
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace files.", rich_help_panel=_SOUND)] = False,
    steps: Annotated[int, typer.Option(min=1, help="Denoising steps.", rich_help_panel=_SAMPLING)] = 200,
    guidance: Annotated[
        float, typer.Option(help="How closely to follow the prompt; off at 1 or less.", rich_help_panel=_SAMPLING)
    ] = 3.5,
    scheduler: Annotated[
        Literal["ddim", "dpm++"] | None,
        typer.Option(help="Sampler; the checkpoint's own unless given.", rich_help_panel=_SAMPLING),
    ] = None,
    spacing: Annotated[
        Literal["leading", "trailing", "linspace"] | None,
        typer.Option(
            help="Of the timesteps; the checkpoint's own unless given, or trailing where that begins below noise.",
            rich_help_panel=_SAMPLING,
        ),
    ] = None,
    eta: Annotated[
        float, typer.Option(min=0.0, max=1.0, help="Noise that DDIM adds at each step.", rich_help_panel=_SAMPLING)
    ] = 0.0,
    batch_size: Annotated[
        int,
        typer.Option(
            min=1,
            help="Prompts at a time. More keeps a fast GPU busy; a longer neighbour may change a sound a little.",
            rich_help_panel=_SAMPLING,
        ),
    ] = 1,
    litefocus: Annotated[
        AttentionChoice,
        typer.Option(
            help="Sparse attention; auto goes by the length in training lengths, and linear costs in proportion to it.",
            rich_help_panel=_ATTENTION,
        ),
    ] = "auto",
    sparse_ratio: Annotated[
        float | None,
        typer.Option(
            min=0.0,
            max=1.0,
            help="Share of tokens drawn across frequencies, 0.1 unless given; with --litefocus on or linear.",
            rich_help_panel=_ATTENTION,
        ),
    ] = None,
    max_cross_tokens: Annotated[
        int | None,
        typer.Option(min=1, help="The most tokens drawn; with --litefocus on or linear.", rich_help_panel=_ATTENTION),
    ] = None,
    reach: Annotated[
        float | None,
        typer.Option(
            help="Seconds that attention to the own frequency reaches (docs/litefocus.md); with --litefocus on or "
            "linear.",
            rich_help_panel=_ATTENTION,
        ),
    ] = None,
    scale_scores: Annotated[
        bool,
        typer.Option(
            "--scale-scores",
            help="Sharpen attention by the logarithm of what it sees against training.",
            rich_help_panel=_ATTENTION,
        ),
    ] = False,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(
            help="Number type of weights and computation; chosen by device unless given.", rich_help_panel=_ATTENTION
        ),
    ] = None,
    windows: Annotated[
        Literal["swap", "average"] | None,
        typer.Option(
            help="Denoise in overlapping windows: swap takes shared frames by turns (SaFa), average their mean "
            "(MultiDiffusion).",
            rich_help_panel=_LONG,
        ),
    ] = None,
    window_length: Annotated[
        float | None,
        typer.Option(help="Seconds in a window; the model's training length unless given.", rich_help_panel=_LONG),
    ] = None,
    window_overlap: Annotated[
        float | None,
        typer.Option(help="Seconds that windows share; a fifth of a window unless given.", rich_help_panel=_LONG),
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Say what memory and time it would take.", rich_help_panel=_LONG)
    ] = False,
    save_every: Annotated[
        int | None,
        typer.Option(
            min=1, help="Keep the run on disk, beside the sound, after this many steps.", rich_help_panel=_LONG
        ),
    ] = None,
    resume: Annotated[
        bool,
        typer.Option("--resume", help="Go on where the same command was ended.", rich_help_panel=_LONG),
    ] = False,
    ignore_memory: Annotated[
        bool, typer.Option("--ignore-memory", help="Run even if memory seems too small.", rich_help_panel=_LONG)
    ] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Print nothing but the files.")] = False,
) -> None:
    """Make sound from text.

    Files that exist are left alone unless --overwrite is given, and each file appears once it is complete. The paths
    of the files are printed to standard output, all else to standard error.
    """
    for option, seconds in (("--window-length", window_length), ("--window-overlap", window_overlap)):
        if seconds is not None and windows is None:
            raise typer.BadParameter("needs --windows swap or --windows average", param_hint=option)
    attention = AttentionOptions(litefocus, sparse_ratio, max_cross_tokens, reach)

    with reporting_errors():
        prompts = [*(prompt or []), *(_read_prompts(prompts_file) if prompts_file else [])]
        if not prompts or not all(text.strip() for text in prompts):
            raise typer.BadParameter("give at least one, and none of them empty", param_hint="PROMPT")

        # In this order, because each part takes longer than the one before it.
        from litefocus_jax.cli.destinations import plan
        from litefocus_jax.cli.run_files import RunFiles

        files = plan(prompts, seed, waveforms, target=target, spectrogram=spectrogram)
        runs = RunFiles(every=save_every, resume=resume, overwrite=overwrite)
        batches = runs.remaining([files[start : start + batch_size] for start in range(0, len(files), batch_size)])
        for batch in batches:
            runs.check_writable(batch, subtype)
        if not batches:
            if not quiet:
                messages.print("All of these sounds are there already.")
            return

        from litefocus_jax.checkpoint.store import BUNDLED_MODEL, open_checkpoint
        from litefocus_jax.generation.request import make_request
        from litefocus_jax.pipeline import AudioLDM2Pipeline

        if not quiet:
            # A line and not a spinner, which would fight with the bars of a download.
            messages.print(_BUNDLED_NOTICE if model is None else f"Loading {model}", markup=False)
        checkpoint = open_checkpoint(BUNDLED_MODEL if model is None else model)
        facts = checkpoint.facts
        # What the model cannot honour is found before its weights are read.
        with naming_options(_ARGUMENTS):
            options: RequestOptions = {
                "negative_prompt": negative,
                "audio_length_in_s": duration,
                "num_inference_steps": steps,
                "guidance_scale": guidance,
                "num_waveforms_per_prompt": waveforms,
                "eta": eta,
                "seed": seed,
                "scheduler": scheduler,
                "timestep_spacing": spacing,
                "litefocus": attention.choose(facts.geometry.training_length_in_s),
                "scale_scores": scale_scores,
                "windowed": _windowed_denoising(windows, window_length, window_overlap),
            }
            requests = [make_request(facts, _prompts(batch), **options) for batch in batches]
        pipe = AudioLDM2Pipeline.from_checkpoint(checkpoint, dtype=dtype)
        if lora is not None:
            pipe.load_lora_weights(lora)
        if dry_run:
            from litefocus_jax.cli.dry_run import print_estimate

            print_estimate(pipe, requests[0], sum(request.batch_size for request in requests))
            return
        work = list(zip(requests, batches, strict=True))
        summary = _make_and_save(pipe, work, runs, subtype, check_memory=not ignore_memory, progress=not quiet)
        if not quiet:
            messages.print(summary)


def _make_and_save(
    pipe: "AudioLDM2Pipeline",
    work: "list[tuple[Request, Batch]]",
    runs: "RunFiles",
    subtype: str,
    *,
    check_memory: bool,
    progress: bool,
) -> str:
    """Run the requests, and write each one's files before the next; returns how long it took.

    Sound goes to its file as it is decoded.

    Args:
        pipe: the pipeline.
        work: each request with the destinations of its sounds.
        runs: where each request is kept while it runs.
        subtype: sample format.
        check_memory: find out before sampling whether a request can fit in memory.
        progress: draw bars.
    """
    import soundfile

    from litefocus_jax.audio import save_audio_blocks, spectrogram_picture

    seconds_made = seconds_taken = 0.0
    for request, batch in work:
        started = time.perf_counter()
        with runs.kept(batch) as partial_run:
            result = pipe.run(
                request, partial_run=partial_run, check_memory=check_memory, output_type="latent", progress=progress
            )
        seconds_taken += time.perf_counter() - started
        for latents, file in zip(result.audios, itertools.chain(*batch), strict=True):
            started = time.perf_counter()
            blocks = pipe.decode_blocks(latents, request.audio_length_in_s, progress=progress)
            samples = save_audio_blocks(file.sound, blocks, result.sampling_rate, subtype=subtype)
            seconds_taken += time.perf_counter() - started
            seconds_made += samples / result.sampling_rate
            output.print(str(file.sound), markup=False)
            if file.picture is not None:
                waveform, sampling_rate = soundfile.read(file.sound, dtype="float32")
                spectrogram_picture(file.picture, waveform, sampling_rate, title=file.prompt)
                output.print(str(file.picture), markup=False)
        runs.remove(batch)
    factor = seconds_taken / seconds_made
    return f"{seconds_made:.2f} s of sound in {seconds_taken:.1f} s, a real-time factor of {factor:.2f}"


def _prompts(batch: list[list["Destination"]]) -> list[str]:
    return [waveforms[0].prompt for waveforms in batch]


def _windowed_denoising(
    method: 'Literal["swap", "average"] | None', window_in_s: float | None, overlap_in_s: float | None
) -> "WindowedDenoising | None":
    if method is None:
        return None
    from litefocus_jax.diffusion.windows import WindowedDenoising

    return WindowedDenoising(method, window_in_s, overlap_in_s)


def _read_prompts(path: Path) -> list[str]:
    """The lines of a file, without empty ones and those that start with ``#``.

    Raises:
        ValueError: when the file is not UTF-8 text.
        OSError: when it cannot be read.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from None
    return [line for line in lines if line and not line.startswith("#")]
