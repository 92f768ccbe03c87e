"""A model that says how loud its sounds are to be at least."""

import dataclasses

import numpy as np
import pytest

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.audio.levels import LeastLevel, loudest_stretch_in_dbfs
from litefocus_jax.models.generation_defaults import GenerationDefaults
from litefocus_jax.system.json_config import ConfigError
from tests.support.models import small_pipeline

OPTIONS = {"audio_length_in_s": 0.64, "num_inference_steps": 2, "scheduler": "ddim", "progress": False}


def pipeline_of(least: float | None) -> AudioLDM2Pipeline:
    components = small_pipeline().components
    defaults = dataclasses.replace(components.defaults, least_level_in_dbfs=least)
    return AudioLDM2Pipeline(dataclasses.replace(components, defaults=defaults))


def level(audio: np.ndarray) -> float:
    return loudest_stretch_in_dbfs(audio, 16000)


def test_what_is_softer_than_the_model_says_is_made_louder():
    plain = pipeline_of(None)(["rain", "sea"], **OPTIONS).audios
    wanted = max(map(level, plain)) + 6.0
    louder = pipeline_of(wanted)(["rain", "sea"], **OPTIONS).audios
    for before, after in zip(plain, louder, strict=True):
        assert level(after) == pytest.approx(wanted, abs=0.01)
        np.testing.assert_allclose(after / np.abs(after).max(), before / np.abs(before).max(), atol=1e-5)


def test_what_is_loud_enough_is_as_it_was():
    plain = pipeline_of(None)("rain", **OPTIONS).audios
    np.testing.assert_array_equal(pipeline_of(level(plain[0]) - 1.0)("rain", **OPTIONS).audios, plain)


def test_edits_keep_the_level_of_what_was_given():
    given = 1e-3 * np.random.default_rng(0).standard_normal(10240).astype(np.float32)
    pipe = pipeline_of(-10.0)
    assert pipe.request("rain").least_level == LeastLevel(-10.0, 16000)
    assert pipe.request("rain", audio=given, sampling_rate=16000, strength=0.5).least_level is None


def test_it_travels_with_the_model(tmp_path):
    pipeline_of(-33.5).save_pretrained(tmp_path / "model")
    assert AudioLDM2Pipeline.from_pretrained(tmp_path / "model").facts.defaults.least_level_in_dbfs == -33.5


@pytest.mark.parametrize("value", [3.0, -200.0, "loud"])
def test_a_level_that_is_none_is_an_error(value):
    with pytest.raises(ConfigError, match="least_level_in_dbfs"):
        GenerationDefaults.from_dict({"least_level_in_dbfs": value})


def test_a_recipe_knows_models_apart_that_make_their_sounds_as_loud_as_not():
    assert pipeline_of(None).model_digest != pipeline_of(-40.0).model_digest
