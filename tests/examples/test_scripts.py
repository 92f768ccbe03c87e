"""The example scripts run as their first lines say."""

import runpy
import sys
from pathlib import Path

import pytest
import soundfile

from tests.support.models import tiny_checkpoint

EXAMPLES = Path(__file__).parents[2] / "examples"


def _run(monkeypatch: pytest.MonkeyPatch, script: str, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", [script, *arguments])
    runpy.run_path(str(EXAMPLES / script), run_name="__main__")


def test_make_sound_writes_a_file_of_the_length_asked_for(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    path = tmp_path / "rain.wav"
    _run(monkeypatch, "make_sound.py", str(tiny_checkpoint()), "rain", str(path), "--seconds=0.4", "--steps=2")
    assert soundfile.info(path).frames == 6400


def test_sparse_attention_over_all_tokens_is_dense_attention(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    _run(monkeypatch, "sparse_attention.py")
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 4
    assert "by 0.000 of its size" in lines[-1]
