"""``litefocus-jax bench``: how fast it is here, and against what people use today."""

import os
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from litefocus_jax.cli.completions import complete_model
from litefocus_jax.cli.console import messages, naming_options, output, reporting_errors
from litefocus_jax.cli.options.checkpoint import Heads
from litefocus_jax.cli.start import find_devices

if TYPE_CHECKING:
    from litefocus_jax.benchmark.measure import Plan


def _durations(text: str) -> tuple[float, ...]:
    try:
        durations = tuple(float(part) for part in text.split(","))
    except ValueError:
        durations = ()
    if not durations or not all(0 < seconds < float("inf") for seconds in durations):
        raise typer.BadParameter(f"{text!r} is not a list of seconds, such as 10,20,40", param_hint="--durations")
    return durations


def _bench_start(plan: "Plan", folder: Path) -> None:
    """Time new processes, with a model of random weights on disk where none is given."""
    import tempfile

    from litefocus_jax.benchmark.report import start_table, write_start
    from litefocus_jax.benchmark.start import measure_start
    from litefocus_jax.checkpoint.random_model import save_random_model
    from litefocus_jax.system.progress import described_progress_bar

    starts = []
    with tempfile.TemporaryDirectory() as scratch:
        model = plan.model
        if model is None:
            model = str(Path(scratch) / "model")
            with messages.status("Writing random weights"):
                save_random_model(model, size=plan.size or "audioldm2")
        with described_progress_bar(len(plan.durations) * (plan.rounds + 1)) as on_progress:
            for duration_in_s in plan.durations:
                starts.append(measure_start(model, duration_in_s, plan.rounds, on_progress, heads=plan.heads))
                write_start(folder, starts)
    output.print(start_table(starts), markup=False)


