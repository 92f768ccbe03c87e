"""What becomes of sounds that are given: ``python -m examples.foley.measure.editing -o runs/editing``.

Synthesised sounds of the world of foley have their middle second filled, are varied with several strengths, and
are made anew from their caption; some of them as two sides too. The folder gets ``editing.json`` and
``editing.md``, the numbers of docs/editing.md.
"""

import dataclasses
import itertools
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer
from jaxtyping import Float, Float32

from examples.foley.judges.classifier import hear
from examples.foley.judges.listening import log_mels
from examples.foley.judges.panel import SHIPPED_JUDGES, Judges
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

STRENGTHS = (0.0, 0.25, 0.5, 0.75, 1.0)
STEREO_STRENGTHS = (0.0, 0.25, 0.5, 1.0)
_RIGHT_IN_DB = -6.0  # of the right side beside the left one, of a sound to the left of a listener
_LATER_IN_SAMPLES = 6  # and as much later, 0.4 ms
_AROUND = 4  # frames of 10 ms to either side that hold some of a border: half of a Fourier transform


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


def measure_stereo(pipeline: AudioLDM2Pipeline, sounds: Sequence[Given]) -> Iterator[dict[str, Any]]:
    """One row after another: what was done to both sides, and how like each other they are."""
    given = [dataclasses.replace(sound, waveform=sides_of(sound.waveform)) for sound in sounds]
    ways: dict[str, Any] = {f"strength {strength:g}": {"strength": strength} for strength in STEREO_STRENGTHS}
    results = {"given": [sound.waveform.T for sound in given]}
    for name, options in ways.items():
        results[name] = [*made(pipeline, given, stereo=True, **options)]
    start, end = (round(border * SAMPLING_RATE) for border in FILLED)
    results["filled, within the gap"] = [
        waveform[start:end] for waveform in made(pipeline, given, stereo=True, fill=[FILLED])
    ]
    for name, waveforms in results.items():
        alike = np.array([likeness(*waveform.T) for waveform in waveforms])
        correlation, level = np.median(alike, axis=0)
        yield {"made of both sides": name, "correlation": float(correlation), "right in dB": float(level)}


def measure(pipeline: AudioLDM2Pipeline, judges: Judges, sounds: Sequence[Given]) -> Iterator[dict[str, Any]]:
    """One row after another: what was done, and what is heard."""
    kinds = [[sound.kind] for sound in sounds]
    given = np.stack([sound.waveform for sound in sounds])
    mels = log_mels(given)

    def heard(waveforms: np.ndarray) -> float:
        return share_named(hear(judges.classifier, log_mels(waveforms)).logits, kinds)

    yield {"made": "given", "recognised": heard(given)}
    filled = np.stack([*made(pipeline, sounds, fill=[FILLED])])
    start, end = (round(border * SAMPLING_RATE) for border in FILLED)
    places = [place for pair in zip(given, filled, strict=True) for place in border_places(*pair)]
    silenced = given.copy()
    silenced[:, start:end] = 0.0
    yield {
        "made": "filled",
        "recognised": heard(filled),
        "recognised with silence in its place": heard(silenced),
        "kept to the bit": bool(
            np.array_equal(filled[:, :start], given[:, :start]) and np.array_equal(filled[:, end:], given[:, end:])
        ),
        "borders within the sound's own steps": float(np.mean(np.array(places) < 1.0)),
        "median place of a border": float(np.median(places)),
    }
    for strength in STRENGTHS:
        varied = np.stack([*made(pipeline, sounds, strength=strength)])
        distances = [log_mel_distance(*pair) for pair in zip(log_mels(varied), mels, strict=True)]
        yield {
            "made": f"strength {strength:g}",
            "recognised": heard(varied),
            "distance in dB": float(np.mean(distances)),
        }


def table(rows: Sequence[dict[str, Any]]) -> str:
    """The rows in Markdown."""
    lines = ["| made | recognised | distance from the given sound |", "|---|---|---|"]
    for row in rows:
        if "made" not in row:
            continue
        distance = f"{row['distance in dB']:.1f} dB" if "distance in dB" in row else ""
        lines.append(f"| {row['made']} | {row['recognised']:.0%} | {distance} |")
    lines += ["", "| made of both sides | correlation | right beside left |", "|---|---|---|"]
    for row in rows:
        if "correlation" in row:
            lines.append(f"| {row['made of both sides']} | {row['correlation']:.2f} | {row['right in dB']:.1f} dB |")
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
    rows: list[dict[str, Any]] = []
    sounds = given_sounds(count, seed)
    measured = itertools.chain(measure(pipeline, judges, sounds), measure_stereo(pipeline, sounds[:stereo]))
    with progress_bar("Ways to edit", 4 + len(STRENGTHS) + len(STEREO_STRENGTHS)) as on_progress:
        for row in measured:
            rows.append(row)
            write_text(output / "editing.json", json.dumps({"sounds": count, "rows": rows}, indent=2) + "\n")
            write_text(output / "editing.md", table(rows))
            on_progress(len(rows))
    typer.echo(table(rows))


if __name__ == "__main__":
    typer.run(main)
