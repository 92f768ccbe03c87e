"""The report folder of the benchmark: JSON for programs, a Markdown table for people, pictures for papers."""

import dataclasses
import json
import os
import platform
import sys
from collections.abc import Sequence
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from litefocus_jax.benchmark.measure import Row
from litefocus_jax.benchmark.stages import StageTimes
from litefocus_jax.benchmark.start import PHASES, StartTimes
from litefocus_jax.benchmark.workload import DECODER_VARIANT, TILES_VARIANT
from litefocus_jax.system.files import write_text, written_beside

STEPS = 200  # steps of a whole generation; the published default


def machine() -> dict[str, Any]:
    """What the numbers were measured on: processor, cores, Python and the versions that matter."""
    versions = {}
    for name in ("jax", "jaxlib", "flax", "torch", "diffusers", "litefocus-jax"):
        try:
            versions[name] = version(name)
        except PackageNotFoundError:
            continue
    return {
        "processor": _processor(),
        "cores": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
        "versions": versions,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text(encoding="utf-8").splitlines()
        return next(line.partition(":")[2].strip() for line in lines if line.startswith("model name"))
    except (OSError, StopIteration):
        return platform.processor() or sys.platform


def write_rows(folder: Path, rows: Sequence[Row], facts: dict[str, Any]) -> None:
    """Write ``bench.json`` (a list of rows), ``bench.md`` (a table) and ``machine.json``."""
    write_text(folder / "bench.json", json.dumps([dataclasses.asdict(row) for row in rows], indent=2) + "\n")
    write_text(folder / "machine.json", json.dumps(facts, indent=2) + "\n")
    write_text(folder / "bench.md", rows_table(rows))


def rows_table(rows: Sequence[Row]) -> str:
    """The rows as a Markdown table, for UNet calls with the time of a whole generation's steps."""
    of_steps = not any(row.variant in (DECODER_VARIANT, TILES_VARIANT) for row in rows)
    names = ["sound", "variant", "s per call", "spread", "diffusers takes", "peak memory", "compile"]
    names += [f"{STEPS} steps"] if of_steps else []
    lines = [_table_line(names), "|---" * len(names) + "|"]
    for row in rows:
        cells = [
            f"{row.duration_in_s:g} s",
            row.variant,
            f"{row.seconds_per_call:.3g}",
            f"{row.spread:.2g}",
            "" if row.ratio_to_peer is None else f"{row.ratio_to_peer:.2f}x",
            f"{row.peak_bytes / 1e9:.2f} GB",
            f"{row.compile_in_s:.1f} s",
        ]
        lines.append(_table_line(cells + ([_duration(STEPS * row.seconds_per_call)] if of_steps else [])))
    return "\n".join(lines) + "\n"


def _table_line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"


def write_start(folder: Path, starts: Sequence[StartTimes]) -> None:
    """Write ``start.json`` and ``start.md``."""
    write_text(folder / "start.json", json.dumps([dataclasses.asdict(start) for start in starts], indent=2) + "\n")
    write_text(folder / "start.md", start_table(starts))


def start_table(starts: Sequence[StartTimes]) -> str:
    """Seconds from the start of a process to the end of each phase, as a Markdown table."""
    lines = [_table_line(["sound", *PHASES]), "|---" * (len(PHASES) + 1) + "|"]
    lines += [
        _table_line([f"{start.duration_in_s:g} s", *(f"{start.seconds[phase]:.2f} s" for phase in PHASES)])
        for start in starts
    ]
    return "\n".join(lines) + "\n"


def write_stages(folder: Path, stages: Sequence[StageTimes]) -> None:
    """Write ``stages.json``, ``stages.md`` and ``stages.png``, after Figure 1 of the LiteFocus paper."""
    write_text(folder / "stages.json", json.dumps([dataclasses.asdict(stage) for stage in stages], indent=2) + "\n")
    write_text(folder / "stages.md", stages_table(stages))
    _draw_stages(folder / "stages.png", stages)


def stages_table(stages: Sequence[StageTimes]) -> str:
    """Seconds of a whole generation by stage, as a Markdown table."""
    names = list(stages[0].seconds)
    lines = [_table_line(["sound", "variant", *names, "all"]), "|---" * (len(names) + 3) + "|"]
    for stage in stages:
        cells = [f"{stage.seconds[name]:.3g}" for name in names]
        lines.append(_table_line([f"{stage.duration_in_s:g} s", stage.variant, *cells, f"{stage.total:.4g}"]))
    return "\n".join(lines) + "\n"


def _draw_stages(path: Path, stages: Sequence[StageTimes]) -> None:
    """Time against length for each variant, and the share of each stage at each length."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(11, 4), layout="constrained")
    times, shares = figure.subplots(1, 2)
    for variant in dict.fromkeys(stage.variant for stage in stages):
        of_variant = [stage for stage in stages if stage.variant == variant]
        times.plot([s.duration_in_s for s in of_variant], [s.total for s in of_variant], marker="o", label=variant)
    times.set(xlabel="seconds of sound", ylabel=f"seconds for {STEPS} steps", title="(a) time")
    times.legend(frameon=False)

    first = [stage for stage in stages if stage.variant == stages[0].variant]
    labels = [f"{stage.duration_in_s:g} s" for stage in first]
    bottom = [0.0] * len(first)
    colours = ["#0d0887", "#5c01a6", "#9c179e", "#cc4778", "#ed7953", "#fdb42f", "#888888", "#bbbbbb", "#dddddd"]
    for name, colour in zip(first[0].seconds, colours, strict=False):
        heights = [100 * stage.seconds[name] / stage.total for stage in first]
        shares.bar(labels, heights, bottom=bottom, label=name, color=colour)
        bottom = [below + height for below, height in zip(bottom, heights, strict=True)]
    shares.set(ylabel="% of the time", title=f"(b) share of each stage, {stages[0].variant}")
    shares.legend(frameon=False, loc="center left", bbox_to_anchor=(1.0, 0.5))
    for axes in (times, shares):
        axes.spines[["top", "right"]].set_visible(False)
    with written_beside(path) as partial:
        figure.savefig(partial, format="png", dpi=150)


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
