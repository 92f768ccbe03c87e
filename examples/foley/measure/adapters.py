"""What a small adapter learns and forgets: ``python -m examples.foley.measure.adapters recordings -o runs/adapters``.

An adapter of rank 4 is trained on two recordings that the model knows nothing of, by ``litefocus-jax finetune``. Then
the sounds of their captions are compared with the recordings, before and after, and the judge of the bundled model
says of all other kinds whether it hears them as often as before, at the same seeds. The folder gets the training,
``adapters.json`` and ``adapters.md``, the table of docs/training.md; an interrupted command goes on. For recordings see
`examples/edit_recordings.py`.
"""

import json
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Float32

from examples.foley.judges.classifier import hear
from examples.foley.judges.listening import log_mels
from examples.foley.judges.panel import SHIPPED_JUDGES, Judges
from examples.foley.measure.ledger import Figures, Ledger
from examples.foley.measure.measures import share_named
from examples.foley.measure.presets import log_mel_distance
from examples.foley.world.clips import TRAINING_SECONDS
from examples.foley.world.corpus import KIND_NAMES
from litefocus_jax.audio import save_audio
from litefocus_jax.audio.reading import read_sound
from litefocus_jax.checkpoint.digests import digests_of
from litefocus_jax.models.vocabulary import Vocabulary
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.files import write_text
from litefocus_jax.system.progress import progress_bar

NEW_SOUNDS = {
    "sonic-pi/samples/perc_till.flac": "a cash register",
    "sonic-pi/samples/vinyl_rewind.flac": "a vinyl record is rewound",
}
"""Ends of the paths of recordings, and a caption for each, of words that the bundled model does not know."""

_PEAK = 0.5  # that of the sounds the model was trained on


def clip(path: Path, sampling_rate: int) -> Float32[np.ndarray, " samples"]:
    """The beginning of a recording, as long as the model's training; silence follows one that is shorter."""
    sound = read_sound(path, sampling_rate).waveform[: round(TRAINING_SECONDS * sampling_rate)]
    padded = np.zeros(round(TRAINING_SECONDS * sampling_rate), np.float32)
    padded[: len(sound)] = _PEAK * sound / np.abs(sound).max()
    return padded


def recording(folder: Path, ending: str) -> Path:
    """The one file in a folder whose path ends so.

    Raises:
        FileNotFoundError: when there is none.
    """
    found = [path for path in sorted(folder.rglob(Path(ending).name)) if path.as_posix().endswith(ending)]
    if not found:
        raise FileNotFoundError(f"{folder} holds no {ending}; expected the recordings of examples/edit_recordings.py")
    return found[0]


def train(sounds: Path, run: Path, steps: int) -> float:
    """Train an adapter of rank 4 by the command line; seconds that it took, compilation included."""
    options = ["--lora", "4", "--steps", steps, "--batch-size", 4, "--learning-rate", 0.002, "--save-every", steps]
    command = [sys.executable, "-m", "litefocus_jax", "finetune", sounds, "-m", "foley", "-o", run, *options]
    started = time.perf_counter()
    subprocess.run([str(part) for part in command], check=True)
    return time.perf_counter() - started


def sounds_of(pipeline: AudioLDM2Pipeline, prompts: Sequence[str], seeds: int) -> Iterator[np.ndarray]:
    """The sounds of each prompt at some seeds, one batch after another."""
    for prompt in prompts:
        yield pipeline(prompt, num_waveforms_per_prompt=seeds, seed=1, check_memory=False, progress=False).audios


def nearness(
    made: Float32[np.ndarray, "sounds samples"], recordings: Float32[np.ndarray, "recordings samples"]
) -> list[float]:
    """For each recording, the mean distance of as many sounds that were made of its caption, in decibels."""
    mels = np.split(log_mels(made), len(recordings))
    return [
        float(np.mean([log_mel_distance(sound, target) for sound in sounds]))
        for sounds, target in zip(mels, log_mels(recordings), strict=True)
    ]


def table(rows: Sequence[Figures]) -> str:
    """The rows in Markdown."""
    lines = ["| model | heard of the other kinds | " + " | ".join(NEW_SOUNDS.values()) + " |"]
    lines.append("|---|---|" + "---|" * len(NEW_SOUNDS))
    for row in rows:
        distances = " | ".join(f"{distance:.1f} dB" for distance in row["distances in dB"])
        lines.append(f"| {row['model']} | {row['heard']:.1%} of {row['sounds']} | {distances} |")
    return "\n".join(lines) + "\n"


def main(
    recordings: Annotated[Path, typer.Argument(help="Folder of recordings.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of training and results.")],
    steps: Annotated[int, typer.Option(help="Updates of the training.")] = 150,
    seeds: Annotated[int, typer.Option(help="Sounds of each kind.")] = 8,
) -> None:
    """Train an adapter on two recordings, and measure what it learns and forgets."""
    pipeline = AudioLDM2Pipeline.from_pretrained("foley", dtype="float32")
    rate = pipeline.geometry.sampling_rate
    clips = np.stack([clip(recording(recordings, ending), rate) for ending in NEW_SOUNDS])
    sounds, run = output / "sounds", output / "run"
    lines = []
    for number, (waveform, caption) in enumerate(zip(clips, NEW_SOUNDS.values(), strict=True)):
        save_audio(sounds / f"{number}.wav", waveform, rate)
        lines.append(json.dumps({"file_name": f"{number}.wav", "text": caption}))
    write_text(sounds / "metadata.jsonl", "\n".join(lines) + "\n")
    seconds = 0.0 if (run / "lora").is_dir() else train(sounds, run, steps)
    judges = Judges.load(SHIPPED_JUDGES, pipeline.components.tokenizer)
    vocabulary = pipeline.facts.vocabulary
    assert isinstance(vocabulary, Vocabulary), "foley has one"
    names = [vocabulary.kinds[kind].names[0] for kind in KIND_NAMES]
    kinds = [[number] for number in range(len(names)) for _ in range(seeds)]
    asked = {"weights": pipeline.model_digest, "seeds": seeds}

    def judged() -> Figures:
        new, known = (np.concatenate([*sounds_of(pipeline, what, seeds)]) for what in ([*NEW_SOUNDS.values()], names))
        heard = share_named(hear(judges.classifier, log_mels(known)).logits, kinds)
        return {"heard": heard, "sounds": len(known), "distances in dB": nearness(new, clips)}

    ledger = Ledger(output / "ledger.jsonl")
    rows: list[Figures] = []
    with progress_bar("Models", 2) as on_progress:
        for model, adapter in (("foley", None), ("with the adapter", run / "lora")):
            if adapter is not None:
                pipeline.load_lora_weights(adapter)
                asked["adapter"] = digests_of(adapter)
            rows.append({"model": model} | ledger.figures(asked | {"model": model}, judged))
            write_text(
                output / "adapters.json",
                json.dumps({"steps": steps, "seconds": seconds, "rows": rows}, indent=2) + "\n",
            )
            write_text(output / "adapters.md", table(rows))
            on_progress(len(rows))
    typer.echo(f"{steps} updates in {seconds:.0f} s\n\n{table(rows)}")


if __name__ == "__main__":
    typer.run(main)
