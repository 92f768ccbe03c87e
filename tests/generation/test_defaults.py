"""What a request takes from its model where it says nothing."""

import dataclasses
from typing import Any

import pytest

from litefocus_jax.generation.request import Request, make_request
from litefocus_jax.models.generation_defaults import GenerationDefaults, Sampling
from litefocus_jax.ops.litefocus.layout import DENSE, FocusSets
from litefocus_jax.ops.litefocus.settings import FromLength
from tests.support.models import tiny_pipeline

OWN = GenerationDefaults(
    "dpm++", 25, "trailing", 4.0, "alone", fast=Sampling("dpm++", 10, "trailing"), reference=Sampling("ddim", 250)
)


def ask(defaults: GenerationDefaults | None = OWN, **options: Any) -> Request:
    facts = tiny_pipeline().facts
    if defaults is not None:
        facts = dataclasses.replace(facts, defaults=defaults)
    return make_request(facts, "rain", **options)


def test_a_request_takes_its_models_defaults() -> None:
    request = ask()
    assert request.sampling == Sampling("dpm++", 25, "trailing")
    assert (request.guidance_scale, request.prompt_padding) == (4.0, "alone")


def test_a_published_model_is_sampled_as_diffusers_does() -> None:
    request = ask(None)
    assert request.sampling == Sampling("ddim", 200, "leading")
    assert (request.guidance_scale, request.prompt_padding) == (3.5, "batch")


def test_a_quality_names_scheduler_steps_and_spacing() -> None:
    assert ask(quality="fast").sampling == Sampling("dpm++", 10, "trailing")
    assert ask(None, quality="good").sampling == Sampling("dpm++", 50, "trailing")


def test_a_model_says_what_auto_chooses_from_which_length_on() -> None:
    long: Any = {"audio_length_in_s": 5 * 0.64}
    assert ask(**long).plan.attention.sets is not None
    own = dataclasses.replace(OWN, litefocus_by_length=(FromLength(6.0, "cross_frequency", 0.3),))
    assert ask(own, **long).plan.attention == DENSE
    assert ask(own, audio_length_in_s=6 * 0.64).plan.attention.sets == FocusSets(same_frequency=False, sparse_ratio=0.3)
    assert ask(own, **long, litefocus="on").plan.attention.sets == FocusSets()
    assert ask(dataclasses.replace(OWN, litefocus_by_length=()), **long).plan.attention == DENSE


def test_what_is_asked_for_holds_beside_a_quality() -> None:
    assert ask(quality="fast", num_inference_steps=12).sampling == Sampling("dpm++", 12, "trailing")
    asked = ask(quality="fast", scheduler="ddim", timestep_spacing="leading", guidance_scale=1.0)
    assert asked.sampling == Sampling("ddim", 10, "leading")
    assert not asked.plan.guided


@pytest.mark.parametrize("defaults", [GenerationDefaults("dpm++", 200, "leading"), GenerationDefaults("dpm++", 200)])
def test_a_default_spacing_gives_way_where_it_would_begin_below_noise(defaults: GenerationDefaults) -> None:
    request = ask(defaults)
    assert request.timestep_spacing == "trailing"
    assert request.schedule.steps.timestep[0] == 999


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"quality": "best"}, "quality = 'best'; expected 'fast', 'good', 'reference' or None"),
        ({"quality": 1}, "quality = 1; expected"),
        ({"prompt_padding": "none"}, "prompt_padding = 'none'; expected 'batch', 'alone' or None"),
        ({"scheduler": ""}, "scheduler = ''"),
        ({"eta": 0.5}, r"eta = 0\.5 needs scheduler 'ddim'"),
    ],
)
def test_what_cannot_be_had_is_named(options: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        ask(**options)
