"""``litefocus-jax generate --rank``, with a small random CLAP."""

import re

import pytest

from tests.support.command_line import FakePipeline, generate, run
from tests.support.judges import clap_folder

RANKED = ["-d", "0.2", "--steps", "1", "--rank"]


@pytest.fixture
def folder(monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    return tmp_path


def printed_scores(text):
    return [float(score) for score in re.findall(r"CLAP (-?[\d.]+):", text)]


def test_sounds_are_printed_best_first_with_their_scores(folder):
    options = ["generate", "-m", clap_folder(), "rain", "a dog", "--waveforms", "3", "-o", "sounds/", *RANKED]
    result = run(*options, "--batch-size", "2")
    assert result.exit_code == 0, result.output
    paths, scores = result.stdout.splitlines(), printed_scores(result.stderr)
    assert [sorted(paths[:3]), sorted(paths[3:])] == [
        [f"sounds/{prompt}-seed0-{number}.wav" for number in range(3)] for prompt in ("rain", "a-dog")
    ]
    assert scores[:3] == sorted(scores[:3], reverse=True)
    assert scores[3:] == sorted(scores[3:], reverse=True)
    again = run(*options, "--resume")
    assert again.exit_code == 0, again.output
    assert (again.stdout, printed_scores(again.stderr)) == (result.stdout, scores)


def test_another_checkpoints_clap_listens_where_the_model_has_none(monkeypatch, tmp_path):
    FakePipeline.put_in_place(monkeypatch, tmp_path)
    result = generate("rain", "--waveforms", "2", "-o", "sounds/", *RANKED, "--clap", clap_folder())
    assert result.exit_code == 0, result.output
    assert len(printed_scores(result.stderr)) == 2
    quiet = generate("rain", "--waveforms", "2", "-o", "more/", *RANKED, "--clap", clap_folder(), "--quiet")
    assert quiet.stderr == ""
    assert len(quiet.stdout.splitlines()) == 2


def test_a_model_that_does_not_hear_is_refused_before_sound_is_made(monkeypatch, tmp_path):
    fake = FakePipeline.put_in_place(monkeypatch, tmp_path)
    result = generate("rain", "-o", "sounds/", *RANKED)
    assert result.exit_code == 1
    assert "--rank:" in result.stderr
    assert "native format" in result.stderr
    assert "--clap" in result.stderr
    assert fake.requests == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["rain", "--clap", "folder"], "needs --rank"),
        (["--timeline", "0: rain; 0.1: birds", "--rank"], "leave --timeline out"),
    ],
)
def test_what_has_no_meaning_is_refused(folder, options, message):
    result = generate(*options)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
