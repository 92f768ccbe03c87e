"""How fast the kinds of attention of a report are: all of a length timed in turns, in one run."""

import itertools
import statistics
import time
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from litefocus_jax.evaluation.paper.sounds import Plan, kept, request_of
from litefocus_jax.evaluation.paper.subjects import Subjects
from litefocus_jax.evaluation.paper.variants import ALL_VARIANTS, Variant
from litefocus_jax.generation.request import Request
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.files import write_json
from litefocus_jax.system.interruption import raise_if_interrupted

SPEED = "speed.json"
"""Seconds of a denoising step of a batch, by length and kind of attention, and the machine that took them."""

ROUNDS = 3
"""In each of which every kind of attention has its turn."""

STEPS = 4
"""Of a turn; the first is not counted."""


def seconds_per_sound(
    folder: Path,
    pipe: AudioLDM2Pipeline,
    plan: Plan,
    subjects: Subjects,
    variants: Sequence[Variant],
    machine: Mapping[str, Any],
    on_batch: Callable[[str], None] = lambda what: None,
) -> dict[int, dict[str, float]]:
    """Seconds that a sound takes to denoise, its steps kept from an earlier run or measured.

    The kinds of attention take turns, a few steps each, for `ROUNDS` rounds: what slows the machine slows all alike.
    Where one is new, those that were timed before are timed again beside it, and on another machine all are.

    Args:
        folder: of the report.
        pipe: the model.
        plan: what lengths, and how many sounds are made at a time.
        subjects: the captions; those of the first batch are taken.
        variants: the kinds of attention that are to be there.
        machine: what they are timed on, in what JSON holds.
        on_batch: told what comes next, before each batch.

    Returns:
        By length, in training lengths, and by name of the variant: the median step of all rounds, times the number of
        steps, shared by the sounds of a batch; without text encoders, compilation and decoding.
    """
    known = kept(folder / SPEED)
    lengths: dict[str, dict[str, float]] = known["lengths"] if known.get("machine") == machine else {}
    wanted = {variant.name for variant in variants}
    for length in plan.lengths:
        timed = lengths.get(f"{length}x", {})
        if not wanted <= timed.keys():
            chosen = [variant for variant in ALL_VARIANTS if variant.name in wanted | timed.keys()]
            lengths = {**lengths, f"{length}x": _in_turns(pipe, plan, subjects, length, chosen, on_batch)}
            write_json(folder / SPEED, {"machine": dict(machine), "lengths": lengths})
    first = plan.batches[0]
    steps = request_of(pipe, subjects, plan.lengths[0], variants[0], first, plan.options).schedule.num_steps
    _, start, stop = first
    return {
        length: {name: steps * step / (stop - start) for name, step in lengths[f"{length}x"].items()}
        for length in plan.lengths
    }


def _in_turns(
    pipe: AudioLDM2Pipeline,
    plan: Plan,
    subjects: Subjects,
    length: int,
    variants: Sequence[Variant],
    on_batch: Callable[[str], None],
) -> dict[str, float]:
    steps_in_s: dict[str, list[float]] = defaultdict(list)
    options = {**plan.options, "num_inference_steps": STEPS}
    for round_number in range(ROUNDS):
        for variant in variants:
            raise_if_interrupted()
            on_batch(f"{length}x, {variant.name}: timing, round {round_number + 1} of {ROUNDS}")
            request = request_of(pipe, subjects, length, variant, plan.batches[0], options)
            steps_in_s[variant.name] += _steps(pipe, request)
    return {name: statistics.median(taken) for name, taken in steps_in_s.items()}


def _steps(pipe: AudioLDM2Pipeline, request: Request) -> list[float]:
    """Seconds of each step but the first, before which there are text encoders and compilation."""
    ends: list[float] = []
    pipe.run(
        request,
        output_type="latent",
        progress=False,
        callback=lambda step, steps, latents: ends.append(time.perf_counter()),
    )
    return [later - earlier for earlier, later in itertools.pairwise(ends)]
