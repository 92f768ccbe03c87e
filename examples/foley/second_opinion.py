"""A second opinion on the sounds of ``litefocus-jax paper -m foley``: foley's own classifier and CLAP listen to them.

With ``--aisfx`` a network listens too that knows nothing of foley; docs/evaluation.md says where its weights are.

``python -m examples.foley.second_opinion report/`` reads the folder of a report, and adds ``second_opinion.md``. A
sound is not compared with the recording of its own scene. Every kind of attention is held against the original, with
the same captions drawn for both. What is not complete yet is left out.
"""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from examples.foley.judges.clap import clap_scores
from examples.foley.judges.classifier import hear
from examples.foley.judges.listening import log_mels
from examples.foley.judges.panel import SHIPPED_JUDGES, Judges
from examples.foley.world.clips import SAMPLING_RATE
from litefocus_jax.checkpoint.judges import load_aisfx
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.evaluation import Estimate, kernel_distance, kernel_distance_difference
from litefocus_jax.evaluation.judges import AisfxJudge
from litefocus_jax.evaluation.paper.subjects import subjects_of
from litefocus_jax.evaluation.paper.variants import ORIGINAL
from litefocus_jax.evaluation.sounds import SoundFolder, open_sounds
from litefocus_jax.system.files import write_text

_APART = "KAD, pairs apart"


def main(
    report: Annotated[Path, typer.Argument(help="The folder of a report.")],
    aisfx: Annotated[Path | None, typer.Option(help="aiSFX' weights as safetensors.")] = None,
    bootstrap: Annotated[int, typer.Option(min=0, help="Sets of sounds to draw anew for the intervals.")] = 1000,
) -> None:
    """Listen to the sounds of a report, and to the synthesised ones that it compares them with."""
    judges = Judges.load(SHIPPED_JUDGES, load_components("foley").tokenizer)
    typer.echo(second_opinion(report, judges, None if aisfx is None else AisfxJudge(load_aisfx(aisfx)), bootstrap))


def second_opinion(report: Path, judges: Judges, aisfx: AisfxJudge | None, bootstrap: int) -> str:
    """The table of all cells whose sounds are there, which is written down too.

    Args:
        report: folder of ``litefocus-jax paper``, with its synthesised sounds in ``recorded``.
        judges: of foley.
        aisfx: listens too, if given.
        bootstrap: sets to draw anew for the intervals.
    """
    names = ["foley's classifier", *([] if aisfx is None else ["aiSFX"])]
    columns = [f"{metric} ({name})" for name in names for metric in (_APART, "against the original")]
    heads = ["length", "attention", *columns, "CLAP similarity"]
    rows = [_line(heads), "|---" * len(heads) + "|\n"]
    settings = json.loads((report / "paper.json").read_text(encoding="utf-8"))
    count = settings["sounds"] * settings["seeds"]
    found = {int(folder.name.removesuffix("x")): _complete(folder, count) for folder in (report / "sounds").iterdir()}
    lengths = sorted(length for length, kinds in found.items() if kinds)
    subjects = subjects_of(None, report / "recorded", tuple(lengths), count)
    captions = dict(zip(subjects.names, subjects.captions, strict=True))
    for length in lengths:
        reference = subjects.recordings_at(length)
        assert reference is not None, "each length has a folder of its own"
        recorded, likeness = _listen(judges, aisfx, reference, captions)
        rows.append(_line([f"{length}x", "synthesised", *[""] * len(columns), likeness]))
        original: list[np.ndarray] | None = None
        for kind in found[length]:
            made, likeness = _listen(judges, aisfx, open_sounds(kind, silence_is_usable=True), captions)
            figures = _compared(made, original, recorded, bootstrap)
            rows.append(_line([f"{length}x", kind.name, *figures, likeness]))
            original = made if kind.name == ORIGINAL.folder else original
    write_text(report / "second_opinion.md", "".join(rows))
    return "".join(rows)


def _complete(folder: Path, count: int) -> list[Path]:
    """The kinds of attention whose sounds are all there, the original first."""
    kinds = [kind for kind in sorted(folder.iterdir()) if len([*kind.glob("*.wav")]) == count]
    return sorted(kinds, key=lambda kind: kind.name != ORIGINAL.folder)


def _compared(
    made: list[np.ndarray], original: list[np.ndarray] | None, recorded: list[np.ndarray], bootstrap: int
) -> list[str]:
    """For each judge the distance, and by how much it is greater than the original's where there is one."""
    figures = []
    for judge, (ours, theirs) in enumerate(zip(made, recorded, strict=True)):
        figures.append(_with_interval(kernel_distance(ours, theirs, paired=True, bootstrap=bootstrap)))
        if original is None:
            figures.append("")
        else:
            against = kernel_distance_difference(ours, original[judge], theirs, bootstrap=bootstrap)
            figures.append(_with_interval(against))
    return figures


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |\n"


def _listen(
    judges: Judges, aisfx: AisfxJudge | None, folder: SoundFolder, captions: Mapping[str, str]
) -> tuple[list[np.ndarray], str]:
    """What each judge hears in the sounds of a folder, and how well they fit their captions, to foley's CLAP."""
    mels = log_mels(np.stack([sound.waveform(SAMPLING_RATE) for sound in folder.sounds.values()]))
    heard = [hear(judges.classifier, mels).embeddings]
    if aisfx is not None:
        heard.append(np.stack([aisfx.listen(sound.waveform(aisfx.sampling_rate)) for sound in folder.sounds.values()]))
    scores = clap_scores(judges.clap, judges.tokenizer, [captions[name] for name in folder.sounds], mels)
    return heard, f"{scores.mean():.3f}"


def _with_interval(distance: float) -> str:
    if not isinstance(distance, Estimate):
        return f"{distance:.3g}"
    return f"{float(distance):.3g} ({distance.low:.3g} to {distance.high:.3g})"


if __name__ == "__main__":
    typer.run(main)
