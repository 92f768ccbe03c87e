"""``litefocus-jax paper`` and ``attention-map`` with a small random model."""

import json

import pytest
from PIL import Image

from litefocus_jax.evaluation.paper.speed import ROUNDS
from litefocus_jax.pipeline import AudioLDM2Pipeline
from tests.support.command_line import run
from tests.support.models import small_checkpoint
from tests.support.sounds import tone, write_sound

NAMES = ("a", "b", "c")
BRIEF = ["--tables", "1", "--figures", "", "--lengths", "1", "--sounds", "2", "--seeds", "1", "--steps", "2"]


@pytest.fixture
def recordings(tmp_path):
    for number, name in enumerate(NAMES):
        write_sound(tmp_path / "recorded" / f"{name}.wav", tone(0.64, hertz=300 + 200 * number))
    table = "file_name,text\n" + "".join(f"{name}.wav,tone {name}\n" for name in NAMES)
    (tmp_path / "recorded" / "captions.csv").write_text(table, encoding="utf-8")
    return tmp_path / "recorded"


@pytest.fixture
def made(monkeypatch):
    """The prompts and the attention of every request that is run."""
    seen, run_request = [], AudioLDM2Pipeline.run

    def remember(self, request, **options):
        seen.append((request.prompts, request.plan.attention))
        return run_request(self, request, **options)

    monkeypatch.setattr(AudioLDM2Pipeline, "run", remember)
    return seen


def paper(folder, recordings, *options):
    return run("paper", "-m", small_checkpoint(), "-o", folder, "-r", recordings, "--bootstrap", 20, *BRIEF, *options)


def test_sounds_of_a_table_can_be_sampled_as_the_authors_do(tmp_path, recordings, monkeypatch):
    requests, run_request = [], AudioLDM2Pipeline.run
    monkeypatch.setattr(
        AudioLDM2Pipeline,
        "run",
        lambda self, request, **options: requests.append(request) or run_request(self, request, **options),
    )
    result = paper(tmp_path / "report", recordings, "--sampling", "authors", "--heads", "stored")
    assert result.exit_code == 0, result.output
    batches, timed = requests[:3], requests[3:]
    assert {request.sampling.describe() for request in timed} == {"4 steps of ddim, uniform spacing"}
    for request in batches:
        assert request.sampling.describe() == "2 steps of ddim, uniform spacing"
        assert (request.eta, request.guidance_scale, request.num_waveforms_per_prompt) == (1.0, 3.5, 1)
        assert (request.force_zeros_for_empty_prompt, request.prompt_padding) == (True, "alone")
        assert request.plan.frames == 16
    assert [request.plan.attention.sets is None for request in batches] == [True, False, True]
    assert "guidance 3.5, eta 1, zeros for empty prompts" in result.stdout
    other = paper(tmp_path / "report", recordings)
    assert "holds sounds of other settings" in other.stderr


def test_a_table_is_made_in_turns_goes_on_and_never_mixes_settings(tmp_path, recordings, made):
    folder = tmp_path / "report"
    result = paper(folder, recordings, "--batch-size", 1)
    assert result.exit_code == 0, result.output
    batches, timed = made[:6], made[6:]
    assert [prompts for prompts, _ in batches] == [("tone a",)] * 3 + [("tone b",)] * 3
    assert [prompts for prompts, _ in timed] == [("tone a",)] * 3 * ROUNDS
    for original, litefocus, merging in (batches[:3], timed[:3]):
        assert original[1].sets is None
        assert litefocus[1].sets is not None
        assert merging[1].merging is not None
    assert "| 1x | Token Merging |" in result.stdout
    assert "Too few to conclude from: 2 sounds of 1 seed" in result.stdout
    rows = json.loads((folder / "tables.json").read_text())["rows"]
    assert [figure["metric"] for figure in rows[0]["figures"]] == ["KAD", "KAD, pairs apart"]
    assert all(row["seconds_per_sound"] > 0 for row in rows)

    # As if it had been interrupted: one batch is not known to be complete.
    complete = folder / "sounds" / "1x" / "litefocus" / "made.json"
    assert json.loads(complete.read_text()) == {"0-0": 1, "0-1": 1}
    complete.write_text(json.dumps({"0-0": 1}))
    made.clear()
    again = paper(folder, recordings, "--batch-size", 1)
    assert again.exit_code == 0, again.output
    assert [prompts for prompts, _ in made] == [("tone b",)]

    complete.write_text("[")
    damaged = paper(folder, recordings, "--batch-size", 1)
    assert damaged.exit_code == 1
    assert "made.json" in damaged.stderr
    assert "remove the file to have it made again" in damaged.stderr

    made.clear()
    other = paper(folder, recordings, "--batch-size", 1, "--steps", 3)
    assert other.exit_code == 1
    assert "sampling was '2 steps" in other.stderr
    assert "A table never mixes two" in other.stderr
    assert made == []


def test_figures_are_drawn_once_for_their_lengths(tmp_path, recordings, made):
    folder = tmp_path / "report"
    result = paper(folder, recordings, "--tables", "", "--figures", "1,2")
    assert result.exit_code == 0, result.output
    stages = json.loads((folder / "figure-1" / "stages.json").read_text())
    assert [(stage["variant"], stage["duration_in_s"]) for stage in stages] == [("dense", 0.64), ("litefocus", 0.64)]
    assert (folder / "figure-1" / "stages.png").exists()
    assert (folder / "figure-2-1x.png").exists()
    assert not (folder / "tables.md").exists()
    before = (folder / "figure-1" / "stages.json").read_bytes()
    made.clear()
    assert paper(folder, recordings, "--tables", "", "--figures", "1,2").exit_code == 0
    assert (folder / "figure-1" / "stages.json").read_bytes() == before
    assert made == []


@pytest.mark.parametrize(
    ("options", "code", "message"),
    [
        (["--tables", "4"], 2, "expected some of 1, 2, 3"),
        (["--figures", "x"], 2, "expected some of 1, 2"),
        (["--lengths", "0"], 2, "expected whole numbers from 1"),
        (["--sounds", "4"], 1, "has 3 captions, for 4 sounds"),
        (["--cnn14", "missing.safetensors"], 1, "missing.safetensors"),
    ],
)
def test_what_cannot_be_run_is_refused(tmp_path, recordings, options, code, message):
    result = paper(tmp_path / "report", recordings, *options)
    assert result.exit_code == code
    assert message in " ".join(result.stderr.replace("│", " ").split())


def test_without_captions_there_is_nothing_to_make(tmp_path):
    result = run("paper", "-m", small_checkpoint(), "-o", tmp_path / "report")
    assert result.exit_code == 1
    assert "there are no captions" in result.stderr


def test_attention_of_tokens_is_drawn_and_said(tmp_path):
    picture = tmp_path / "map.png"
    options = ["attention-map", "rain", "-m", small_checkpoint(), "-o", picture, "--steps", 2, "--token", "3:1"]
    result = run(*options)
    assert result.exit_code == 0, result.output
    assert "frequency 1 of" in result.stdout
    assert result.stdout.count("of its attention falls on its own frequency") == 1
    with Image.open(picture) as drawn:
        assert drawn.size[0] > 1000
    assert run(*options).exit_code == 1  # the picture is there
    refused = run(*options, "--overwrite", "--token", "99:0")
    assert refused.exit_code == 1
    assert "--token 99:0; expected a frame from 0 to" in refused.stderr
    assert run(*options, "--overwrite", "--token", "a").exit_code == 2
