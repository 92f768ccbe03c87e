"""A second opinion on the sounds of ``litefocus-jax paper -m foley``: foley's own classifier and CLAP listen to them.

``python -m examples.foley.second_opinion report/`` reads the folder of a report, and adds ``second_opinion.md``.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from jaxtyping import Float32

from examples.foley.judges.clap import clap_scores
from examples.foley.judges.classifier import hear
from examples.foley.judges.listening import log_mels
from examples.foley.judges.panel import SHIPPED_JUDGES, Judges
from examples.foley.world.clips import SAMPLING_RATE
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.evaluation import Estimate, kernel_distance
from litefocus_jax.evaluation.paper.subjects import subjects_of
from litefocus_jax.evaluation.sounds import SoundFolder, open_sounds
from litefocus_jax.system.files import write_text

_HEAD = "| length | attention | KAD (foley's classifier) | CLAP similarity |\n|---|---|---|---|\n"


def main(
    report: Annotated[Path, typer.Argument(help="The folder of a report.")],
    bootstrap: Annotated[int, typer.Option(min=0, help="Sets of sounds to draw anew for the intervals.")] = 1000,
) -> None:
    """Listen to the sounds of a report, and to the synthesised ones that it compares them with."""
    judges = Judges.load(SHIPPED_JUDGES, load_components("foley").tokenizer)
    typer.echo(second_opinion(report, judges, bootstrap))


def second_opinion(report: Path, judges: Judges, bootstrap: int) -> str:
    """The table of all cells whose sounds are there, which is written down too.

    Args:
        report: folder of ``litefocus-jax paper``, with its synthesised sounds in ``recorded``.
        judges: of foley.
        bootstrap: sets to draw anew for the intervals.
    """
    rows = [_HEAD]
    lengths = sorted(int(folder.name.removesuffix("x")) for folder in (report / "sounds").iterdir())
    settings = json.loads((report / "paper.json").read_text(encoding="utf-8"))
    subjects = subjects_of(None, report / "recorded", tuple(lengths), settings["sounds"] * settings["seeds"])
    captions = dict(zip(subjects.names, subjects.captions, strict=True))
    for length in lengths:
        reference = subjects.recordings_at(length)
        assert reference is not None, "each length has a folder of its own"
        recorded = hear(judges.classifier, _mels(reference)).embeddings
        texts = [captions[name] for name in reference.sounds]
        scores = clap_scores(judges.clap, judges.tokenizer, texts, _mels(reference))
        rows.append(f"| {length}x | synthesised |  | {scores.mean():.3f} |\n")
        for folder in sorted((report / "sounds" / f"{length}x").iterdir()):
            sounds = open_sounds(folder)
            mels = _mels(sounds)
            distance = kernel_distance(hear(judges.classifier, mels).embeddings, recorded, bootstrap=bootstrap)
            texts = [captions[name] for name in sounds.sounds]
            scores = clap_scores(judges.clap, judges.tokenizer, texts, mels)
            rows.append(f"| {length}x | {folder.name} | {_with_interval(distance)} | {scores.mean():.3f} |\n")
    write_text(report / "second_opinion.md", "".join(rows))
    return "".join(rows)


def _mels(folder: SoundFolder) -> Float32[np.ndarray, "sounds frames mels"]:
    return log_mels(np.stack([*_waveforms(folder)]))


def _waveforms(folder: SoundFolder) -> Iterator[np.ndarray]:
    for sound in folder.sounds.values():
        yield sound.waveform(SAMPLING_RATE)


def _with_interval(distance: float) -> str:
    if not isinstance(distance, Estimate):
        return f"{distance:.3g}"
    return f"{float(distance):.3g} ({distance.low:.3g} to {distance.high:.3g})"


if __name__ == "__main__":
    typer.run(main)
