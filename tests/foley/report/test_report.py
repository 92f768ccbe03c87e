"""The model card, the long table and their pictures, from what was measured."""

import json

import pytest
import typer

from examples.foley.measure.variants import ATTENTION, LONG, SYNTHESISED
from examples.foley.report import card, diary, long_sound, pictures
from examples.foley.world.kinds import KINDS
from tests.support.foley import results_of


def test_a_card_without_measurements_says_so(tmp_path):
    text = card.write_card(tmp_path / "run", tmp_path / "card").read_text()
    assert "Weights as stored: not measured." in text
    assert "| classifier right on unseen synthesised sounds | not measured | at least 95% |" in text
    assert "| pitch words move the spectral centroid the right way | not measured | at least 80% |" in text
    assert "## Beyond" not in text


@pytest.mark.parametrize("kind", KINDS)
def test_a_card_lists_every_kind_by_its_own_name(tmp_path, kind):
    assert f'| {kind} | "{kind}", "' in card.card({}, stored=None)


def test_a_card_shows_what_was_measured(tmp_path):
    run = tmp_path / "run"
    (run / "evaluation").mkdir(parents=True)
    (run / "evaluation" / card.RESULTS).write_text(json.dumps(results_of()))
    text = card.write_card(run, tmp_path / "card").read_text()
    assert "| classifier right on unseen synthesised sounds | 96.0% | at least 95% |" in text
    assert "| the same, scenes of two kinds (both found) | not measured |  |" in text
    held_out = "classifier right on sounds generated from held-out captions"
    assert f"| {held_out} | 60.0% ± 14.1% | at least 85% |" in text
    assert "| 2x (5.12 s) | dense | 0.60 ± 0.14 | 60% ± 14% | 0.600 ± 0.141 |" in text


def test_a_diary_tells_the_cost_of_every_stage_or_that_it_was_not_measured(tmp_path):
    run = tmp_path / "run"
    (run / "clap").mkdir(parents=True)
    (run / "clap" / "clap.jsonl").write_text('{"step": 20, "seconds": 7200.0, "loss": 1.5}\n')
    (run / diary.NOTES).write_text("It took long.")
    text = diary.write_diary(run, tmp_path / "card").read_text()
    assert "Clips trained on: not measured" in text
    assert "| CLAP | 20 | 2.0 h | 1.5 |" in text
    assert "It took long." in text
    for stage in set(diary.STAGES) - {"CLAP"}:
        assert f"| {stage} | not measured | not measured | not measured |" in text
    assert (tmp_path / "card" / diary.LOSSES).exists()


def test_the_time_of_a_log_without_seconds_is_that_of_its_updates():
    assert diary.seconds_of([{"step": 1, "steps_per_second": 2.0}, {"step": 2, "steps_per_second": 0.5}]) == 2.5


def test_the_picture_of_lengths_is_a_picture(tmp_path):
    pictures.draw_lengths(tmp_path / "lengths.png", results_of(("synthesised", *ATTENTION))["lengths"])
    assert (tmp_path / "lengths.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_of_an_evaluation_is_written_again_from_its_results(tmp_path):
    (tmp_path / long_sound.RESULTS).write_text(json.dumps(results_of((SYNTHESISED, *LONG))))
    long_sound.main(tmp_path, tmp_path / "docs")
    assert (tmp_path / "docs" / long_sound.PICTURE).read_bytes().startswith(b"\x89PNG")
    names = "| length | variant | Frechet distance | classifier right | CLAP similarity | seconds per sound |"
    assert (tmp_path / "docs" / long_sound.TABLE).read_text().startswith(names)


def test_the_table_of_no_evaluation_is_an_error(tmp_path):
    with pytest.raises(typer.BadParameter, match=r"long_audio\.json does not exist; .* --table long -o"):
        long_sound.main(tmp_path, tmp_path)


def test_long_logs_are_drawn_as_means():
    entries = [{"step": step, "loss": float(step % 2)} for step in range(1000)]
    steps, losses = pictures.thinned(entries)
    assert len(steps) == len(losses) == 200
    assert losses[0] == pytest.approx(0.4)
    assert steps[0] == pytest.approx(2.0)
