"""Attention that is read from the running model."""

import dataclasses

import numpy as np
import pytest

from litefocus_jax.evaluation.attention_map import AttentionMaps, Token, attention_maps
from tests.support.models import small_pipeline
from tests.support.requests import request_for

BRIEF = {"audio_length_in_s": 0.64, "num_inference_steps": 2}


def test_maps_are_shares_of_all_tokens_of_the_level():
    maps = attention_maps(small_pipeline(), request_for(small_pipeline(), **BRIEF))
    assert (maps.level, maps.step) == (1, 1)
    assert maps.maps.shape[0] == 2
    np.testing.assert_allclose(maps.maps.sum(axis=(2, 3)), 1.0, atol=1e-5)
    assert (maps.maps >= 0).all()
    assert maps.maps.std() > 0


def test_another_step_sees_other_latents_and_the_first_one_the_noise():
    first, second = (attention_maps(small_pipeline(), request_for(small_pipeline(), **BRIEF), step=s) for s in (0, 1))
    assert not np.allclose(first.maps, second.maps, atol=1e-6)


def test_the_share_of_the_own_frequency_is_that_of_its_row():
    maps = np.zeros((1, 2, 3, 4))
    maps[0, 0, :, 2] = 1 / 3
    maps[0, 1, 1, 0] = 1.0
    found = AttentionMaps((Token(1, 2),), maps, 0.08, 1, 0, "rain")
    np.testing.assert_allclose(found.shares_of_own_frequency, [0.5])
    assert found.in_words().startswith("Token at 0.08 s, frequency 2 of 4: 50.0% of its attention")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"step": 2}, "step = 2; expected a number from 0 to 1"),
        ({"level": 0}, "level = 0; this UNet has attention at"),
        ({"step": 0, "tokens": (Token(0, 99),)}, "token 0:99; expected a frame from 0 to"),
    ],
)
def test_what_is_not_there_is_named(options, message):
    with pytest.raises(ValueError, match=message):
        attention_maps(small_pipeline(), request_for(small_pipeline(), **BRIEF), **options)


def test_one_sound_is_looked_at():
    request = dataclasses.replace(request_for(small_pipeline(), **BRIEF), num_waveforms_per_prompt=2)
    with pytest.raises(ValueError, match="the request is of 2 sounds"):
        attention_maps(small_pipeline(), request)
