"""The example scripts run as their first lines say."""

import runpy
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.training.data import open_dataset
from tests.support.models import many_headed_checkpoint, tiny_checkpoint
from tests.support.sounds import sound_folder

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


COMPARE = runpy.run_path(str(EXAMPLES / "compare_heads.py"))


def test_compare_heads_prints_the_error_of_both_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    table = sound_folder(tmp_path) / "sounds.csv"
    table.write_text("file_name,text\nshort.wav,a low tone\nmiddle.wav,a high tone\n", encoding="utf-8")
    _run(monkeypatch, "compare_heads.py", str(many_headed_checkpoint()), str(table), "--draws=2", "--seconds=0.4")
    lines = capsys.readouterr().out.splitlines()
    assert "recordings, 2 noises each" in lines[0]
    assert [line.split(":")[0].strip() for line in lines[1:3]] == ["heads='stored'", "heads='trained'"]
    stored, trained = (float(line.split(":")[1]) for line in lines[1:3])
    assert 0 < stored != trained > 0


def test_compare_heads_measures_every_recording_at_both_settings(tmp_path: Path) -> None:
    dataset = open_dataset(sound_folder(tmp_path / "sounds"))
    found = COMPARE["errors"](load_components(many_headed_checkpoint()), dataset, 1, 0.4)
    assert found["stored"].shape == found["trained"].shape == (len(dataset.sounds),)
    assert np.abs(found["stored"] - found["trained"]).min() > 0


def test_compare_heads_has_nothing_to_compare_where_a_file_says_the_trained_heads(tmp_path: Path) -> None:
    trained = AudioLDM2Pipeline.from_pretrained(many_headed_checkpoint(), heads="trained").components
    with pytest.raises(ValueError, match="1, 2 heads by level, as it was trained"):
        COMPARE["errors"](trained, open_dataset(sound_folder(tmp_path)), 1, 0.4)


@pytest.mark.parametrize(("stored", "trained", "words"), [
    ([1.0, 1.1, 1.2], [0.9, 1.0, 1.1], "heads='trained' predicts noise better"),
    ([0.9, 1.0, 1.1], [1.0, 1.1, 1.21], "heads='stored' predicts noise better"),
    ([1.0, 1.1, 1.2], [1.1, 1.0, 1.2], "within chance"),
    ([1.0], [0.5], "within chance"),
    ([1.0, 1.1], [0.9, 1.01], "within chance"),  # nineteen standard errors of two come about once in thirty times
])  # fmt: skip
def test_compare_heads_says_which_predicts_noise_better(stored: list[float], trained: list[float], words: str) -> None:
    assert words in COMPARE["verdict"]({"stored": np.array(stored), "trained": np.array(trained)})
