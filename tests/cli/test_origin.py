"""``litefocus-jax generate --from``, ``info`` of a sound, and what is done to a sound before it is written."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import soundfile

from litefocus_jax import Finish, TokenMerging, read_recipe
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.store import load_components
from tests.support.command_line import FakePipeline, generate, run, written
from tests.support.models import many_headed_checkpoint, small_checkpoint

BRIEF = ("-d", "0.5", "--steps", "2")


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


@pytest.fixture
def here(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def make(*arguments: Any) -> Any:
    result = run("generate", "-m", small_checkpoint(), *arguments)
    assert result.exit_code == 0, result.output
    return result


def plain(text: str) -> str:
    return " ".join(text.replace("│", "").split())


def test_a_sound_is_made_again_to_the_same_bytes_from_all_that_holds_its_recipe(here):
    make(
        "rain",
        *BRIEF,
        "--seed",
        "3",
        "-o",
        "a.flac",
        "--spectrogram",
        "a.png",
        "--json",
        "--peak",
        "-3",
        "--fade",
        "0.1",
    )
    expected = Path("a.flac").read_bytes()
    for number, source in enumerate(("a.flac", "a.png", "a.json")):
        result = run("generate", "--from", source, "-o", f"{number}.flac")
        assert result.exit_code == 0, result.output
        assert Path(f"{number}.flac").read_bytes() == expected
    assert read_recipe("a.flac").model == str(small_checkpoint())


def test_a_sound_of_a_batch_is_made_again_alone(here):
    make("rain", "wind", *BRIEF, "--waveforms", "2", "--batch-size", "2", "--subtype", "FLOAT", "-o", "sounds/")
    result = run("generate", "--from", "sounds/wind-seed0-1.wav", "-o", "again.wav")
    assert result.exit_code == 0, result.output
    assert Path("again.wav").read_bytes() == Path("sounds/wind-seed0-1.wav").read_bytes()
    assert result.stdout == "again.wav\n"


def test_options_beside_a_recipe_change_it_and_are_told(here):
    make("rain", *BRIEF, "--negative", "hum", "-o", "a.wav")
    result = run("generate", "--from", "a.wav", "--seed", "1", "--peak", "-2", "-o", "b.wav")
    assert "As a.wav, but for --seed, --peak" in result.stderr
    changed, first = read_recipe("b.wav"), read_recipe("a.wav")
    assert changed == dataclasses.replace(first, seed=1, finish=Finish(peak_in_dbfs=-2.0))
    run("generate", "wind", "--from", "a.wav", "-o", "c.wav")
    assert read_recipe("c.wav") == dataclasses.replace(first, prompt="wind")


def test_what_a_recipe_says_of_attention_gives_way_to_token_merging_and_back(here):
    make("rain", *BRIEF, "--litefocus", "on", "--scale-scores", "-o", "a.wav")
    assert run("generate", "--from", "a.wav", "--token-merging", "0.4", "-o", "b.wav").exit_code == 0
    assert (read_recipe("b.wav").token_merging, read_recipe("b.wav").litefocus) == (TokenMerging(0.4), None)
    assert run("generate", "--from", "b.wav", "-o", "again.wav").exit_code == 0
    assert Path("again.wav").read_bytes() == Path("b.wav").read_bytes()
    assert "tokens merged: ratio 0.4" in run("info", "b.wav").stdout
    assert run("generate", "--from", "b.wav", "--litefocus", "on", "-o", "c.wav").exit_code == 0
    assert read_recipe("c.wav").token_merging is None


def test_another_model_is_refused_unless_it_is_asked_for(here):
    make("rain", *BRIEF, "-o", "a.wav")
    other = load_components(small_checkpoint())
    other = dataclasses.replace(other, scheduler=dataclasses.replace(other.scheduler, beta_end=0.02))
    save_native(other, "other")
    recipe = read_recipe("a.wav")
    Path("moved.json").write_text(json.dumps(recipe.to_dict() | {"model": "other"}), encoding="utf-8")
    result = run("generate", "--from", "moved.json", "-o", "b.wav")
    assert result.exit_code == 1
    assert not Path("b.wav").exists()
    assert "other is another model than the one that made moved.json" in plain(result.stderr)
    assert run("generate", "--from", "moved.json", "-m", "other", "-o", "b.wav").exit_code == 0
    assert read_recipe("b.wav").model_digest != recipe.model_digest


def test_info_prints_what_a_sound_was_made_of_and_no_control_characters(here):
    make("rain\n\x1b[2J[red]", *BRIEF, "--negative", "hum", "-o", "a.ogg")
    result = run("info", "a.ogg")
    assert result.exit_code == 0, result.output
    for part in ("rain\\n\\x1b[2J[red]", "hum", "2 steps of ddim", "Seed       0", "0.5 s", "--from a.ogg"):
        assert part in result.stdout


@pytest.mark.parametrize("command", [["info"], ["generate", "--from"]])
@pytest.mark.parametrize(("name", "content", "message"), [
    ("none.wav", None, "none.wav does not say what it was made of"),
    ("text.wav", b"rain", "text.wav is no WAV file"),
    ("empty.flac", b"", "empty.flac is empty"),
    ("noise.mp3", bytes(range(256)), "noise.mp3 is damaged, or no sound of this format"),
    ("cut.png", b"\x89PNG\r\n\x1a\n", "cut.png is damaged, or no picture of this format"),
    ("list.json", b"[]", "list.json holds no recipe of a sound"),
    ("latin.json", b"\xff\xfe\xfd", "latin.json is not UTF-8 text"),
    ("model.bin", b"x", "has the suffix '.bin'; expected one of .wav"),
])  # fmt: skip
def test_a_file_without_a_recipe_is_one_clear_error(fake, command, name, content, message):
    if content is None:
        soundfile.write(name, np.zeros(100), 16000)
    else:
        Path(name).write_bytes(content)
    result = run(*command, name)
    assert (result.exit_code, result.stdout) == (1, "")
    assert message in plain(result.stderr)
    assert not fake.opened


def test_a_missing_origin_is_one_clear_error(fake):
    result = run("generate", "--from", "missing.wav")
    assert result.exit_code == 1
    assert "missing.wav does not exist" in result.stderr


@pytest.mark.parametrize(("arguments", "message"), [
    (["--fade", "soon"], "'soon'; expected seconds, such as 0.5"),
    (["--fade", "1,2,3"], "expected seconds"),
    (["--normalize", "3"], "--normalize"),
    (["--peak", "1"], "--peak"),
    (["--sample-rate", "10"], "--sample-rate"),
])  # fmt: skip
def test_a_finish_without_meaning_is_a_usage_error(fake, arguments, message):
    result = generate("rain", *arguments)
    assert result.exit_code == 2
    assert message in plain(result.stderr)
    assert not fake.opened


@pytest.mark.parametrize(("arguments", "message"), [
    (["-d", "0.3", "--normalize", "-16"], "loudness is measured in blocks of 0.4 s, and the sound is to have 0.3 s"),
    (["-d", "0.3", "--fade", "0.2"], "fades of 0.4 s are longer than the sound, 0.3 s"),
    (["--sample-rate", "22050", "-o", "a.opus"], ".opus cannot hold 22050 samples per second"),
])  # fmt: skip
def test_what_cannot_be_finished_is_found_before_weights_are_read(fake, arguments, message):
    result = generate("rain", *arguments)
    assert result.exit_code == 1
    assert message in plain(result.stderr)
    assert not fake.loaded


def test_every_format_is_written_and_finished(fake):
    for suffix in ("wav", "flac", "mp3", "ogg", "opus"):
        result = generate("rain", "-o", f"a.{suffix}", "--peak", "-6", "--sample-rate", "48000")
        assert result.exit_code == 0, result.output
        read, rate = soundfile.read(f"a.{suffix}")
        assert rate == 48000
        if suffix in ("wav", "flac"):
            assert np.abs(read).max() == pytest.approx(0.5, abs=0.01)


def silence(fake, monkeypatch, level):
    def blocks(*_, **__):
        yield np.full(8000, level, np.float32)

    monkeypatch.setattr(fake, "decode_blocks", blocks)


def test_a_silent_sound_is_told_of_once_even_in_quiet(fake, monkeypatch):
    silence(fake, monkeypatch, 1e-4)
    result = generate("a siren", "--seed", "4", "-q")
    assert result.stdout == "a-siren-seed4.wav\n"
    assert (
        plain(result.stderr).count("'a siren' (seed 4) is next to silent, -80 dBFS as a whole: try another seed") == 1
    )


def test_a_silent_sound_cannot_be_normalised_but_the_others_are_made(fake, monkeypatch):
    levels = iter([0.0, 0.1])
    silence(fake, monkeypatch, 0.1)
    quiet = fake.decode_blocks
    monkeypatch.setattr(fake, "decode_blocks", lambda *_, **__: (next(levels) * block for block in quiet(None)))
    result = generate("a", "b", "--peak", "-1", "-o", "sounds/")
    assert result.exit_code == 1
    assert "sounds/a-seed0.wav: a peak of -1 dBFS cannot be had: the sound is silent" in plain(result.stderr)
    assert written("sounds") == ["b-seed0.wav"]


def test_a_sound_of_trained_heads_is_made_again_with_them(here):
    result = run("generate", "rain", *BRIEF, "-m", many_headed_checkpoint(), "--heads", "trained", "-o", "a.wav")
    assert result.exit_code == 0, result.output
    assert read_recipe("a.wav").heads == "trained"
    assert ", heads as trained, digest" in run("info", "a.wav").stdout
    assert run("generate", "--from", "a.wav", "-o", "b.wav").exit_code == 0
    assert Path("b.wav").read_bytes() == Path("a.wav").read_bytes()
    result = run("generate", "--from", "a.wav", "--heads", "stored", "-o", "c.wav")
    assert result.exit_code == 0, result.output
    assert "the sound will be another" in plain(result.stderr)
    assert read_recipe("c.wav").heads == "stored"
    assert Path("c.wav").read_bytes() != Path("a.wav").read_bytes()
