"""The model card of the bundled model, from what training and evaluation left on disk.

    python -m examples.foley.report RUN -o FOLDER

What has not been measured is said to be so. A ``notes.md`` in RUN is quoted: it tells what the logs cannot.
"""

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import numpy as np
import typer

from examples.foley.measure.variants import DENSE, SYNTHESISED
from examples.foley.parts.model import CONFIGS
from examples.foley.report.pictures import draw_losses
from examples.foley.report.tables import NOT_MEASURED, Results, circumstances, lengths_table, spread_text, table
from examples.foley.world.clips import SAMPLING_RATE, TRAINING_SECONDS
from examples.foley.world.kinds import KINDS
from litefocus_jax.checkpoint.weights import abstract, parameter_count
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.system.files import write_text

CARD = "MODEL_CARD.md"
NOTES = "notes.md"
LOSSES, LENGTHS = "losses.png", "lengths.png"
RESULTS = "evaluation.json"

STAGES = {
    "VAE": "decoders/autoencoder.jsonl",
    "vocoder": "decoders/vocoder.jsonl",
    "vocoder against critics": "decoders/vocoder_adversarial.jsonl",
    "classifier (judges only)": "classifier/classifier.jsonl",
    "CLAP": "clap/clap.jsonl",
    "T5, GPT-2, projection, on captions": "reading/reading.jsonl",
    "UNet, T5, GPT-2, projection": "diffusion/run/log.jsonl",
}
"""Every stage of training with its log in the folder of the run."""

_GOALS = {"unseen": 0.95, "held out": 0.8, "pairs": 0.8}

Entries = Sequence[Mapping[str, float]]


def write_card(run: Path, folder: Path, *, evaluation: Path | None = None) -> Path:
    """Write the card and its pictures.

    Args:
        run: folder of the training run; logs and clips are read where they are there.
        folder: gets ``MODEL_CARD.md`` and the pictures.
        evaluation: folder that `examples.foley.evaluate` wrote; ``evaluation`` in the run unless given.

    Returns:
        The card's path.
    """
    evaluation = run / "evaluation" if evaluation is None else evaluation
    results = json.loads((evaluation / RESULTS).read_text(encoding="utf-8")) if (evaluation / RESULTS).exists() else {}
    logs = {stage: entries for stage, path in STAGES.items() if (entries := read_log(run / path))}
    pictures = []
    if logs:
        draw_losses(folder / LOSSES, logs)
        pictures.append(LOSSES)
    if (evaluation / LENGTHS).exists():
        folder.mkdir(parents=True, exist_ok=True)
        if (evaluation / LENGTHS).resolve() != (folder / LENGTHS).resolve():
            shutil.copyfile(evaluation / LENGTHS, folder / LENGTHS)
        pictures.append(LENGTHS)
    path, notes = folder / CARD, run / NOTES
    text = card(
        results,
        logs,
        clips=clips_of(run),
        stored=stored_bytes(run / "model"),
        pictures=pictures,
        notes=notes.read_text(encoding="utf-8") if notes.exists() else "",
    )
    write_text(path, text)
    return path


def card(
    results: Results,
    logs: Mapping[str, Entries],
    *,
    clips: int | None,
    stored: int | None,
    pictures: Sequence[str],
    notes: str = "",
) -> str:
    """The text of the card.

    Args:
        results: what `evaluation.Evaluation.run` returned, or less.
        logs: entries of the log of each stage of `STAGES` that has one.
        clips: that were trained on.
        stored: bytes of all weights on disk.
        pictures: those of `LOSSES` and `LENGTHS` that lie beside the card.
        notes: on the training, in Markdown.
    """
    parts = [
        _HEAD.format(kinds=len(KINDS), seconds=TRAINING_SECONDS),
        _data(clips),
        "## Size\n\n" + sizes_table(stored),
        "## What the training took\n\n" + cost_table(logs) + (f"\n{notes}" if notes else ""),
        f"![loss of every stage]({LOSSES})" if LOSSES in pictures else "",
        "## Quality\n\n" + circumstances(results) + quality_table(results) + _HOW_QUALITY,
        "## Beyond the training length\n" + _HOW_LENGTHS + "\n" + lengths_table(results.get("lengths", ())),
        f"![quality against length]({LENGTHS})" if LENGTHS in pictures else "",
        _LIMITS,
        _AGAIN,
    ]
    return "\n\n".join(part.strip("\n") for part in parts if part) + "\n"


def sizes_table(stored: int | None) -> str:
    """Parameters of every part of the model, and the bytes of all weights as stored."""
    counts = {name: parameter_count(abstract(network.model_class, CONFIGS[name])) for name, network in NETWORKS.items()}
    rows = [[f"`{name}`", f"{count:,}"] for name, count in counts.items()]
    rows.append(["all", f"{sum(counts.values()):,}"])
    size = NOT_MEASURED if stored is None else f"{stored / 1e6:.1f} MB"
    return table(["part", "parameters"], rows) + f"\nWeights as stored: {size}.\n"


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


