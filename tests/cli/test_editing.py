"""``litefocus-jax generate`` with a sound to begin with, and with several prompts along one."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile
import typer

from litefocus_jax import read_recipe
from litefocus_jax.cli.editing import parse_spans, parse_timeline
from tests.support.command_line import FakePipeline, generate, run
from tests.support.models import small_checkpoint
from tests.support.sounds import tone, write_sound


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakePipeline:
    write_sound(tmp_path / "in.wav", tone(1.0), subtype="PCM_16")
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


@pytest.mark.parametrize(("arguments", "spans", "seconds"), [
    (["--audio", "in.wav"], (), 1.0),
    (["--audio", "in.wav", "--fill", "0.2:0.4,0.8:"], ((3200, 6400), (12800, 16000)), 1.0),
    (["--audio", "in.wav", "--keep", "0:0.5"], ((8000, 16000),), 1.0),
    (["--audio", "in.wav", "--lead-in", "0.5"], ((0, 8000),), 1.5),
    (["--continue", "in.wav", "-d", "2"], ((16000, 48000),), 3.0),
])  # fmt: skip
def test_a_sound_is_varied_filled_and_continued(fake: Any, arguments: Any, spans: Any, seconds: float) -> None:
    result = generate("rain", *arguments)
    assert result.exit_code == 0, result.output
    (request,) = fake.requests
    assert (request.edit.spans, request.audio_length_in_s) == (spans, seconds)
    assert request.edit.strength == (1.0 if spans else 0.6)


def test_a_continued_sound_goes_on_for_the_training_length_unless_told(fake: Any) -> None:
    assert generate("rain", "--continue", "in.wav").exit_code == 0
    assert fake.requests[0].edit.continue_for_s == pytest.approx(fake.requests[0].plan.frames * 0.04 - 1.0)


@pytest.mark.parametrize(("arguments", "message"), [
    (["--fill", "1:2"], "needs --audio FILE or --continue FILE"),
    (["--audio", "in.wav", "--continue", "in.wav"], "are both given; expected one of them"),
    (["--audio", "in.wav", "--fill", "1-2"], "'1-2' in '1-2'; expected seconds from and to, such as 3:7"),
    (["--audio", "in.wav", "--fill", "0.2:5"], "fill = 0.2 to 5 s is not within the sound"),
    (["--audio", "in.wav", "--strength", "2"], "--strength = 2; expected 0"),
    (["--audio", "my audio .wav"], "error: my audio .wav does not exist"),
    (["--timeline", "0:rain"], "has the prompts; expected no others beside it"),
])  # fmt: skip
def test_what_makes_no_sense_is_one_error(fake: Any, arguments: Any, message: str) -> None:
    result = generate("rain", *arguments)
    assert result.exit_code in (1, 2)
    assert message in " ".join(result.stderr.replace("│", "").split())
    assert fake.requests == []


def test_what_became_of_the_sound_is_told(fake: Any, tmp_path: Path) -> None:
    write_sound(tmp_path / "cd.wav", np.stack([tone(1.0, rate=44100)] * 2, 1), rate=44100)
    result = generate("rain", "--audio", "cd.wav")
    assert "cd.wav is mixed from 2 channels to one and resampled from 44100 to 16000 Hz" in result.stderr


def test_a_timeline_is_one_sound_of_several_prompts(fake: Any) -> None:
    result = generate("--timeline", "0:rain, 1.5:a bell, loud: far, 3:birds", "-d", "5", "--negative", "hum")
    assert result.exit_code == 0, result.output
    (request,) = fake.requests
    assert request.timeline.pairs == ((0.0, "rain"), (1.5, "a bell, loud: far"), (3.0, "birds"))
    assert result.stdout == "0-rain-1-5-a-bell-loud-far-3-birds-seed0.wav\n"


@pytest.mark.parametrize(("text", "pairs"), [
    ("0:rain", [(0.0, "rain")]),
    ("0:at 5: tea, cake, 10:rain", [(0.0, "at 5: tea, cake"), (10.0, "rain")]),
    ("0 : rain,  2.50: wind", [(0.0, "rain"), (2.5, "wind")]),
    (r"0:first\, 20: not a second prompt, 30:birds", [(0.0, "first, 20: not a second prompt"), (30.0, "birds")]),
    ("0:rain, 20 birds, 3x:y", [(0.0, "rain, 20 birds, 3x:y")]),
])  # fmt: skip
def test_commas_and_colons_may_stand_in_prompts(text: str, pairs: Any) -> None:
    assert parse_timeline(text) == pairs


@pytest.mark.parametrize("text", ["rain, 20:birds", "", ":rain", "-1:rain", "nan:rain"])
def test_a_timeline_begins_with_seconds(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="does not begin with seconds and a colon"):
        parse_timeline(text)


@pytest.mark.parametrize("text", ["", "3", "3:4:5", "a:b", "1:2,,3:4"])
def test_spans_are_seconds_from_and_to(text: str) -> None:
    with pytest.raises(typer.BadParameter, match="expected seconds from and to"):
        parse_spans(text, "--fill")


def test_a_filled_sound_is_written_to_the_bit_and_made_again_from_its_file(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    write_sound(tmp_path / "in.wav", 1.99 * tone(0.64), subtype="PCM_16")
    brief = ("-m", small_checkpoint(), "--steps", "2", "--litefocus", "off")
    result = run("generate", "rain", "--audio", "in.wav", "--fill", "0.2:0.4", *brief, "-o", "a.wav")
    assert result.exit_code == 0, result.output
    given, made = (soundfile.read(name, dtype="int16")[0] for name in ("in.wav", "a.wav"))
    np.testing.assert_array_equal(made[:3200], given[:3200])
    np.testing.assert_array_equal(made[6400:], given[6400:])
    assert run("generate", "--from", "a.wav", "-o", "b.wav").exit_code == 0
    assert Path("b.wav").read_bytes() == Path("a.wav").read_bytes()
    assert "in.wav, 0.2 to 0.4 s filled, digest" in run("info", "a.wav").stdout
    # Another sound in its place: what was filled is not that of the other.
    write_sound(tmp_path / "other.wav", tone(0.64, hertz=300.0))
    assert run("generate", "--from", "a.wav", "--audio", "other.wav", "-o", "c.wav").exit_code == 0
    recipe = read_recipe("c.wav").audio
    assert recipe is not None
    assert (recipe.path, recipe.fill, recipe.strength) == ("other.wav", (), 0.6)
    Path("in.wav").unlink()
    assert "in.wav does not exist; the recipe's sound was made of it" in run("generate", "--from", "a.wav").stderr
