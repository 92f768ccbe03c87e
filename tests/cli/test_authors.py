"""``generate --sampling authors``, and its parts on the command line."""

from pathlib import Path
from typing import Any

import pytest

import litefocus_jax.checkpoint.store
from litefocus_jax import LiteFocusConfig, read_recipe
from litefocus_jax.checkpoint.opened import Checkpoint
from litefocus_jax.checkpoint.store import open_checkpoint
from tests.support.command_line import FakePipeline, generate, run, written
from tests.support.family import MUSIC, family_folder
from tests.support.judges import clap_folder
from tests.support.models import small_checkpoint

BRIEF = ("--sampling", "authors", "--steps", "4", "-d", "0.3")


@pytest.fixture
def fake(monkeypatch: Any, tmp_path: Path) -> FakePipeline:
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


@pytest.fixture
def musicldm() -> Checkpoint:
    return open_checkpoint(family_folder(MUSIC))


def test_three_sounds_of_each_prompt_are_made_as_the_authors_sample(fake: FakePipeline) -> None:
    result = generate("rain", "wind", "-o", "sounds/", "--sampling", "authors", "-d", "0.3", "--no-rank")
    assert result.exit_code == 0, result.output
    assert written("sounds") == [f"{name}-seed0-{number}.wav" for name in ("rain", "wind") for number in range(3)]
    for request in fake.requests:
        assert request.sampling.describe() == "200 steps of ddim, uniform spacing"
        assert (request.eta, request.force_zeros_for_empty_prompt, request.plan.frames) == (1.0, True, 7)
    assert "The sound is 0.28 s long, 7 latent frames" in result.stderr


def test_as_many_sounds_are_made_as_the_model_s_own_authors_make(
    musicldm: Checkpoint, fake: FakePipeline, monkeypatch: Any
) -> None:
    monkeypatch.setattr(litefocus_jax.checkpoint.store, "open_checkpoint", lambda model, **hub: musicldm)
    result = generate("rain", "-o", "sounds/", "--sampling", "authors", "-d", "0.3", "--no-rank")
    assert result.exit_code == 0, result.output
    assert written("sounds") == [f"rain-seed0-{number}.wav" for number in range(5)]
    (request,) = fake.requests
    assert (request.guidance_scale, request.num_waveforms_per_prompt) == (2.0, 5)
    ranked = generate("wind", "-o", "sounds/", "--sampling", "authors", "-d", "0.3")
    assert "--clap, or take --no-rank" in ranked.stderr


def test_each_part_can_be_had_alone_and_left_out(fake: FakePipeline) -> None:
    parts = "--eta 1 --spacing uniform --zero-negative --latent-frames-per-second 25.6 -d 0.3 --litefocus authors"
    assert generate("rain", *parts.split()).exit_code == 0
    without = "--sampling authors --eta 0 --spacing leading --no-zero-negative --waveforms 1 --overwrite"
    assert generate("rain", *without.split()).exit_code == 0
    alone, left_out = fake.requests
    assert (alone.eta, alone.timestep_spacing, alone.force_zeros_for_empty_prompt) == (1.0, "uniform", True)
    assert (alone.plan.frames, alone.num_waveforms_per_prompt) == (7, 1)
    assert alone.plan.attention == LiteFocusConfig.authors().layout(0.04)
    assert (left_out.eta, left_out.timestep_spacing, left_out.force_zeros_for_empty_prompt) == (0.0, "leading", False)
    assert left_out.num_waveforms_per_prompt == 1


def test_a_model_that_does_not_hear_is_refused_with_the_way_round(fake: FakePipeline) -> None:
    result = generate("rain", "-o", "sounds/", *BRIEF)
    assert result.exit_code == 1
    assert "--clap, or take --no-rank" in result.stderr
    assert fake.requests == []


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("--sampling authors --quality fast", "--sampling = 'authors' beside quality = 'fast'"),
        ("--sampling authors --steps 300", "--steps = 300 with --spacing 'uniform' begins at timestep 1000"),
        ("--scheduler dpm++ --spacing uniform", "needs --scheduler 'ddim'"),
        ("--latent-frames-per-second 0", "--latent-frames-per-second = 0; expected more than 0"),
    ],
)
def test_what_cannot_be_is_refused_by_its_option(fake: FakePipeline, options: str, message: str) -> None:
    result = generate("rain", *options.split(), "--no-rank")
    assert result.exit_code == 1
    assert message in result.stderr


def test_sounds_are_ranked_and_made_again_to_the_same_bytes(monkeypatch: Any, tmp_path: Path) -> None:
    monkeypatch.chdir(tmp_path)
    made = run("generate", "-m", small_checkpoint(), "rain", *BRIEF, "--clap", clap_folder(), "-o", "sounds/", "--json")
    assert made.exit_code == 0, made.output
    best = made.stdout.splitlines()[0]
    assert made.stderr.count("CLAP ") == 3
    for number, source in enumerate((best, str(Path(best).with_suffix(".json")))):
        again = run("generate", "--from", source, "-o", f"{number}.wav")
        assert again.exit_code == 0, again.output
        assert Path(f"{number}.wav").read_bytes() == Path(best).read_bytes()
    shown = run("info", best).stdout
    for part in ("4 steps of ddim, uniform spacing", "eta 1, zeros for empty prompts", "of 25.6 latent frames each"):
        assert part in shown
    longer = run("generate", "--from", best, "-d", "0.6", "--no-zero-negative", "-o", "longer.wav")
    assert longer.exit_code == 0, longer.output
    recipe = read_recipe("longer.wav")
    assert (recipe.latent_frames_per_second, recipe.force_zeros_for_empty_prompt, recipe.eta) == (25.6, False, 1.0)
