"""``litefocus-jax paper``: the tables and figures of LiteFocus's paper, run again with any model."""

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from litefocus_jax.cli.console import messages, naming_options, output, reporting_errors
from litefocus_jax.cli.evaluate import load_judges
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.options import sound
from litefocus_jax.cli.options.checkpoint import Heads, Revision
from litefocus_jax.cli.start import find_devices

if TYPE_CHECKING:
    from litefocus_jax.checkpoint.opened import Checkpoint
    from litefocus_jax.evaluation.paper.sounds import Plan
    from litefocus_jax.evaluation.paper.subjects import Subjects
    from litefocus_jax.pipeline import AudioLDM2Pipeline

_JUDGES = "Judges beside the statistics of log-mels"
_SAMPLING = "How the sounds are made"
_ARGUMENTS = {"num_inference_steps": "--steps", "guidance_scale": "--guidance"}
_FIGURE_ROUNDS = 3


def paper(
    *,
    model: sound.Model = None,
    revision: Revision = None,
    heads: Heads = None,
    folder: Annotated[
        Path,
        typer.Option("--output", "-o", metavar="FOLDER", help="The folder of the report, and of what it is made of."),
    ],
    tables: Annotated[
        str, typer.Option(metavar="NUMBERS", help="Which of the tables 1 to 3; empty for none.")
    ] = "1,2,3",
    figures: Annotated[
        str, typer.Option(metavar="NUMBERS", help="Which of the figures 1 and 2; empty for none.")
    ] = "1,2",
    lengths: Annotated[str, typer.Option(metavar="NUMBERS", help="Lengths of sound, in training lengths.")] = "1,2,4,8",
    sounds: Annotated[int, typer.Option(min=2, help="Sounds for each seed, length and kind of attention.")] = 96,
    seeds: Annotated[int, typer.Option(min=1, help="Repetitions, with other captions and other noise.")] = 2,
    captions: Annotated[
        Path | None,
        typer.Option(
            "--captions",
            "-c",
            help="CSV with file_name,text or with AudioCaps' columns; that of --reference, captions.csv, unless given.",
        ),
    ] = None,
    reference: Annotated[
        Path | None,
        typer.Option(
            "--reference",
            "-r",
            help="The folder of recordings, or one with a folder for each length: 1x, 2x. For the bundled model they "
            "are synthesised unless given.",
        ),
    ] = None,
    vggish: Annotated[Path | None, typer.Option(help="VGGish, as for evaluate.", rich_help_panel=_JUDGES)] = None,
    cnn14: Annotated[Path | None, typer.Option(help="PANNs' Cnn14, likewise.", rich_help_panel=_JUDGES)] = None,
    clap: Annotated[str | None, typer.Option(help="CLAP, likewise.", rich_help_panel=_JUDGES)] = None,
    aisfx: Annotated[Path | None, typer.Option(help="aiSFX, likewise.", rich_help_panel=_JUDGES)] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Sets of sounds to draw anew for the intervals.")] = 1000,
    way: Annotated[
        Literal["authors"] | None,
        typer.Option(
            "--sampling",
            help="As the model's authors sample: DDIM, eta, steps, spacing, guidance, zeros; lengths and attention are "
            "those of the tables, and there is one candidate. What is given beside it holds instead.",
            rich_help_panel=_SAMPLING,
        ),
    ] = None,
    steps: Annotated[
        int | None, typer.Option(help="Denoising steps; the model's own unless given.", rich_help_panel=_SAMPLING)
    ] = None,
    guidance: Annotated[
        float | None, typer.Option(help="Guidance; the model's own unless given.", rich_help_panel=_SAMPLING)
    ] = None,
    batch_size: Annotated[int, typer.Option(min=1, help="Sounds at a time.", rich_help_panel=_SAMPLING)] = 4,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="Number type; chosen by device unless given.", rich_help_panel=_SAMPLING),
    ] = None,
) -> None:
    """Make the sounds of the paper's tables, have them judged, and draw its figures.

    The same command goes on where an earlier one was interrupted; other settings in the same folder are refused, so
    that no table mixes two. What is run, and what was found, is in docs/paper.md.
    """
    with reporting_errors():
        chosen = _numbers(tables, "--tables", (1, 2, 3)) if tables.strip() else ()
        drawn = _numbers(figures, "--figures", (1, 2)) if figures.strip() else ()
        long = _numbers(lengths, "--lengths", None)
        find_devices()
        from litefocus_jax.checkpoint.store import BUNDLED_MODEL
        from litefocus_jax.evaluation.comparison import check_evaluation
        from litefocus_jax.evaluation.paper.sounds import Plan, keep_settings
        from litefocus_jax.evaluation.paper.subjects import subjects_of
        from litefocus_jax.evaluation.paper.synthesised import synthesised_recordings
        from litefocus_jax.generation.authors import authors_sampler
        from litefocus_jax.pipeline import AudioLDM2Pipeline

        checkpoint = open_model(model or BUNDLED_MODEL, revision, heads)
        sampled = {} if way is None else authors_sampler(checkpoint.facts)
        given = {"num_inference_steps": steps, "guidance_scale": guidance}
        sampled |= {name: value for name, value in given.items() if value is not None}
        plan = Plan(long, sounds, seeds, batch_size, sampled)
        if captions is None and reference is None and model in (None, BUNDLED_MODEL):
            reference = folder / "recorded"
            synthesised_recordings(reference, plan.count, long)
        subjects = subjects_of(captions, reference, long, plan.count)
        judges, weights = load_judges(vggish, cnn14, clap, aisfx, log_mel=reference is not None)
        texts = dict(zip(subjects.names, subjects.captions, strict=True)) if judges.clap is not None else None
        check_evaluation(judges, subjects.recordings_at(long[0]), texts)
        with naming_options(_ARGUMENTS):
            pipe = AudioLDM2Pipeline.from_checkpoint(checkpoint, dtype=dtype)
            keep_settings(folder, pipe, plan, subjects)
        if chosen:
            output.print(_tables(folder, pipe, plan, subjects, chosen, (judges, weights), bootstrap), markup=False)
        if 1 in drawn:
            _draw_times(folder / "figure-1", checkpoint, pipe, long)
        if 2 in drawn:
            _draw_attention(folder / f"figure-2-{max(long)}x.png", pipe, plan, subjects)
        messages.print(f"The report is in {folder}", markup=False)


