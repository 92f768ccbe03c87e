"""Measure a trained foley model: ``python -m examples.foley.evaluate MODEL -o FOLDER``.

FOLDER gets ``evaluation.json``, ``evaluation.md`` and ``lengths.png``, and keeps all that was measured in
``ledger.jsonl``: an interrupted evaluation goes on when the command is given again.
"""

import json
import logging
from pathlib import Path
from typing import Annotated, Any

import typer

from examples.foley.evaluation import SHIPPED_JUDGES, Evaluation, Judges
from examples.foley.generation import EvaluationConfig
from examples.foley.pictures import draw_lengths
from examples.foley.report import LENGTHS, RESULTS, lengths_table, quality_table
from litefocus_jax.benchmark.report import machine
from litefocus_jax.files import written_beside
from litefocus_jax.pipeline import AudioLDM2Pipeline

_MULTIPLES = (1, 2, 4, 8)
_DEFAULT = EvaluationConfig()


def main(
    model: Annotated[str, typer.Argument(help="Folder of the model; foley is the bundled one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results, which is added to.")],
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of a training run, whose judges listen; those of the bundled model unless given."),
    ] = None,
    sounds: Annotated[int, typer.Option(help="Generated for every seed, length and kind of attention.")] = (
        _DEFAULT.sounds
    ),
    seeds: Annotated[int, typer.Option(help="Repetitions, with other captions and other noise.")] = _DEFAULT.seeds,
    pairs: Annotated[int, typer.Option(help="Pairs of captions for every seed.")] = _DEFAULT.pairs,
    unseen: Annotated[int, typer.Option(help="Synthesised sounds to try the classifier on.")] = _DEFAULT.unseen,
    reference: Annotated[int, typer.Option(help="Synthesised sounds to compare with.")] = _DEFAULT.reference,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = _DEFAULT.steps,
    scheduler: Annotated[str, typer.Option(help="ddim or dpm++.")] = _DEFAULT.scheduler,
    guidance_scale: Annotated[float, typer.Option(help="How closely to follow captions.")] = _DEFAULT.guidance_scale,
    batch: Annotated[int, typer.Option(help="Sounds generated at a time.")] = _DEFAULT.batch,
    longest: Annotated[int, typer.Option(help="Longest sound, in training lengths: 1, 2, 4 or 8.")] = _MULTIPLES[-1],
) -> None:
    """Measure a trained foley model."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    pipeline = AudioLDM2Pipeline.from_pretrained(model, dtype="float32")
    judges = Judges.load(SHIPPED_JUDGES if run is None else run, pipeline.components.tokenizer)
    config = EvaluationConfig(
        sounds=sounds,
        seeds=seeds,
        pairs=pairs,
        unseen=unseen,
        reference=reference,
        steps=steps,
        scheduler=scheduler,
        guidance_scale=guidance_scale,
        batch=batch,
        multiples=tuple(multiple for multiple in _MULTIPLES if multiple <= longest),
    )
    results: dict[str, Any] = {**Evaluation(pipeline, judges, output, config).run(), "machine": machine()}
    tables = f"{quality_table(results)}\n{lengths_table(results['lengths'])}"
    for name, text in ((RESULTS, json.dumps(results, indent=2) + "\n"), ("evaluation.md", tables)):
        with written_beside(output / name) as partial:
            partial.write_text(text, encoding="utf-8")
    draw_lengths(output / LENGTHS, results["lengths"])
    typer.echo(tables)


if __name__ == "__main__":
    typer.run(main)
