"""A sound and its neighbours in the batch."""

import jax
import numpy as np
import pytest

from litefocus_jax.generation import sampling
from litefocus_jax.models.conditioning import TextConditioning
from litefocus_jax.models.tokenization import tokenize_prompts
from tests.support.models import tiny_pipeline
from tests.support.tolerance import deviation

LONG = "a much longer prompt of rain and wind"  # in another bucket of lengths, too
BRIEF = {"audio_length_in_s": 0.4, "num_inference_steps": 2, "litefocus": None}


def conditioning(prompts: list[str], padding: str, negative: str = "") -> TextConditioning:
    pipe = tiny_pipeline()
    tokens = tokenize_prompts(pipe.tokenizer, pipe.tokenizer_2, prompts, [negative] * len(prompts), padding=padding)  # pyright: ignore[reportArgumentType]
    return sampling.encode(pipe.components.encoders, tokens)


def rows_of_rain(prompts: list[str], padding: str, negative: str = "") -> list[np.ndarray]:
    """What is known of the prompt "rain", the first of the batch, and of its negative prompt."""
    found = conditioning(prompts, padding, negative)
    rows, tokens = [0, len(prompts)], len("▁rain") + 1
    text = np.where(found.attention_mask[..., None], found.prompt_embeds, 0)[rows, :tokens]
    return [np.asarray(found.generated_prompt_embeds)[rows], np.asarray(text)]


@pytest.mark.parametrize("negative", ["", "wind and hail"])
def test_a_prompt_encoded_alone_does_not_know_its_neighbours(negative: str) -> None:
    alone, among = (rows_of_rain(prompts, "alone", negative) for prompts in (["rain"], ["rain", LONG]))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5), alone, among)


def test_a_single_prompt_is_encoded_as_diffusers_does_either_way() -> None:
    both = (conditioning([LONG], padding, "wind") for padding in ("alone", "batch"))
    jax.tree.map(lambda one, other: np.testing.assert_allclose(one, other, atol=1e-5), *both)


def test_in_diffusers_a_longer_neighbour_moves_a_prompt() -> None:
    alone, among = (rows_of_rain(prompts, "batch")[0] for prompts in (["rain"], ["rain", LONG]))
    assert np.abs(alone - among).max() > 1e-2


def test_a_sound_is_the_same_alone_and_beside_a_longer_neighbour() -> None:
    alone = tiny_pipeline()("rain", prompt_padding="alone", **BRIEF).audios[0]
    among = tiny_pipeline()(["rain", LONG], prompt_padding="alone", **BRIEF).audios[0]
    assert deviation(among, alone) < 1e-4


def test_a_negative_prompt_is_cut_to_its_own_prompt(caplog: pytest.LogCaptureFixture) -> None:
    conditioning(["rain", LONG], "alone", "rain and wind")
    assert "is cut to 6 tokens, as many as its prompt has; this part is lost: 'and wind'" in caplog.text