def _tables(
    folder: Path,
    pipe: "AudioLDM2Pipeline",
    plan: "Plan",
    subjects: "Subjects",
    tables: tuple[int, ...],
    judged_by: tuple[Any, dict[str, str]],
    bootstrap: int,
) -> str:
    """Make what is missing of the sounds, have all judged, and write the tables."""
    from litefocus_jax.benchmark.report import machine
    from litefocus_jax.evaluation.paper.sounds import batches_missing, cells_of, make_sounds
    from litefocus_jax.evaluation.paper.speed import ROUNDS, seconds_per_sound
    from litefocus_jax.evaluation.paper.tables import judged, write_tables
    from litefocus_jax.evaluation.paper.variants import variants_of
    from litefocus_jax.system.progress import described_progress_bar

    variants = variants_of(tables)
    cells = cells_of(folder, plan.lengths, variants)
    with described_progress_bar(batches_missing(plan, cells) + (ROUNDS + 1) * len(cells)) as on_progress:
        make_sounds(pipe, plan, subjects, cells, on_progress)
        seconds = seconds_per_sound(folder, pipe, plan, subjects, variants, machine(), on_progress)
        rows, notes = judged(cells, *judged_by, subjects, seconds, bootstrap=bootstrap, on_cell=on_progress)
    return write_tables(folder, tables, rows, plan, _facts(folder, pipe, plan, judged_by[1]), notes)


def _facts(folder: Path, pipe: "AudioLDM2Pipeline", plan: "Plan", weights: dict[str, str]) -> dict[str, str]:
    """What the tables were made and measured on, in words."""
    from litefocus_jax.benchmark.report import machine
    from litefocus_jax.evaluation.paper.sounds import SETTINGS, ZEROS, kept

    settings, here = kept(folder / SETTINGS), machine()
    return {
        "model": f"digest {settings['model']}, {settings['dtype']}",
        "training length": f"{pipe.geometry.training_length_in_s:g} s",
        "sounds": f"{plan.sounds} for each seed, length and kind of attention, {plan.batch} at a time",
        "seeds": f"{plan.seeds}",
        "sampling": f"{settings['sampling']}, guidance {settings['guidance_scale']:g}"
        + (f", eta {settings['eta']:g}" if settings["eta"] else "")
        + (", zeros for empty prompts" if settings.get(ZEROS) else ""),
        "judges": ", ".join(f"{name} ({source})" for name, source in weights.items()),
        "machine": f"{settings['device']}; {here['processor']}, {here['cores']} cores",
        "version": f"litefocus-jax {settings['library_version']}, JAX {here['versions']['jax']}",
    }


def _draw_times(folder: Path, checkpoint: "Checkpoint", pipe: "AudioLDM2Pipeline", lengths: tuple[int, ...]) -> None:
    """Figure 1: time against length, and the share of each stage; unless it is there for these lengths."""
    from litefocus_jax.benchmark.report import STEPS, write_stages
    from litefocus_jax.benchmark.stages import measure_stages
    from litefocus_jax.benchmark.workload import Workload
    from litefocus_jax.system.progress import described_progress_bar

    training_length = pipe.geometry.training_length_in_s or 0.0
    stages = folder / "stages.json"
    drawn = json.loads(stages.read_text(encoding="utf-8")) if stages.exists() else []
    if {stage["duration_in_s"] for stage in drawn} == {length * training_length for length in lengths}:
        return
    workloads = [
        Workload(name, length * training_length, None, str(checkpoint.folder), pipe.dtype)
        for name in ("dense", "litefocus")
        for length in lengths
    ]
    with described_progress_bar(len(workloads)) as on_progress:
        modules = pipe.components.modules
        times = [*measure_stages(modules, workloads, steps=STEPS, rounds=_FIGURE_ROUNDS, on_progress=on_progress)]
    write_stages(folder, times)


def _draw_attention(path: Path, pipe: "AudioLDM2Pipeline", plan: "Plan", subjects: "Subjects") -> None:
    """Figure 2: the attention of two tokens, in the longest sound."""
    if path.exists():
        return
    from litefocus_jax.evaluation.attention_map import attention_maps, draw_maps

    request = pipe.request(
        subjects.captions[0],
        audio_length_in_s=max(plan.lengths) * (pipe.geometry.training_length_in_s or 0.0),
        litefocus=None,
        **plan.options,
    )
    maps = attention_maps(pipe, request)
    draw_maps(path, maps)
    messages.print(maps.in_words(), markup=False)


def _numbers(text: str, option: str, known: tuple[int, ...] | None) -> tuple[int, ...]:
    """Whole numbers between commas, each once, in their order.

    Raises:
        typer.BadParameter: when one of them is none, or unknown.
    """
    expected = "whole numbers from 1" if known is None else f"some of {', '.join(map(str, known))}"
    try:
        found = sorted({int(part) for part in text.split(",")})
    except ValueError:
        found = []
    if not found or found[0] < 1 or (known is not None and not set(found) <= set(known)):
        raise typer.BadParameter(f"{text!r}; expected {expected}, such as 1,2", param_hint=option)
    return tuple(found)
