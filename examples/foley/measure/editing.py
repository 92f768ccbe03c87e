"""What becomes of sounds that are given: ``python -m examples.foley.measure.editing -o runs/editing``.

Synthesised sounds of the world of foley have their middle second filled, are varied with several strengths, and
are made anew from their caption; some of them as two sides too. The folder gets ``editing.json`` and
``editing.md``, the numbers of docs/editing.md, and keeps each row in ``ledger.jsonl``: an interrupted command goes on.
"""

import dataclasses
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import Float, Float32

from examples.foley.judges.classifier import hear
from examples.foley.judges.listening import log_mels
from examples.foley.judges.panel import SHIPPED_JUDGES, Judges
from examples.foley.measure.ledger import Figures, Ledger
from examples.foley.measure.measures import share_named
from examples.foley.measure.presets import log_mel_distance
from examples.foley.world.captions import caption
from examples.foley.world.clips import SAMPLING_RATE, TRAINING_SECONDS
from examples.foley.world.corpus import KIND_NAMES
from examples.foley.world.sounds import Scene, random_event, render
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.files import write_text
from litefocus_jax.system.progress import progress_bar

FILLED = (0.78, 1.78)
"""The second in the middle that is made anew."""

_GAP = slice(*(round(border * SAMPLING_RATE) for border in FILLED))

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
STEREO_STRENGTHS = (0.0, 0.25, 0.5, 1.0)
_RIGHT_IN_DB = -6.0  # of the right side beside the left one, of a sound to the left of a listener
_LATER_IN_SAMPLES = 6  # and as much later, 0.4 ms
_AROUND = 4  # frames of 10 ms to either side that hold some of a border: half of a Fourier transform


Measure = Callable[[], Figures]


@dataclasses.dataclass(frozen=True)
class Given:
    """A sound with its caption and its kind's place in `KIND_NAMES`."""

    waveform: Float32[np.ndarray, "... samples"]
    caption: str
    kind: int


def given_sounds(count: int, seed: int) -> list[Given]:
    """Sounds of single events, of all kinds in turn."""
    sounds = []
    for number in range(count):
        generator = np.random.default_rng([seed, number])
        kind = number % len(KIND_NAMES)
        scene = Scene((random_event(generator, KIND_NAMES[kind]),))
        waveform = render(scene, generator, duration_in_s=TRAINING_SECONDS)
        sounds.append(Given(waveform, caption(scene, generator), kind))
    return sounds


def roughness(mel: Float[np.ndarray, "frames mels"]) -> Float[np.ndarray, " frames-1"]:
    """How far each frame of a log-mel is from the one before it: the root mean square over its bins."""
    return np.sqrt(np.mean(np.square(np.diff(mel, axis=0)), axis=1))


def roughest_around(steps: Float[np.ndarray, " steps"], frame: int) -> float:
    """The greatest step near a frame."""
    return float(steps[max(0, frame - _AROUND) : frame + _AROUND].max())


def border_places(given: Float[np.ndarray, " samples"], filled: Float[np.ndarray, " samples"]) -> list[float]:
    """For each border of what is filled, the share of places in the sound that was given which are less rough."""
    before, after = (roughness(mel) for mel in log_mels(np.stack([given, filled])))
    elsewhere = [roughest_around(before, frame) for frame in range(len(before))]
    borders = [round(100 * border) for border in FILLED]
    return [float(np.mean(np.array(elsewhere) <= roughest_around(after, border))) for border in borders]


def sides_of(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, "2 samples"]:
    """A sound to the left: to the right it is softer and later."""
    later = np.concatenate([np.zeros(_LATER_IN_SAMPLES, np.float32), waveform[:-_LATER_IN_SAMPLES]])
    return np.stack([waveform, np.float32(10 ** (_RIGHT_IN_DB / 20)) * later])


def likeness(left: Float[np.ndarray, " samples"], right: Float[np.ndarray, " samples"]) -> tuple[float, float]:
    """Of two sides: the greatest correlation within a millisecond of each other, and the right one's level in dB."""
    most = round(0.001 * SAMPLING_RATE)
    middle = slice(most, len(left) - most)
    pairs = [np.corrcoef(left[middle], np.roll(right, lag)[middle])[0, 1] for lag in range(-most, most + 1)]
    return float(np.max(pairs)), 20.0 * float(np.log10(np.std(right) / np.std(left)))


def made(pipeline: AudioLDM2Pipeline, sounds: Sequence[Given], **options: Any) -> Iterator[np.ndarray]:
    """What a call makes of each sound."""
    for number, sound in enumerate(sounds):
        asked = {
            "audio": sound.waveform,
            "sampling_rate": SAMPLING_RATE,
            "seed": number,
            "check_memory": False,
        } | options
        yield pipeline(sound.caption, progress=False, **asked).audios[0]


