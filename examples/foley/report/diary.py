"""What the training of a model took: every stage, from the logs that it left on disk."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from examples.foley.report.pictures import draw_losses
from examples.foley.report.tables import NOT_MEASURED, table
from examples.foley.world.clips import SAMPLING_RATE, TRAINING_SECONDS
from litefocus_jax.system.files import write_text

DIARY = "TRAINING.md"
NOTES = "notes.md"
LOSSES = "losses.png"

STAGES = {
    "VAE": "decoders/autoencoder.jsonl",
    "vocoder": "decoders/vocoder.jsonl",
    "vocoder against critics": "decoders/vocoder_adversarial.jsonl",
    "classifier (judges only)": "classifier/classifier.jsonl",
    "CLAP": "clap/clap.jsonl",
    "T5, GPT-2, projection, on captions": "reading/reading.jsonl",
    "UNet, T5, GPT-2, projection": "diffusion/run/log.jsonl",
    "T5, GPT-2, projection, on what people type": "wording/wording.jsonl",
}
"""Every stage of training with its log in the folder of the run."""

Entries = Sequence[Mapping[str, float]]


def write_diary(run: Path, folder: Path) -> Path:
    """Write what the training took, and a picture of the losses; ``notes.md`` in the run is quoted.

    Args:
        run: folder of the training run; logs and clips are read where they are there.
        folder: gets ``TRAINING.md`` and the picture.

    Returns:
        The path of the text.
    """
    logs = {stage: entries for stage, path in STAGES.items() if (entries := read_log(run / path))}
    notes = run / NOTES
    parts = ["# What the training took", _clips(clips_of(run)), cost_table(logs)]
    if notes.exists():
        parts.append(notes.read_text(encoding="utf-8"))
    if logs:
        draw_losses(folder / LOSSES, logs)
        parts.append(f"![loss of every stage]({LOSSES})")
    path = folder / DIARY
    write_text(path, "\n\n".join(part.strip("\n") for part in parts) + "\n")
    return path


def cost_table(logs: Mapping[str, Entries]) -> str:
    """Updates, hours and last loss of every stage."""
    rows = []
    for stage in STAGES:
        entries = logs.get(stage)
        if entries:
            rows.append([stage, f"{entries[-1]['step']:,}", duration(seconds_of(entries)), f"{last_loss(entries):.3g}"])
        else:
            rows.append([stage, *[NOT_MEASURED] * 3])
    return table(["stage", "updates", "time", "last loss"], rows)


def read_log(path: Path) -> list[dict[str, float]]:
    """The entries of a log; none where there is no file. A last line that is still being written is passed over."""
    if not path.exists():
        return []
    *lines, _ = path.read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines]


def seconds_of(entries: Entries) -> float:
    """How long a stage took: by its own count, or by the rate of every update."""
    if "seconds" in entries[-1]:
        return entries[-1]["seconds"]
    return sum(1.0 / max(entry["steps_per_second"], 1e-9) for entry in entries)


def last_loss(entries: Entries) -> float:
    """Mean loss over the last twentieth of the log."""
    return float(np.mean([entry["loss"] for entry in entries[-max(1, len(entries) // 20) :]]))


def duration(seconds: float) -> str:
    """Seconds as minutes or hours."""
    return f"{seconds / 60:.0f} min" if seconds < 5400 else f"{seconds / 3600:.1f} h"


def clips_of(run: Path) -> int | None:
    """How many clips a run was trained on, or None where they are not there."""
    found = sorted((run / "clips").glob("training-*/waveforms.npy"))
    return len(np.load(found[-1], mmap_mode="r")) if found else None


def _clips(clips: int | None) -> str:
    count = NOT_MEASURED if clips is None else f"{clips:,} ({clips * TRAINING_SECONDS / 3600:.1f} h)"
    return f"Clips trained on: {count}, {TRAINING_SECONDS:g} s each, {SAMPLING_RATE} Hz, mono."
