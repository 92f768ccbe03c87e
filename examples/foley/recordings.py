"""Synthesised sounds with captions, in the place of recordings: what ``litefocus-jax paper -m foley`` compares with.

``python -m examples.foley.recordings recordings/ --sounds 96 --lengths 1,2,4,8`` writes a folder for each length, in
training lengths, of sounds of the same scenes, and ``captions.csv``.
"""

import csv
import io
import tempfile
from pathlib import Path
from typing import Annotated

import numpy as np
import typer

from examples.foley.evaluate import numbers
from examples.foley.world.clips import SAMPLING_RATE, TRAINING_SECONDS
from examples.foley.world.corpus import FULL_SCALE, make_corpus
from litefocus_jax.audio import save_audio
from litefocus_jax.evaluation.captions import read_captions
from litefocus_jax.evaluation.paper.subjects import CAPTIONS
from litefocus_jax.system.files import write_text


def main(
    folder: Annotated[Path, typer.Argument(help="Where to.")],
    sounds: Annotated[int, typer.Option(min=1, help="Scenes, each with its caption.")] = 96,
    lengths: Annotated[str, typer.Option(help="In training lengths, separated by commas.")] = "1,2,4,8",
) -> None:
    """Render scenes that the model was not trained on, at every length, with captions that are worded anew."""
    write_recordings(folder, sounds, numbers(lengths, "--lengths"))


def write_recordings(folder: Path, sounds: int, lengths: tuple[int, ...]) -> None:
    """Render the lengths that are missing, and the table of captions.

    A caption is drawn after its sound is, and so it differs from length to length. Those of the training length are
    taken for all, whichever lengths are asked for, so that lengths can be added.

    Args:
        folder: where to.
        sounds: scenes.
        lengths: in training lengths.
    """
    captions = folder / CAPTIONS
    known = captions.exists() and len(read_captions(captions)) == sounds
    for length in sorted({1, *lengths}):
        paths = [folder / f"{length}x" / f"{number:04}.wav" for number in range(sounds)]
        is_wanted = length in lengths and not all(path.exists() for path in paths)
        if not is_wanted and (known or length != 1):
            continue
        with tempfile.TemporaryDirectory() as scratch:
            corpus = make_corpus(
                Path(scratch), "test", sounds, duration_in_s=length * TRAINING_SECONDS, held_out=True, workers=1
            )
            if is_wanted:
                for path, waveform in zip(paths, corpus.waveforms, strict=True):
                    save_audio(path, np.asarray(waveform, np.float32) / FULL_SCALE, SAMPLING_RATE)
            if length == 1 and not known:
                _write_captions(captions, corpus.first_captions)


def _write_captions(path: Path, texts: list[str]) -> None:
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("file_name", "text"))
    rows.writerows((f"{number:04}.wav", text) for number, text in enumerate(texts))
    write_text(path, table.getvalue())


if __name__ == "__main__":
    typer.run(main)
