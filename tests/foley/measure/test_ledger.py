"""What has been measured, on disk line by line."""

import json

import pytest

from examples.foley.measure.ledger import Ledger


def test_a_cell_is_measured_once(tmp_path):
    ledger = Ledger(tmp_path / "folder" / "ledger.jsonl")
    assert ledger.figures({"seed": 0}, lambda: {"right": 0.5}) == {"right": 0.5}
    again = Ledger(ledger.path)
    assert {"seed": 0} in again
    assert {"seed": 1} not in again
    assert again.figures({"seed": 0}, lambda: pytest.fail("measured again")) == {"right": 0.5}


def test_a_line_that_was_cut_short_is_measured_again(tmp_path):
    path = tmp_path / "ledger.jsonl"
    Ledger(path).figures({"seed": 0}, lambda: {"right": 0.5})
    path.write_text(path.read_text() + '{"cell": {"se')
    ledger = Ledger(path)
    ledger.figures({"seed": 1}, lambda: {"right": 1.0})
    assert [json.loads(line)["cell"]["seed"] for line in path.read_text().splitlines()] == [0, 1]


def test_a_line_that_is_no_entry_is_an_error(tmp_path):
    (tmp_path / "ledger.jsonl").write_text('{"cell": {}}\n')
    with pytest.raises(ValueError, match=r"ledger\.jsonl, line 1: .*expected a JSON object with a cell"):
        Ledger(tmp_path / "ledger.jsonl")
