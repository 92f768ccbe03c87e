"""How many heads the UNet's attention has."""

import dataclasses
import logging
from typing import Any

import numpy as np
import pytest

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.checkpoint.store import BUNDLED_MODEL, open_checkpoint
from litefocus_jax.models.unet import heads
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.heads import Heads, doubt, with_heads
from tests.support.models import many_headed_checkpoint, tiny_checkpoint

PUBLISHED = ("audioldm2", "audioldm2-large", "audioldm2-gigaspeech")


def published(name: str) -> UNetConfig:
    return UNetConfig.from_dict(published_config(name, "unet"))


@pytest.mark.parametrize("name", PUBLISHED)
def test_published_models_are_in_doubt_and_were_trained_with_heads_of_32_channels(name):
    config = published(name)
    assert "4, 8, 12, 20 by level" in (doubt(config) or "")
    trained = with_heads(config, "trained")
    assert trained.num_heads_per_level == (4, 8, 12, 20)
    assert doubt(trained) is None
    assert dataclasses.replace(trained, attention_head_dim=8) == config


def test_other_shapes_are_not_in_doubt():
    assert doubt(UNetConfig.tiny()) is None
    assert doubt(dataclasses.replace(published("audioldm2"), attention_head_dim=(8, 8, 12, 20))) is None
    assert doubt(dataclasses.replace(published("audioldm2"), attention_head_dim=(8, 8, 8, 8))) is not None


def test_heads_that_a_file_gives_by_level_are_those_of_the_training():
    checkpoint = open_checkpoint(BUNDLED_MODEL)
    assert checkpoint.with_heads("trained").configs == checkpoint.configs


@pytest.mark.parametrize(("chosen", "message"), [
    ("eight", "heads = 'eight'; expected 'stored' or 'trained'"),
    ("trained", r"unet: heads = 'trained', but the UNet has levels of 8, 8, 16, 16 channels; expected multiples of 32"),
])  # fmt: skip
def test_heads_that_cannot_be_are_one_clear_error(chosen: Any, message: str):
    with pytest.raises(ValueError, match=message):
        AudioLDM2Pipeline.from_pretrained(tiny_checkpoint(), heads=chosen)


def test_the_default_is_what_the_file_says_and_trained_heads_make_another_sound():
    sounds = {}
    choices: list[tuple[Heads | None, Any]] = [(None, 8), ("stored", 8), ("trained", (1, 2))]
    for chosen, count in choices:
        pipe = AudioLDM2Pipeline.from_pretrained(many_headed_checkpoint(), heads=chosen)
        assert pipe.unet.config.attention_head_dim == count
        result = pipe("rain", audio_length_in_s=0.4, num_inference_steps=2)
        assert result.recipes[0].heads == chosen
        sounds[chosen] = result.audios, pipe.model_digest
    np.testing.assert_array_equal(sounds[None][0], sounds["stored"][0])
    assert np.abs(sounds[None][0] - sounds["trained"][0]).max() > 1e-4
    assert sounds[None][1] == sounds["stored"][1] != sounds["trained"][1]


def test_a_model_that_is_saved_says_the_heads_it_was_loaded_with(tmp_path):
    AudioLDM2Pipeline.from_pretrained(many_headed_checkpoint(), heads="trained").save_pretrained(tmp_path / "saved")
    assert open_checkpoint(tmp_path / "saved").configs["unet"].attention_head_dim == (1, 2)


@pytest.mark.parametrize(("chosen", "lines"), [(None, 1), ("stored", 0), ("trained", 0)])
def test_loading_says_in_one_line_what_is_known_unless_heads_were_chosen(chosen: Any, lines: int, monkeypatch, caplog):
    monkeypatch.setattr(heads, "_PUBLISHED_CHANNELS", (32, 64))
    checkpoint = open_checkpoint(many_headed_checkpoint()).with_heads(chosen)
    assert not caplog.records
    with caplog.at_level(logging.WARNING):
        checkpoint.load()
    assert len(caplog.messages) == lines
    assert all("config.json: attention_head_dim = 8" in each and "\n" not in each for each in caplog.messages)
