"""What ``litefocus-jax`` says and takes of sampling defaults, qualities and loops."""

import dataclasses

import pytest

from litefocus_jax.models.generation_defaults import GenerationDefaults
from tests.support.command_line import FakePipeline, generate, open_tiny, run

OWN = GenerationDefaults("dpm++", 25, "trailing", 4.0, "alone")


@pytest.fixture
def fake(tmp_path, monkeypatch):
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


def test_a_quality_and_what_holds_beside_it_reach_the_request(fake):
    options = "--quality fast --steps 12 --loop --prompt-padding alone"
    assert generate("rain", *options.split()).exit_code == 0
    [request] = fake.requests
    assert request.sampling.describe() == "12 steps of dpm++, trailing spacing"
    assert request.plan.loop
    assert request.prompt_padding == "alone"


def test_what_was_used_is_said_at_the_end(fake, monkeypatch):
    checkpoint = dataclasses.replace(open_tiny(), defaults=OWN)
    monkeypatch.setattr("litefocus_jax.checkpoint.store.open_checkpoint", lambda *arguments, **options: checkpoint)
    assert "; 25 steps of dpm++, trailing spacing, guidance 4;" in generate("rain").stderr


def test_a_loop_whose_length_is_rounded_says_so(fake):
    result = generate("rain", "--loop", "-d", "0.63")
    assert "The loop is 0.64 s long, 16 latent frames, not 0.63 s" in result.stderr
    assert "The loop is" not in generate("rain", "--loop", "-d", "0.64", "--overwrite").stderr


def test_info_shows_the_defaults_and_every_quality(monkeypatch, tmp_path):
    result = run("info", "foley")
    assert result.exit_code == 0, result.output
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["if", "not", "told", "otherwise", "dpm++", "25", "trailing", "3.5"] in lines
    assert ["--quality", "reference", "ddim", "250", "trailing", "3.5"] in lines
    assert "encoded one by one" in result.stdout
