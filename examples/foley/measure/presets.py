"""How few steps are enough: ``python -m examples.foley.measure.presets foley -o runs/presets``.

The same noise is sampled in several ways, and each sound is compared with what very many steps make of it: by the mean
distance of their log-mels, and by whether the judge of the bundled model hears the kind that was asked for. The folder
gets ``presets.json`` and ``presets.md``, the table of docs/sampling.md.
"""

import dataclasses
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Float, Float32

from examples.foley.judges.classifier import hear
from examples.foley.judges.listening import log_mels
from examples.foley.judges.panel import SHIPPED_JUDGES, Judges
from examples.foley.measure.measures import share_named
from examples.foley.world.corpus import KIND_NAMES
from litefocus_jax.models.generation_defaults import Sampling
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.files import write_text
from litefocus_jax.system.progress import progress_bar

PROMPTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "footsteps on gravel": ("footsteps",),
        "rain": ("rain",),
        "a siren": ("siren",),
        "thunder": ("thunder",),
        "birds singing": ("birds",),
        "a helicopter": ("helicopter",),
        "a church bell": ("church bell",),
        "waves on a beach": ("waves",),
        "a phone rings": ("phone",),
        "a music box": ("music box",),
        "a snare drum, then wind": ("snare drum", "wind"),
        "a fire crackles while a frog croaks": ("fire", "frog"),
    }
)
"""What is asked for, with the kinds that should be heard."""

_DECIBELS_PER_NEPER = 20.0 / np.log(10.0)
_AUDIBLE_IN_NEPERS = 60.0 / _DECIBELS_PER_NEPER


REFERENCE = Sampling("ddim", 250, "trailing")
CANDIDATES = (
    *(Sampling("dpm++", steps, "trailing") for steps in (8, 10, 12, 15, 20, 25, 30, 50, 100)),
    *(Sampling("dpm++", steps, "leading") for steps in (20, 25)),
    *(Sampling("ddim", steps, "trailing") for steps in (25, 50, 100)),
    Sampling("ddim", 200, "leading"),
)


@dataclasses.dataclass(frozen=True)
class Row:
    """What came of one way to sample.

    Attributes:
        sampling: the way.
        mean_distance: of all sounds, in dB, from the reference's.
        largest_distance: of all sounds.
        named: share of the kinds asked for that the classifier names.
    """

    sampling: Sampling
    mean_distance: float
    largest_distance: float
    named: float


def log_mel_distance(mel: Float[np.ndarray, "frames mels"], reference: Float[np.ndarray, "frames mels"]) -> float:
    """Mean absolute difference of two log-mels in dB; what lies 60 dB under the reference's loudest point is silence.

    Args:
        mel: natural logarithms of magnitudes.
        reference: likewise.
    """
    floor = reference.max() - _AUDIBLE_IN_NEPERS
    return float(_DECIBELS_PER_NEPER * np.abs(np.maximum(mel, floor) - np.maximum(reference, floor)).mean())


def sample(pipeline: AudioLDM2Pipeline, sampling: Sampling, seed: int) -> Float32[np.ndarray, "sounds samples"]:
    """All prompts, each from its own noise, which is the same for every way to sample."""
    geometry = pipeline.geometry
    assert geometry.training_frames is not None
    shape = (geometry.training_frames, geometry.frequencies, geometry.channels)
    noise = [np.random.default_rng([seed, number]).standard_normal(shape) for number in range(len(PROMPTS))]
    return pipeline(
        [*PROMPTS],
        latents=np.stack(noise).astype(np.float32),
        scheduler=sampling.scheduler,
        num_inference_steps=sampling.num_inference_steps,
        timestep_spacing=sampling.timestep_spacing,
        check_memory=False,
        progress=False,
    ).audios


def measure(pipeline: AudioLDM2Pipeline, judges: Judges, candidates: Sequence[Sampling], *, seed: int) -> Iterator[Row]:
    """A row for the reference, and one for each candidate."""
    kinds = [[KIND_NAMES.index(name) for name in names] for names in PROMPTS.values()]
    reference = None
    for sampling in (REFERENCE, *candidates):
        mels = log_mels(sample(pipeline, sampling, seed))
        reference = mels if reference is None else reference
        distances = [log_mel_distance(*pair) for pair in zip(mels, reference, strict=True)]
        named = share_named(hear(judges.classifier, mels).logits, kinds)
        yield Row(sampling, float(np.mean(distances)), max(distances), named)


def table(rows: Sequence[Row]) -> str:
    """The rows in Markdown."""
    lines = [
        "| scheduler | steps | spacing | mean distance | largest | kinds heard |",
        "|---|---|---|---|---|---|",
    ]
    for row in rows:
        way = row.sampling
        lines.append(
            f"| {way.scheduler} | {way.num_inference_steps} | {way.timestep_spacing} | {row.mean_distance:.2f} dB | "
            f"{row.largest_distance:.1f} dB | {row.named:.0%} |"
        )
    return "\n".join(lines) + "\n"


def main(
    model: Annotated[str, typer.Argument(help="Folder of the model; foley is the bundled one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")],
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of a training run, whose judge listens; that of the bundled model unless given."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of the noise.")] = 0,
) -> None:
    """Measure how far sounds of few steps are from sounds of many."""
    pipeline = AudioLDM2Pipeline.from_pretrained(model, dtype="float32")
    judges = Judges.load(SHIPPED_JUDGES if run is None else run, pipeline.components.tokenizer)
    rows: list[Row] = []
    with progress_bar("Ways to sample", 1 + len(CANDIDATES)) as on_progress:
        for row in measure(pipeline, judges, CANDIDATES, seed=seed):
            rows.append(row)
            write_text(
                output / "presets.json", json.dumps([dataclasses.asdict(each) for each in rows], indent=2) + "\n"
            )
            write_text(output / "presets.md", table(rows))
            on_progress(len(rows))
    typer.echo(table(rows))


if __name__ == "__main__":
    typer.run(main)
