"""The example scripts run as their first lines say."""

import runpy
import sys
from pathlib import Path

import numpy as np
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


def test_recordings_are_edited_and_what_cannot_be_is_named(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    recordings = tmp_path / "recordings"
    (recordings / "drums").mkdir(parents=True)
    sound = np.random.default_rng(0).uniform(-0.5, 0.5, (16000, 2))
    soundfile.write(recordings / "drums" / "kick_deep.flac", sound, 22050)
    soundfile.write(recordings / "short.wav", sound[:100], 22050)
    options = ("--model", str(tiny_checkpoint()), "--steps", "2")
    _run(monkeypatch, "edit_recordings.py", str(recordings), str(tmp_path / "out"), *options)
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].startswith("kick_deep.flac: kept to the bit; places of the borders ")
    assert lines[1].startswith("short.wav: not edited: ")
    assert lines[2].startswith("1 of 2 edited, 1 kept to the bit; ")
    assert soundfile.info(tmp_path / "out" / "kick_deep-continued.wav").frames == round((0.64 + 0.64) * 16000)
    with pytest.raises(SystemExit):
        _run(monkeypatch, "edit_recordings.py", str(tmp_path / "out" / "nothing"), str(tmp_path))
    assert "holds no sounds; expected files that end in .wav" in capsys.readouterr().err