def measures_of_two_sides(pipeline: AudioLDM2Pipeline, sounds: Sequence[Given]) -> dict[str, Measure]:
    """What is done to both sides, each with what measures how like each other the sides of the results are."""
    given = [dataclasses.replace(sound, waveform=sides_of(sound.waveform)) for sound in sounds]

    def figures(waveforms: Iterable[np.ndarray]) -> Figures:
        correlation, level = np.median([likeness(*waveform.T) for waveform in waveforms], axis=0)
        return {"correlation": float(correlation), "right in dB": float(level)}

    def filled() -> Figures:
        return figures(waveform[_GAP] for waveform in made(pipeline, given, stereo=True, fill=[FILLED]))

    def varied(strength: float) -> Figures:
        return figures(made(pipeline, given, stereo=True, strength=strength))

    return {
        "given": lambda: figures(sound.waveform.T for sound in given),
        **{f"strength {strength:g}": partial(varied, strength) for strength in STEREO_STRENGTHS},
        "filled, within the gap": filled,
    }


def measures_of_one(pipeline: AudioLDM2Pipeline, judges: Judges, sounds: Sequence[Given]) -> dict[str, Measure]:
    """What is done to a sound, each with what measures how often its kind is heard, and how much it changed."""
    kinds = [[sound.kind] for sound in sounds]
    given = np.stack([sound.waveform for sound in sounds])
    mels = log_mels(given)

    def heard(waveforms: np.ndarray) -> float:
        return share_named(hear(judges.classifier, log_mels(waveforms)).logits, kinds)

    def heard_within(waveforms: np.ndarray) -> float:
        alone = np.zeros_like(waveforms)
        alone[:, _GAP] = waveforms[:, _GAP]
        return heard(alone)

    def as_given() -> Figures:
        silenced = given.copy()
        silenced[:, _GAP] = 0.0
        return {
            "recognised": heard(given),
            "recognised by the second alone": heard_within(given),
            "recognised with silence in its place": heard(silenced),
        }

    def filled() -> Figures:
        filled = np.stack([*made(pipeline, sounds, fill=[FILLED])])
        places = [place for pair in zip(given, filled, strict=True) for place in border_places(*pair)]
        kept = [np.array_equal(filled[:, part], given[:, part]) for part in (slice(_GAP.start), slice(_GAP.stop, None))]
        return {
            "recognised": heard(filled),
            "recognised by the second alone": heard_within(filled),
            "kept to the bit": all(kept),
            "borders within the sound's own steps": float(np.mean(np.array(places) < 1.0)),
            "median place of a border": float(np.median(places)),
        }

    def varied(strength: float) -> Figures:
        varied = np.stack([*made(pipeline, sounds, strength=strength)])
        distances = [log_mel_distance(*pair) for pair in zip(log_mels(varied), mels, strict=True)]
        return {
            "recognised": heard(varied),
            "recognised by the second alone": heard_within(varied),
            "distance in dB": float(np.mean(distances)),
        }

    return {
        "given": as_given,
        "filled": filled,
        **{f"strength {strength:g}": partial(varied, strength) for strength in STRENGTHS},
    }


def table(rows: Sequence[Figures]) -> str:
    """The rows in Markdown."""
    lines = ["| made | recognised | by its middle second alone | distance from the given sound |", "|---|---|---|---|"]
    for row in rows:
        if "made" in row:
            distance = f"{row['distance in dB']:.1f} dB" if "distance in dB" in row else ""
            alone = row["recognised by the second alone"]
            lines.append(f"| {row['made']} | {row['recognised']:.1%} | {alone:.1%} | {distance} |")
    lines += ["", "| made of both sides | correlation | right beside left |", "|---|---|---|"]
    for row in rows:
        if "made of both sides" in row:
            correlation, level = row["correlation"], row["right in dB"]
            lines.append(f"| {row['made of both sides']} | {correlation:.2f} | {level:.1f} dB |")
    return "\n".join(lines) + "\n"


def main(
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results.")],
    model: Annotated[str, typer.Option(help="Folder of the model; foley is the bundled one.")] = "foley",
    count: Annotated[int, typer.Option(help="Sounds that are given.")] = 200,
    stereo: Annotated[int, typer.Option(help="How many of them are given as two sides too.")] = 48,
    seed: Annotated[int, typer.Option(help="Of the sounds.")] = 0,
) -> None:
    """Measure what becomes of sounds that are given."""
    pipeline = AudioLDM2Pipeline.from_pretrained(model, dtype="float32")
    judges = Judges.load(SHIPPED_JUDGES, pipeline.components.tokenizer)
    sounds = given_sounds(count, seed)
    asked = {"weights": pipeline.model_digest, "seed": seed}
    ways = [
        ({"made": made, "sounds": count}, measure)
        for made, measure in measures_of_one(pipeline, judges, sounds).items()
    ] + [
        ({"made of both sides": made, "sounds": stereo}, measure)
        for made, measure in measures_of_two_sides(pipeline, sounds[:stereo]).items()
    ]
    ledger = Ledger(output / "ledger.jsonl")
    rows: list[Figures] = []
    with progress_bar("Ways to edit", len(ways)) as on_progress:
        for cell, measure in ways:
            rows.append(cell | ledger.figures(asked | cell, measure))
            write_text(output / "editing.json", json.dumps({"rows": rows}, indent=2) + "\n")
            write_text(output / "editing.md", table(rows))
            on_progress(len(rows))
    typer.echo(table(rows))


if __name__ == "__main__":
    typer.run(main)
