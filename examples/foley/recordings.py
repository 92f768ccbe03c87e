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
from litefocus_jax.system.files import write_text


def main(
    folder: Annotated[Path, typer.Argument(help="Where to.")],
    sounds: Annotated[int, typer.Option(min=1, help="Scenes, each with its caption.")] = 96,
    lengths: Annotated[str, typer.Option(help="In training lengths, separated by commas.")] = "1,2,4,8",
) -> None:
    """Render scenes that the model was not trained on, at every length, with captions that are worded anew."""
    write_recordings(folder, sounds, numbers(lengths, "--lengths"))


def write_recordings(folder: Path, sounds: int, lengths: tuple[int, ...]) -> None:
    """Render what is missing; the table of captions comes last.

    Args:
        folder: where to.
        sounds: scenes.
        lengths: in training lengths.
    """
    texts: list[str] = []
    for length in lengths:
        with tempfile.TemporaryDirectory() as scratch:
            corpus = make_corpus(
                Path(scratch), "test", sounds, duration_in_s=length * TRAINING_SECONDS, held_out=True, workers=1
            )
            # A caption is drawn after the sound is, and so differs from length to length: those of the first are taken.
            texts = texts or corpus.first_captions
            for number, waveform in enumerate(corpus.waveforms):
                path = folder / f"{length}x" / f"{number:04}.wav"
                save_audio(path, np.asarray(waveform, np.float32) / FULL_SCALE, SAMPLING_RATE)
    table = io.StringIO()
    rows = csv.writer(table, lineterminator="\n")
    rows.writerow(("file_name", "text"))
    rows.writerows((f"{number:04}.wav", text) for number, text in enumerate(texts))
    write_text(folder / "captions.csv", table.getvalue())


if __name__ == "__main__":
    typer.run(main)
