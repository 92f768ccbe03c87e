"""Measure a trained foley model: ``python -m examples.foley.evaluate MODEL -o FOLDER``.

FOLDER gets ``evaluation.json``, ``evaluation.md`` and ``lengths.png`` for the model card; or, with ``--table long``,
``long_audio.json``, ``long_audio.md`` and ``long_quality.png`` for docs/long_quality.md. It keeps all that was measured
in ``ledger.jsonl``: an interrupted evaluation goes on when the command is given again, and the tables share what they
have in common.
"""

import json
import logging
from pathlib import Path
from typing import Annotated, Any, Literal

import typer

from examples.foley.judges.panel import SHIPPED_JUDGES, Judges
from examples.foley.measure.evaluation import Evaluation
from examples.foley.measure.generation import EvaluationConfig
from examples.foley.measure.variants import ATTENTION, LONG
from examples.foley.report import long_sound
from examples.foley.report.card import LENGTHS, RESULTS, quality_table
from examples.foley.report.pictures import draw_lengths
from examples.foley.report.tables import lengths_table
from litefocus_jax.benchmark.report import machine
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.files import write_text

Table = Literal["attention", "long"]

_VARIANTS = {"attention": ATTENTION, "long": LONG}
_MULTIPLES = {"attention": "1,2,4,8", "long": "4,8,32"}
_SOUNDS = {"attention": "72", "long": "24,12,4"}
_DEFAULT = EvaluationConfig()


def main(
    model: Annotated[str, typer.Argument(help="Folder of the model; foley is the bundled one.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="Folder of the results, which is added to.")],
    run: Annotated[
        Path | None,
        typer.Option(help="Folder of a training run, whose judges listen; those of the bundled model unless given."),
    ] = None,
    table: Annotated[
        Table,
        typer.Option(help="attention: the model card; long: all ways to make long sound, and nothing else."),
    ] = "attention",
    only_lengths: Annotated[
        bool, typer.Option("--only-lengths", help="Measure nothing but the lengths; long never does.")
    ] = False,
    multiples: Annotated[
        str | None,
        typer.Option(help="Lengths in training lengths; 1,2,4,8 unless given, and 4,8,32 with --table long."),
    ] = None,
    sounds: Annotated[
        str | None,
        typer.Option(
            help="Sounds for every seed, length and variant: one number, or one for each of --multiples; 72 unless "
            "given, and 24,12,4 with --table long. Under 12 there is no Frechet distance."
        ),
    ] = None,
    skip: Annotated[
        list[str] | None,
        typer.Option(
            metavar="MULTIPLE:VARIANT", help="What is not to be measured, such as 32:dense; may be given again."
        ),
    ] = None,
    seeds: Annotated[int, typer.Option(help="Repetitions, with other captions and other noise.")] = _DEFAULT.seeds,
    pairs: Annotated[int, typer.Option(help="Pairs of captions for every seed.")] = _DEFAULT.pairs,
    unseen: Annotated[int, typer.Option(help="Synthesised sounds to try the classifier on.")] = _DEFAULT.unseen,
    reference: Annotated[int, typer.Option(help="Synthesised sounds to compare with.")] = _DEFAULT.reference,
    steps: Annotated[int, typer.Option(help="Denoising steps.")] = _DEFAULT.steps,
    scheduler: Annotated[str, typer.Option(help="Sampler: ddim or dpm++.")] = _DEFAULT.scheduler,
    guidance_scale: Annotated[float, typer.Option(help="How closely to follow captions.")] = _DEFAULT.guidance_scale,
    batch: Annotated[int, typer.Option(help="Sounds generated at a time; fewer of long ones.")] = _DEFAULT.batch,
) -> None:
    """Measure a trained foley model."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    sounds_at = numbers(sounds or _SOUNDS[table], "--sounds")
    if multiples is not None and sounds is None and len(sounds_at) > 1:
        raise typer.BadParameter("needs --sounds with --table long: one number, or as many", param_hint="--multiples")
    skipped = [variant_at_length(text) for text in skip or ()]
    config = EvaluationConfig(
        sounds=sounds_at[0] if len(sounds_at) == 1 else sounds_at,
        seeds=seeds,
        pairs=pairs,
        unseen=unseen,
        reference=reference,
        steps=steps,
        scheduler=scheduler,
        guidance_scale=guidance_scale,
        batch=batch,
        multiples=numbers(multiples or _MULTIPLES[table], "--multiples"),
    )
    pipeline = AudioLDM2Pipeline.from_pretrained(model, dtype="float32")
    judges = Judges.load(SHIPPED_JUDGES if run is None else run, pipeline.components.tokenizer)
    evaluation = Evaluation(pipeline, judges, output, config)
    found = evaluation.run(_VARIANTS[table], skipped=skipped, only_lengths=only_lengths or table == "long")
    results: dict[str, Any] = {**found, "machine": machine()}
    typer.echo(write_long(output, results) if table == "long" else write_card_results(output, results))


def numbers(text: str, option: str) -> tuple[int, ...]:
    """The whole numbers of an option, between commas.

    Raises:
        typer.BadParameter: when one of them is none.
    """
    try:
        return tuple(int(part) for part in text.split(","))
    except ValueError:
        raise typer.BadParameter(f"{text!r}; expected whole numbers, such as 4 or 4,8,32", param_hint=option) from None


def variant_at_length(text: str) -> tuple[int, str]:
    """What is not to be measured: ``32:dense`` is dense attention at 32 training lengths.

    Raises:
        typer.BadParameter: when it is written in another way.
    """
    multiple, colon, variant = text.partition(":")
    if not colon or not multiple.strip().isdecimal():
        raise typer.BadParameter(f"{text!r}; expected a multiple and a variant, such as 32:dense", param_hint="--skip")
    return int(multiple), variant.strip()


def write_card_results(folder: Path, results: dict[str, Any]) -> str:
    """Write what the model card is made of; returns its tables."""
    tables = f"{quality_table(results)}\n{lengths_table(results['lengths'])}"
    write_text(folder / RESULTS, json.dumps(results, indent=2) + "\n")
    write_text(folder / "evaluation.md", tables)
    draw_lengths(folder / LENGTHS, results["lengths"])
    return tables


def write_long(folder: Path, results: dict[str, Any]) -> str:
    """Write what docs/long_quality.md shows; returns its table."""
    write_text(folder / long_sound.RESULTS, json.dumps(results, indent=2) + "\n")
    return long_sound.write_long(results, folder)


if __name__ == "__main__":
    typer.run(main)
