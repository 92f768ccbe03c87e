"""Adapters on the command line: several, each as strong as is asked, and at work in what is heard."""

from pathlib import Path

import numpy as np
import pytest
import soundfile

from litefocus_jax.checkpoint.lora import LoraConfig, save_adapter
from litefocus_jax.checkpoint.store import load_components
from tests.support.adapters import random_adapter
from tests.support.command_line import FakePipeline, generate, run
from tests.support.models import tiny_checkpoint


@pytest.fixture
def fake(monkeypatch, tmp_path) -> FakePipeline:
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


def test_several_adapters_are_added_each_at_its_strength(fake):
    for name in ("a", "b", "c:2"):
        Path(name).mkdir()
    result = generate("rain", "--lora", "a", "--lora", "b:-0.5", "--lora", "c:2")
    assert result.exit_code == 0, result.output
    assert fake.adapters == [("a", 1.0), ("b", -0.5), ("c:2", 1.0)]


@pytest.mark.parametrize(
    ("adapter", "message"),
    [
        ("none", "'none' does not exist; expected a folder"),
        ("none:0.5", "'none' does not exist"),
        ("here:half", "has the strength 'half'; expected FILE:STRENGTH"),
        ("here:nan", "has the strength 'nan'"),
    ],
)
def test_adapters_that_cannot_be_are_found_before_weights_are_read(fake, adapter, message):
    Path("here").mkdir()
    result = generate("rain", "--lora", adapter)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())
    assert not fake.loaded


def test_an_adapter_is_heard_and_its_opposite_takes_it_away(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = LoraConfig(rank=2)
    save_adapter(Path("lora"), random_adapter(load_components(tiny_checkpoint()).unet, config), config)
    heard = {}
    for name, options in {
        "plain": [],
        "adapted": ["--lora", "lora"],
        "both": ["--lora", "lora", "--lora", "lora:-1"],
    }.items():
        result = run(
            "generate", "-m", tiny_checkpoint(), "rain", "-d", "0.4", "--steps", "2", "-o", f"{name}.wav", *options
        )
        assert result.exit_code == 0, result.output
        heard[name] = soundfile.read(f"{name}.wav")[0]
    spread = np.abs(heard["plain"]).max()
    assert np.abs(heard["adapted"] - heard["plain"]).max() > 0.01 * spread
    np.testing.assert_allclose(heard["both"], heard["plain"], atol=0.01 * spread)