def quality_table(results: Results) -> str:
    """What the classifier and the measures say, beside the goals."""
    unseen, pairs, drawn = results.get("unseen"), results.get("pairs", {}), results.get("drawn")
    first = [row for row in results.get("lengths", ()) if row["multiple"] == 1]
    dense = next((row for row in first if row["variant"] == DENSE), None)
    real = next((row for row in first if row["variant"] == SYNTHESISED), None)
    rows = [
        [
            "classifier right on unseen synthesised sounds",
            _share(unseen, "right"),
            f"at least {_GOALS['unseen']:.0%}",
        ],
        ["the same, scenes of one kind", _share(unseen, "right_of_one"), ""],
        ["the same, scenes of two kinds (both found)", _share(unseen, "right_of_two"), ""],
        ["share of all kinds found in them", _share(unseen, "kinds"), ""],
        [
            "classifier right on sounds generated from held-out captions",
            spread_text(dense, "right", ".1%"),
            f"at least {_GOALS['held out']:.0%}",
        ],
        ["the same, captions of one kind", spread_text(dense, "right_of_one", ".1%"), ""],
        ["the same, captions of two kinds (both found)", spread_text(dense, "right_of_two", ".1%"), ""],
        ["the same, log-mels before the vocoder", spread_text(drawn, "right", ".1%"), ""],
        ["the same, log-mels, one kind", spread_text(drawn, "right_of_one", ".1%"), ""],
        ["the same, log-mels, two kinds", spread_text(drawn, "right_of_two", ".1%"), ""],
        ["the same captions, synthesised", spread_text(real, "right", ".1%"), ""],
    ]
    for parameter, measure in (("pitch", "spectral centroid"), ("speed", "onset rate")):
        spreads = pairs.get(parameter)
        goal = f"at least {_GOALS['pairs']:.0%}"
        rows.append(
            [f"{parameter} words move the {measure} the right way", spread_text(spreads, "generated", ".1%"), goal]
        )
        rows.append(["the same, synthesised", spread_text(spreads, SYNTHESISED, ".1%"), ""])
    rows += _reconstruction_rows(results.get("reconstruction"))
    return table(["measure", "found", "goal"], rows)


def _reconstruction_rows(found: Mapping[str, float] | None) -> list[list[str]]:
    names = {
        "autoencoder_db": "log-mel distance through the VAE",
        "vocoder_db": "log-mel distance through the vocoder",
        "both_db": "log-mel distance through both",
        "buzz_db": "energy beside a pure tone, through both",
    }
    return [
        [label, NOT_MEASURED if found is None or found.get(name) is None else f"{found[name]:.1f} dB", ""]
        for name, label in names.items()
    ]


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


def stored_bytes(model: Path) -> int | None:
    """Bytes of all weights of a model on disk, or None where it is not there."""
    files = list(model.rglob("*.safetensors"))
    return sum(file.stat().st_size for file in files) if files else None


def _share(figures: Mapping[str, Any] | None, name: str) -> str:
    return NOT_MEASURED if figures is None or figures.get(name) is None else f"{figures[name]:.1%}"


def _data(clips: int | None) -> str:
    count = NOT_MEASURED if clips is None else f"{clips:,}"
    hours = "" if clips is None else f" ({clips * TRAINING_SECONDS / 3600:.1f} h)"
    names = ", ".join(KINDS)
    return (
        f"## Data\n\nClips trained on: {count}{hours}, {TRAINING_SECONDS:g} s each, {SAMPLING_RATE} Hz, mono, made by "
        "signal processing (`world/sounds.py`). "
        f"Nothing was recorded.\n\nKinds of sound: {names}."
    )


_HEAD = """
# foley: model card

The small model in the box. It is an AudioLDM2 in every part, trained from nothing by `examples/foley` on synthesised
sounds of {seconds} s and captions of them. It knows {kinds} kinds of sound, alone or in twos, in plain English of a
small vocabulary. It is there to try the tools out and to study attention beyond the training length.
"""

_HOW_QUALITY = """
A sound is right when the kinds that its caption names are the likeliest ones by the classifier, all of them. Captions
are held out: each has a wording, or a combination of a kind and a word, that training captions never have. The
classifier was trained on synthesised sound only. Two captions of a pair differ in one word, and their sounds begin from
the same noise; a tie counts as wrong. Where there are several seeds, the figures are mean and sample deviation over
them.
"""

_HOW_LENGTHS = """
The same held-out captions at every length, the same noise for every kind of attention. The Frechet distance is between
the classifier's descriptions of these sounds and of unseen synthesised ones of the same length; it shrinks with the
number of sounds, so compare rows with one another, and with the row of synthesised sounds. The classifier and CLAP hear
long sounds in windows of the training length, and for each kind the classifier takes the surest one. The text tower of
the CLAP that judges is the one that the model listens to.
"""

_LIMITS = """
## Limits

- It knows its own small world. Other sounds, names and languages give noise, or the nearest kind it knows.
- Three sounds at once, or in turn, were never heard in training.
- The judges come from the same synthetic world. They say whether a sound is recognised, not whether it is good.
- Beyond the training length, the synthesised sounds that it is compared with repeat, go on or happen somewhere, as
  their kinds do; a model could do well in other ways.
"""

_AGAIN = """
## Measure it again

```bash
python -m examples.foley.train RUN
python -m examples.foley.evaluate RUN/model --run RUN -o RUN/evaluation
python -m examples.foley.report RUN -o FOLDER
```
"""


def main(
    run: Annotated[Path, typer.Argument(help="Folder of the training run.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets the card and its pictures.")],
    evaluation: Annotated[
        Path | None, typer.Option(help="Folder of the evaluation; RUN/evaluation unless given.")
    ] = None,
) -> None:
    """Write the model card."""
    typer.echo(write_card(run, output, evaluation=evaluation))


if __name__ == "__main__":
    typer.run(main)
