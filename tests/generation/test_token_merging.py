"""Token Merging as an option of a request."""

from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from litefocus_jax import LiteFocusConfig, PartialRun, Recipe, ResumeError, TokenMerging
from litefocus_jax.ops.litefocus.layout import AttentionLayout
from tests.support.models import small_pipeline, tiny_pipeline
from tests.support.requests import request_for

BRIEF: dict[str, Any] = {"audio_length_in_s": 0.64, "num_inference_steps": 2}


def test_a_share_or_a_setting_becomes_the_attention_in_the_place_of_the_automatic_one():
    for asked in (0.5, TokenMerging(0.5)):
        request = tiny_pipeline().request("rain", audio_length_in_s=6.4, token_merging=asked)
        assert request.plan.attention == AttentionLayout(merging=TokenMerging(0.5))
        assert request.facts()["attention"]["merging"]["ratio"] == 0.5


def test_it_changes_the_sound_and_the_seed_decides_what_is_drawn():
    pipe = small_pipeline()
    made = [pipe("rain", token_merging=share, **BRIEF).audios for share in (0.5, 0.5, None)]
    np.testing.assert_array_equal(made[0], made[1])
    assert not np.allclose(made[0], made[2], atol=1e-4)


def test_a_sound_of_a_batch_draws_what_it_would_draw_alone():
    pipe = small_pipeline()
    alone = pipe("rain", token_merging=0.5, **BRIEF).audios[0]
    among = pipe(["rain", "wind"], token_merging=0.5, prompt_padding="alone", **BRIEF).audios[0]
    np.testing.assert_allclose(among, alone, atol=1e-4)


def test_its_recipe_asks_for_the_same_and_others_do_not_speak_of_it():
    pipe = tiny_pipeline()
    request = pipe.request("rain", token_merging=TokenMerging(0.4, random=False), num_waveforms_per_prompt=2)
    recipe = Recipe.from_json(pipe.recipes(request)[1].to_json())
    assert recipe.token_merging == TokenMerging(0.4, random=False)
    prompts, options = recipe.request_options()
    assert pipe.request(prompts, **options) == request
    assert "token_merging" not in pipe.recipes(pipe.request("rain"))[0].to_dict()


def test_a_partial_run_of_another_share_is_refused(tmp_path):
    pipe, path = small_pipeline(), tmp_path / "run.safetensors"
    pipe("rain", token_merging=0.5, partial_run=PartialRun(path, every=1, keep=True), **BRIEF)
    with pytest.raises(ResumeError, match="merging"):
        pipe("rain", token_merging=0.3, partial_run=PartialRun(path, every=1, resume=True), **BRIEF)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"token_merging": 0.5, "litefocus": "on"}, ValueError, "token_merging = 0.5 beside litefocus = 'on'"),
        ({"token_merging": 0.5, "litefocus": LiteFocusConfig()}, ValueError, "beside litefocus = LiteFocusConfig"),
        ({"token_merging": 0.5, "scale_scores": True}, ValueError, "token_merging = 0.5 beside scale_scores"),
        ({"token_merging": 2}, ValueError, "token_merging = 2.0; expected a share above 0 and up to 1"),
        ({"token_merging": "half"}, TypeError, "token_merging = 'half'; expected a number"),
        ({"token_merging": TokenMerging(levels=(7,))}, ValueError, "TokenMerging.levels names level 7"),
    ],
)
def test_what_cannot_be_is_refused(options, error, message):
    with pytest.raises(error, match=message):
        request_for(tiny_pipeline(), **{"litefocus": "auto", **options})


def test_devices_that_share_the_frames_of_a_sound_are_refused():
    mesh = Mesh(np.array(jax.devices()[:1] * 2).reshape(1, 2), ("data", "time"))
    with pytest.raises(ValueError, match="token_merging is given, but the mesh spreads frames along 'time'"):
        request_for(tiny_pipeline(), token_merging=0.5, mesh=mesh)


def test_devices_that_share_the_sounds_make_the_same():
    mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("data", "time"))
    pipe = small_pipeline()
    one, shared = (pipe("rain", token_merging=0.5, mesh=each, **BRIEF).audios for each in (None, mesh))
    np.testing.assert_allclose(shared, one, atol=1e-4)
