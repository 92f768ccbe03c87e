"""How a model is sampled where a request does not say, as its JSON has it."""

from typing import Any

import pytest

from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.generation_defaults import PUBLISHED, GenerationDefaults, Sampling
from litefocus_jax.ops.litefocus.settings import FromLength
from litefocus_jax.system.json_config import ConfigError

OWN = GenerationDefaults(
    "dpm++", 25, "trailing", 4.0, "alone", (FromLength(6.0, "both", 0.2),), fast=Sampling("dpm++", 10, "trailing")
)


def from_length(*lengths: float, **fields) -> dict[str, list[dict[str, Any]]]:
    steps = [{"training_lengths": length, "focus": "both"} for length in lengths or (6.0,)]
    return {"litefocus_by_length": [{**step, **fields} for step in steps]}


def test_what_is_written_is_read_again() -> None:
    assert GenerationDefaults.from_dict(OWN.to_dict()) == OWN


def test_files_that_say_nothing_mean_what_diffusers_does() -> None:
    assert GenerationDefaults.from_dict({}) == PUBLISHED
    assert PUBLISHED.way(None) == Sampling(None, 200, None)
    assert PUBLISHED.guidance_scale == 3.5


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ([], r"model\.json is a JSON list; expected an object"),
        ({"scheduler": "euler"}, "scheduler = 'euler'; expected 'ddim' or 'dpm\\+\\+' or null"),
        ({"scheduler": ["ddim"]}, r"scheduler = \('ddim',\); expected"),
        ({"num_inference_steps": 2.5}, r"num_inference_steps = 2\.5; expected a whole number from 1"),
        ({"num_inference_steps": True}, "num_inference_steps = True"),
        ({"timestep_spacing": "even"}, "timestep_spacing = 'even'"),
        ({"guidance_scale": "3.5"}, "guidance_scale = '3.5'; expected a finite number"),
        ({"guidance_scale": float("nan")}, "guidance_scale = nan"),
        ({"prompt_padding": None}, "prompt_padding = None; expected 'batch' or 'alone'"),
        ({"litefocus_by_length": 6}, r"model\.json: litefocus_by_length = 6; expected a list"),
        ({"litefocus_by_length": [6]}, r"litefocus_by_length\[0\] = 6; expected an object"),
        (from_length(focus="on"), r"litefocus_by_length\[0\]: focus = 'on'; expected 'both' or 'same_frequency' or"),
        (from_length(training_lengths=0), r"training_lengths = 0; expected a finite number from 0\.001"),
        (from_length(sparse_ratio=2), r"sparse_ratio = 2; expected a finite number from 0\.001 to 1"),
        (from_length(6.0, 6.0), "litefocus_by_length begins at 6, 6 training lengths; expected ascending ones"),
        ({"good": 50}, r"model\.json: good = 50; expected an object"),
        ({"fast": {"num_inference_steps": 0}}, r"model\.json: fast: num_inference_steps = 0"),
        ({"best": {}}, "best = {} is not a field this version knows"),
    ],
)
def test_wrong_values_are_named_with_what_is_expected(values, message) -> None:
    with pytest.raises(ConfigError, match=message):
        GenerationDefaults.from_dict(values, "model.json")


def test_more_steps_than_the_schedule_has_are_refused() -> None:
    defaults = GenerationDefaults(reference=Sampling("ddim", 1001))
    with pytest.raises(ConfigError, match="there: reference: num_inference_steps = 1001; expected at most 1000"):
        defaults.check(SchedulerConfig.tiny(), "there")


def test_a_way_to_sample_is_told_in_a_few_words() -> None:
    assert Sampling("dpm++", 25, "trailing").describe() == "25 steps of dpm++, trailing spacing"
    assert Sampling("ddim", 1).describe() == "1 step of ddim"