def bench(
    model: Annotated[
        str | None,
        typer.Option(
            "--model",
            "-m",
            help="The checkpoint whose weights are used: a folder or a hub id.",
            autocompletion=complete_model,
        ),
    ] = None,
    size: Annotated[
        Literal["audioldm2", "audioldm2-large", "tiny"],
        typer.Option(help="The published shape that random weights have without --model; nothing is downloaded."),
    ] = "audioldm2",
    heads: Heads = None,
    durations: Annotated[
        str, typer.Option(help="The lengths of sound to measure: seconds, separated by commas.")
    ] = "10,20,40,80,160",
    against: Annotated[
        Literal["diffusers"] | None,
        typer.Option(help="Time this peer too, in the same run; it needs a clone and the test extra."),
    ] = None,
    variants: Annotated[
        str,
        typer.Option(help="The variants of ours to time, by commas; linear and token_merging are others."),
    ] = "dense,litefocus,same_frequency,auto",
    token_merging: Annotated[
        float | None,
        typer.Option(metavar="SHARE", help="Time Token Merging too, of this share of tokens, such as 0.5."),
    ] = None,
    dtype: Annotated[
        Literal["float32", "bfloat16", "float16"] | None,
        typer.Option(help="The type of weights and computation; chosen by device unless given."),
    ] = None,
    part: Annotated[
        Literal["unet", "decoder", "tiles"],
        typer.Option(
            help="What to time: one UNet call; VAE and vocoder for one sound (float32); or the same in tiles, as long "
            "sound is decoded, to a WAV file."
        ),
    ] = "unet",
    rounds: Annotated[
        int,
        typer.Option(min=1, max=10_000, help="How often each variant is called, in turns, after one call to warm up."),
    ] = 5,
    together: Annotated[
        bool,
        typer.Option(
            "--together", help="Call in turns at all durations too, to compare them; takes the memory of all at once."
        ),
    ] = False,
    stages: Annotated[bool, typer.Option("--stages", help="Split a whole generation into its stages too.")] = False,
    start: Annotated[
        bool, typer.Option("--start", help="Time new processes instead, until their first denoising step is done.")
    ] = False,
    folder: Annotated[Path, typer.Option("--output", "-o", help="The folder of the report.")] = Path("report"),
) -> None:
    """Measure seconds per UNet call under guidance (or per decoding of a sound), peak memory and compile time.

    Each variant runs in a process of its own, and calls are made in turns. The report folder gets bench.json, bench.md
    and machine.json, and with --stages also stages.json, stages.md and stages.png. It is written again after every
    duration, so that an interrupted run keeps what it measured. --start writes start.json and start.md alone.
    """
    with reporting_errors():
        from litefocus_jax.benchmark.workload import OUR_VARIANTS

        chosen = tuple(part.strip() for part in variants.split(",") if part.strip())
        if unknown := [name for name in chosen if name not in OUR_VARIANTS]:
            raise typer.BadParameter(
                f"{', '.join(unknown)} unknown; expected some of {', '.join(OUR_VARIANTS)}", param_hint="--variants"
            )
        if token_merging is not None:
            from litefocus_jax.generation.attention import chosen_merging

            with naming_options({"token_merging": "--token-merging"}):
                chosen_merging(token_merging)
            chosen = tuple(dict.fromkeys([*chosen, "token_merging"]))
        if stages and "token_merging" in chosen:
            raise typer.BadParameter("knows no stages of token_merging; leave one of them out", param_hint="--stages")
        seconds = _durations(durations)
        if part == "tiles" and against:
            raise typer.BadParameter("the peer decodes sound in one piece; use --part decoder", param_hint="--against")

        # Unless told otherwise, JAX reserves most of a GPU's memory for this process, and leaves none to the workers.
        os.environ.setdefault("XLA_PYTHON_CLIENT_PREALLOCATE", "false")
        import jax

        find_devices()
        from litefocus_jax.benchmark.measure import Plan, measure, units_of_progress
        from litefocus_jax.benchmark.report import STEPS, machine, rows_table, stages_table, write_rows, write_stages
        from litefocus_jax.benchmark.stages import load_models, measure_stages
        from litefocus_jax.benchmark.workload import Workload, peer_folder
        from litefocus_jax.system.platform import current_platform
        from litefocus_jax.system.progress import described_progress_bar

        if against:
            peer_folder()
        plan = Plan(
            durations=seconds,
            variants=chosen,
            peer=against is not None,
            size=None if model else size,
            model=model,
            dtype=dtype or current_platform().default_dtype,
            rounds=rounds,
            part=part,
            together=together,
            token_merging=0.5 if token_merging is None else token_merging,
            heads=heads,
        )
        if heads is not None:
            with naming_options({"heads": "--heads"}):
                plan.workload(chosen[0], seconds[0]).configs()
        if start:
            _bench_start(plan, folder)
            return
        rows = []
        facts = machine() | {"size": plan.size, "model": plan.model, "dtype": plan.dtype}
        facts |= {
            "device": jax.local_devices()[0].device_kind,
            "part": plan.part,
            "rounds": plan.rounds,
            "together": plan.together,
            "token_merging": plan.token_merging,
            "heads": plan.heads,
        }
        with described_progress_bar(units_of_progress(plan)) as on_progress:
            for new_rows in measure(plan, on_progress):
                rows += new_rows
                write_rows(folder, rows, facts)
        output.print(rows_table(rows), markup=False)

        if stages:
            models = load_models(plan.size, plan.model, plan.dtype, plan.heads)
            workloads = [
                Workload(name, duration_in_s, plan.size, plan.model, plan.dtype)
                for name in chosen
                if name != "auto"
                for duration_in_s in seconds
            ]
            times = []
            with described_progress_bar(len(workloads)) as on_progress:
                for stage_times in measure_stages(
                    models, workloads, steps=STEPS, rounds=min(rounds, 3), on_progress=on_progress
                ):
                    times.append(stage_times)
                    write_stages(folder, times)
            output.print(stages_table(times), markup=False)
        messages.print(f"The report is in {folder}", markup=False)
