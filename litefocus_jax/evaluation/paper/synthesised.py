"""Recordings for the bundled model, whose whole world can be synthesised; the code that does it is in a clone alone."""

import subprocess
import sys
from pathlib import Path

from litefocus_jax.evaluation.captions import read_captions
from litefocus_jax.evaluation.features import MetricError
from litefocus_jax.evaluation.paper.subjects import CAPTIONS

_MODULE = "examples.foley.recordings"


def synthesised_recordings(folder: Path, count: int, lengths: tuple[int, ...]) -> None:
    """Have scenes synthesised for the bundled model, with their captions, unless they are there.

    Args:
        folder: where to.
        count: of scenes.
        lengths: in training lengths.

    Raises:
        MetricError: when the package lies in no clone, or the program there fails.
    """
    if _is_complete(folder, count, lengths):
        return
    clone = Path(__file__).parents[3]
    if not (clone / "examples" / "foley" / "recordings.py").is_file():
        raise MetricError(
            "the sounds that the bundled model is compared with are synthesised by a program that is not part of the "
            "package; run the command in a clone, installed with pip install -e ., or give --reference"
        )
    command = [sys.executable, "-m", _MODULE, str(folder.resolve()), "--sounds", str(count)]
    ended = subprocess.run([*command, "--lengths", ",".join(map(str, lengths))], cwd=clone, check=False)
    if ended.returncode:
        raise MetricError(f"python -m {_MODULE} ended with exit code {ended.returncode}; its error is above")


def _is_complete(folder: Path, count: int, lengths: tuple[int, ...]) -> bool:
    table = folder / CAPTIONS
    return (
        table.exists()
        and len(read_captions(table)) == count
        and all(len([*(folder / f"{length}x").glob("*.wav")]) == count for length in lengths)
    )
