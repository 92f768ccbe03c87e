"""The command that measures a model: its options, and the files that it writes."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from examples.foley import evaluate
from examples.foley.measure.generation import EvaluationConfig
from examples.foley.measure.variants import ATTENTION, DENSE, LONG, SCALED, SYNTHESISED
from examples.foley.report import card, long_sound
from tests.support.foley import (
    results_of,
)


def evaluated(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[Any, dict[str, Any]]:
    """What the command prints, and what it asked the evaluation for."""
    asked: dict[str, Any] = {}

    class FakeEvaluation:
        def __init__(self, pipeline: Any, judges: Any, folder: Path, config: EvaluationConfig) -> None:
            asked["config"] = config

        def run(self, variants: Any, **options: Any) -> dict[str, Any]:
            asked.update(variants=variants, **options)
            return results_of((SYNTHESISED, *variants)) | {"config": dataclasses.asdict(asked["config"])}

    pipeline = SimpleNamespace(components=SimpleNamespace(tokenizer=None))
    monkeypatch.setattr(evaluate, "AudioLDM2Pipeline", SimpleNamespace(from_pretrained=lambda *_, **__: pipeline))
    monkeypatch.setattr(evaluate, "Judges", SimpleNamespace(load=lambda *_: None))
    monkeypatch.setattr(evaluate, "Evaluation", FakeEvaluation)
    app = typer.Typer()
    app.command()(evaluate.main)
    return CliRunner().invoke(app, ["foley", *arguments]), asked


def test_the_long_table_is_measured_alone_and_drawn(tmp_path, monkeypatch):
    arguments = ["--table", "long", "--seeds", "1", "--skip", "32:dense", "--skip", "32:dense, scaled scores"]
    result, asked = evaluated(monkeypatch, "-o", str(tmp_path), *arguments)
    assert result.exit_code == 0, result.output
    assert (asked["config"].multiples, asked["config"].sounds) == ((4, 8, 32), (24, 12, 4))
    assert asked["variants"] is LONG
    assert asked["only_lengths"]
    assert asked["skipped"] == [(32, DENSE), (32, DENSE + SCALED)]
    assert "24 sounds at 4x, 12 sounds at 8x, 4 sounds at 32x for one seed; 50 steps" in result.stdout
    assert "| 2x (5.12 s) | SaFa | not measured | 60% ± 14% | 0.600 ± 0.141 | 0.6 ± 0.1 |" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        long_sound.RESULTS, long_sound.TABLE, long_sound.PICTURE,
    }  # fmt: skip


def test_the_table_of_the_card_is_the_default(tmp_path, monkeypatch):
    result, asked = evaluated(
        monkeypatch, "-o", str(tmp_path), "--multiples", "1,4", "--sounds", "24", "--only-lengths"
    )
    assert result.exit_code == 0, result.output
    assert (asked["config"].multiples, asked["config"].sounds) == ((1, 4), 24)
    assert asked["variants"] is ATTENTION
    assert asked["only_lengths"]
    assert (tmp_path / card.RESULTS).exists()
    assert (tmp_path / card.LENGTHS).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--multiples", "4,x"], "'4,x'; expected whole numbers"),
        (["--skip", "dense"], "'dense'; expected a multiple and a variant"),
        (["--table", "long", "--multiples", "4,8"], "needs --sounds with --table long"),
    ],
)
def test_options_that_cannot_be_read_are_named(tmp_path, monkeypatch, arguments, message):
    result, asked = evaluated(monkeypatch, "-o", str(tmp_path), *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", "").split())
    assert not asked
