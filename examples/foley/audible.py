"""Measure how loud a foley model answers to each of its kinds: ``python -m examples.foley.audible MODEL -o FOLDER``.

FOLDER gets ``audible.json`` for the model card, and keeps what was measured in ``ledger.jsonl``: an interrupted
measurement goes on when the command is given again.
"""

import json
import logging
from pathlib import Path
from typing import Annotated

import typer

from examples.foley.measure.audibility import AUDIBLE_IN_DBFS, levels, prompts_of
from examples.foley.measure.ledger import Ledger
from examples.foley.report.card import AUDIBLE
from examples.foley.report.tables import audible_table
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.files import write_text
from litefocus_jax.system.progress import progress_bar


def main(
    model: Annotated[str, typer.Argument(help="Folder of the model; foley is the bundled one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results, which is added to.")],
    seeds: Annotated[int, typer.Option(min=1, help="Seeds of every prompt, from 0.")] = 24,
    synonyms: Annotated[
        int,
        typer.Option(min=0, help="Other names of each kind to try, with articles and sentences; 0: the name alone."),
    ] = 0,
) -> None:
    """Measure how loud a foley model answers to each of its kinds."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    pipeline = AudioLDM2Pipeline.from_pretrained(model, dtype="float32")
    known = pipeline.components.vocabulary
    if known is None:
        raise typer.BadParameter(f"{model} has no vocabulary.json, and so no kinds", param_hint="MODEL")
    ledger, weights = Ledger(output / "ledger.jsonl"), pipeline.model_digest
    work = [(name, prompt) for name, kind in known.kinds.items() for prompt in prompts_of(kind, synonyms)]
    found: dict[str, dict[str, list[float]]] = {name: {} for name in known.kinds}
    with progress_bar("Prompts", len(work)) as on_progress:
        for done, (name, prompt) in enumerate(work, 1):
            cell = {"measure": "audible", "prompt": prompt, "seeds": seeds, "model": weights}
            figures = ledger.figures(cell, lambda: {"levels": levels(pipeline, prompt, range(seeds))})  # noqa: B023
            found[name][prompt] = figures["levels"]
            on_progress(done)
    write_text(output / AUDIBLE, json.dumps({"seeds": seeds, "levels": found}, indent=2) + "\n")
    typer.echo(audible_table(found))
    count = sum(level < AUDIBLE_IN_DBFS for each in found.values() for prompt in each.values() for level in prompt)
    typer.echo(f"{len(work)} prompts at {seeds} seeds: {count} sounds under {AUDIBLE_IN_DBFS:.0f} dBFS")


if __name__ == "__main__":
    typer.run(main)
