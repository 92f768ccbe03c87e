"""The table and the picture of quality at many training lengths, for docs/long_quality.md.

    python -m examples.foley.report.long_sound EVALUATION -o FOLDER

EVALUATION is a folder that ``python -m examples.foley.evaluate --table long`` wrote.
"""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any

import typer

from examples.foley.measure.summaries import LENGTH_FIGURES
from examples.foley.report.pictures import draw_lengths
from examples.foley.report.tables import circumstances, lengths_table
from litefocus_jax.system.files import write_text

RESULTS = "long_audio.json"
TABLE = "long_audio.md"
PICTURE = "long_quality.png"


def write_long(results: Mapping[str, Any], folder: Path) -> str:
    """Write `TABLE` and `PICTURE` into a folder.

    Args:
        results: what `evaluation.Evaluation.run` returned for `variants.LONG`, and the machine.
        folder: gets both.

    Returns:
        The text of the table, with what it was measured on.
    """
    text = circumstances(results) + lengths_table(results["lengths"], figures=LENGTH_FIGURES, compared="variant")
    write_text(folder / TABLE, text)
    draw_lengths(folder / PICTURE, results["lengths"], figures=LENGTH_FIGURES)
    return text


def main(
    evaluation: Annotated[Path, typer.Argument(help="Folder of the evaluation.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder that gets the table and the picture.")],
) -> None:
    """Write the table and the picture of quality at many training lengths."""
    path = evaluation / RESULTS
    if not path.exists():
        raise typer.BadParameter(
            f"{path} does not exist; python -m examples.foley.evaluate MODEL --table long -o {evaluation} writes it",
            param_hint="EVALUATION",
        )
    typer.echo(write_long(json.loads(path.read_text(encoding="utf-8")), output))


if __name__ == "__main__":
    typer.run(main)
