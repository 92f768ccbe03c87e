"""Prompts that are given as vectors."""

from typing import Any

import numpy as np
import pytest

from litefocus_jax import AudioPipelineOutput, PromptEmbeddings
from tests.support.models import tiny_pipeline
from tests.support.requests import BRIEF
from tests.support.tolerance import deviation

ROUNDING = 1e-4  # other batch sizes sum in another order


def make(prompt: Any, **arguments: Any) -> AudioPipelineOutput:
    return tiny_pipeline()(prompt, **(BRIEF | arguments))


def test_prompts_as_vectors_make_the_sound_of_their_text() -> None:
    prompts = ["rain on a roof", "wind"]
    embeddings = tiny_pipeline().encode_prompt(prompts)
    assert isinstance(embeddings, PromptEmbeddings)
    assert embeddings.attention_mask.shape == embeddings.prompt_embeds.shape[:2]
    assert deviation(make(None, **embeddings._asdict()).audios, make(prompts).audios) < ROUNDING


@pytest.mark.parametrize("is_text", [True, False])
def test_negative_prompts_as_vectors_do_the_same(is_text: bool) -> None:
    both = tiny_pipeline().encode_prompt("rain", negative_prompt="wind", do_classifier_free_guidance=True)
    negative = {f"negative_{name}": value[:1] for name, value in both._asdict().items()}
    positive = {name: value[1:] for name, value in both._asdict().items()}
    given = make("rain", **negative) if is_text else make(None, **negative, **positive)
    assert deviation(given.audios, make("rain", negative_prompt="wind").audios) < ROUNDING


def test_vectors_of_other_words_make_another_sound() -> None:
    rain, wind = (tiny_pipeline().encode_prompt(prompt)._asdict() for prompt in ("rain", "wind"))
    assert deviation(make(None, **rain).audios, make(None, **wind).audios) > 0.01


def vectors(**changes: Any) -> dict[str, Any]:
    """Vectors of one prompt, as wide as the tiny model's, with some changed."""
    given = {"prompt_embeds": np.zeros((1, 5, 24)), "generated_prompt_embeds": np.zeros((1, 8, 16))}
    return given | changes


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"prompt": "rain"}, "prompt and prompt_embeds are both given"),
        ({"generated_prompt_embeds": None}, "generated_prompt_embeds is missing"),
        ({"prompt_embeds": np.zeros((1, 5, 23))}, r"prompt_embeds has shape \(1, 5, 23\); expected .*"),
        ({"prompt_embeds": np.zeros((5, 24))}, r"prompt_embeds has shape \(5, 24\)"),
        ({"prompt_embeds": np.full((1, 5, 24), np.nan)}, "prompt_embeds holds NaN"),
        ({"generated_prompt_embeds": np.zeros((2, 8, 16))}, "generated_prompt_embeds has 2 rows, prompt_embeds 1"),
        ({"attention_mask": np.ones((1, 6))}, r"attention_mask has shape \(1, 6\); expected \(1, 5\)"),
        (
            {f"negative_{name}": np.zeros((3, *value.shape[1:])) for name, value in vectors().items()},
            "negative_prompt_embeds has 3 rows for 1 prompts",
        ),
    ],
)
def test_vectors_that_do_not_fit_are_refused(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_pipeline().request(**vectors(**arguments))


def test_a_request_of_other_vectors_is_another_request() -> None:
    first, second = (
        tiny_pipeline().request(**vectors(attention_mask=np.ones((1, 5)) * value), **BRIEF) for value in (0, 1)
    )
    assert first.facts() != second.facts()
