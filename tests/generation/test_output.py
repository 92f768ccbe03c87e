"""What the pipeline returns, as a sequence, as text, and in a notebook."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litefocus_jax import AudioPipelineOutput
from litefocus_jax.generation import players
from tests.support.models import small_pipeline
from tests.support.notebooks import in_notebook  # noqa: F401
from tests.support.requests import BRIEF


def result_of(count: int, samples: int = 1600, level: float = 0.1, **fields: Any) -> AudioPipelineOutput:
    noise = np.random.default_rng(0).standard_normal((count, samples))
    return AudioPipelineOutput((level * np.clip(noise, -1, 1)).astype(np.float32), 16000, **fields)


def test_a_result_is_a_sequence_of_sounds() -> None:
    result = result_of(3)
    assert len(result) == 3
    assert [sound.shape for sound in result] == [(1600,)] * 3
    assert (result[-1] == result.audios[2]).all()
    assert len(result[1:]) == 2
    assert (result[1:][0] == result[1]).all()


@pytest.mark.parametrize(("index", "error"), [(3, IndexError), (-4, IndexError), ("audios", TypeError)])
def test_a_sound_that_there_is_not_is_an_error(index: Any, error: type[Exception]) -> None:
    with pytest.raises(error, match=r"result\[.+\]: "):
        result_of(3)[index]


def test_a_result_shows_prompts_and_seeds_and_no_arrays() -> None:
    request = small_pipeline().request(["rain", "<wind>"], num_waveforms_per_prompt=2, seed=7, **BRIEF)
    result = result_of(4, request=request)
    assert repr(result).startswith("<4 sounds of 0.1 s at 16000 Hz:\n  'rain', waveform 0, seed 7\n")
    assert "array" not in repr(result)
    page = result[2:]._repr_html_()
    assert page.count("<audio") == 2
    assert "&lt;wind&gt;" in page
    assert "rain" not in page


def test_sounds_that_make_a_notebook_heavy_are_not_put_into_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(players, "_LARGEST", 2 * 1600)
    page = result_of(2)._repr_html_()
    assert page.count("<audio") == 1
    assert "result.play(1)" in page


@pytest.mark.usefixtures("in_notebook")
def test_a_player_keeps_the_level() -> None:
    player = result_of(1, level=0.01).play()
    samples = np.frombuffer(player.data[44:], np.int16)
    assert abs(samples).max() == pytest.approx(0.01 * 32768, abs=1)
    assert "<audio" in player._repr_html_()


def test_outside_of_a_notebook_playing_says_what_to_do() -> None:
    with pytest.raises(RuntimeError, match=r"needs a notebook.*result.save\('sound.wav'\)"):
        result_of(1).play()


def test_latents_are_shown_and_not_played() -> None:
    result = AudioPipelineOutput(np.zeros((1, 10, 8, 4), np.float32), 16000)
    assert "Latents of 1 sound, (1, 10, 8, 4)" in result._repr_html_()
    with pytest.raises(ValueError, match="decode_blocks"):
        result.play()


def test_saving_replaces_no_file_unless_told_to(tmp_path: Path) -> None:
    (tmp_path / "1.wav").write_bytes(b"mine")
    with pytest.raises(FileExistsError, match=r"1\.wav"):
        result_of(2).save(tmp_path / "{index}.wav")
    assert [path.name for path in tmp_path.iterdir()] == ["1.wav"]
    result_of(2).save(tmp_path / "{index}.wav", overwrite=True)
    assert (tmp_path / "1.wav").stat().st_size > 1600
