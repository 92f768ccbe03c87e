"""Waveforms of a prompt in CLAP's order."""

import functools
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from litefocus_jax import AudioLDM2Pipeline, load_clap
from tests.support.judges import clap_folder
from tests.support.models import tiny_pipeline

PROMPTS = ["rain", "a dog barks"]
OPTIONS: dict[str, Any] = {"num_waveforms_per_prompt": 3, "num_inference_steps": 1, "audio_length_in_s": 0.2}


@functools.cache
def pipeline() -> AudioLDM2Pipeline:
    return AudioLDM2Pipeline.from_pretrained(clap_folder())


def test_waveforms_are_ordered_within_their_prompt():
    made = pipeline()(PROMPTS, **OPTIONS)
    result = pipeline()(PROMPTS, rank=True, **OPTIONS)
    assert made.scores is None
    assert result.scores is not None
    assert result.scores.shape == (6,)
    assert result.numbers is not None
    for first in (0, 3):
        numbers = result.numbers[first : first + 3]
        assert set(numbers) == {first, first + 1, first + 2}
        assert (np.diff(result.scores[first : first + 3]) <= 0).all()
    np.testing.assert_array_equal(result.audios, made.audios[list(result.numbers)])
    assert [recipe.row for recipe in result.recipes] == [made.recipes[number].row for number in result.numbers]
    np.testing.assert_array_equal(result[1:3].scores, result.scores[1:3])


def test_a_prompt_keeps_its_sounds_even_where_another_ones_fit_better(monkeypatch):
    """Every sound fits the second prompt, the later ones better; the first one fits none."""
    calls = []

    def embed_sound(waveform):
        calls.append(waveform)
        return np.array([0.0, len(calls) / 10.0])

    clap = SimpleNamespace(
        sampling_rate=16000, embed_sound=embed_sound, embed_captions=lambda texts: np.array([[1.0, 0.0], [0.0, 1.0]])
    )
    monkeypatch.setattr(pipeline(), "clap", clap)
    result = pipeline()(PROMPTS, rank=True, **OPTIONS)
    assert result.numbers == (0, 1, 2, 5, 4, 3)
    assert result.scores is not None
    np.testing.assert_allclose(result.scores, [0.0, 0.0, 0.0, 0.6, 0.5, 0.4])


def test_a_model_without_the_tower_says_so_before_it_makes_sound(monkeypatch):
    monkeypatch.setattr(tiny_pipeline()._denoiser, "denoise", None)
    with pytest.raises(ValueError, match=r"rank=True: .*native format.*pipe\.clap = litefocus_jax\.load_clap"):
        tiny_pipeline()(PROMPTS, rank=True, **OPTIONS)


def test_another_models_clap_can_be_set(monkeypatch):
    monkeypatch.setattr(tiny_pipeline(), "clap", load_clap(clap_folder()))
    assert tiny_pipeline()("rain", rank=True, **OPTIONS).scores is not None


def test_what_has_no_text_or_no_sound_is_not_ranked():
    with pytest.raises(ValueError, match="output_type='latent'"):
        pipeline()(PROMPTS, rank=True, output_type="latent", **OPTIONS)
    embeddings: dict[str, Any] = pipeline().encode_prompt("rain")._asdict()
    with pytest.raises(ValueError, match="prompts as texts"):
        pipeline()(rank=True, **embeddings, **OPTIONS)
