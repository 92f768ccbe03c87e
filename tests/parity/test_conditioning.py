"""From token ids to conditioning, against the order of operations of diffusers' ``encode_prompt``."""

import dataclasses
from typing import TypeAlias

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch

from litefocus_jax.models.clap.text import NETWORK as CLAP_NETWORK
from litefocus_jax.models.clap.text import ClapTextConfig, ClapTextModel
from litefocus_jax.models.conditioning import TextConditioning, encode_text
from litefocus_jax.models.gpt2 import GPT2, GPT2Config
from litefocus_jax.models.gpt2 import NETWORK as GPT2_NETWORK
from litefocus_jax.models.projection import NETWORK as PROJECTION_NETWORK
from litefocus_jax.models.projection import ProjectionConfig, ProjectionModel
from litefocus_jax.models.t5 import T5Config, T5Encoder
from litefocus_jax.models.tokenization import PromptTokens
from tests.parity.test_text import (
    clap_features,
    clap_reference,
    continue_by_hidden_states,
    gpt2_reference,
    port_t5,
    projection_reference,
    t5_reference,
    tokens,
)
from tests.support.parity import assert_parity, port, to_jax

CLAP, T5, LANGUAGE = ClapTextConfig.tiny(), T5Config.tiny(), GPT2Config.tiny()
LENGTHS = (4, 9, 6)
Models: TypeAlias = tuple[ClapTextModel, T5Encoder, ProjectionModel, GPT2]


@pytest.fixture(scope="module")
def references():
    projection = projection_reference(ProjectionConfig.tiny())
    return clap_reference(CLAP), t5_reference(T5), projection, gpt2_reference(LANGUAGE)


@pytest.fixture(scope="module")
def models(references) -> Models:
    clap, t5, projection, language_model = references
    return (
        port(CLAP_NETWORK, CLAP, clap),
        port_t5(T5, t5),
        port(PROJECTION_NETWORK, ProjectionConfig.tiny(), projection),
        port(GPT2_NETWORK, LANGUAGE, language_model.transformer),
    )


def prompts(lengths=LENGTHS, padding: int = 0) -> list[torch.Tensor]:
    """CLAP's ids and mask, then T5's, with further padding as diffusers gives to negative prompts."""
    inputs = [*tokens(CLAP.vocab_size, CLAP.pad_token_id, lengths), *tokens(T5.vocab_size, T5.pad_token_id, lengths)]
    pads = (CLAP.pad_token_id, 0, T5.pad_token_id, 0)
    return [torch.nn.functional.pad(array, (0, padding), value=pad) for array, pad in zip(inputs, pads, strict=True)]


def bucketed(arrays: list[torch.Tensor], bucket: int) -> list[jax.Array]:
    """The same prompts padded for the compiler; CLAP's with an id that is not its padding, as it is not looked at."""
    return [jnp.pad(to_jax(array), ((0, 0), (0, bucket - array.shape[1]))) for array in arrays]


@jax.jit
def encode(models: Models, arrays: list[jax.Array], t5_length: int) -> TextConditioning:
    clap_ids, clap_mask, t5_ids, t5_mask = arrays
    return encode_text(*models, PromptTokens(clap_ids, clap_mask, t5_ids, t5_mask, t5_length))


def expected_conditioning(references, clap_ids, clap_mask, t5_ids, t5_mask) -> tuple[torch.Tensor, torch.Tensor]:
    clap, t5, projection, language_model = references
    clap_states = clap_features(clap, clap_ids, clap_mask)[:, None]
    t5_states = t5(t5_ids, attention_mask=t5_mask).last_hidden_state
    joined = projection(clap_states, t5_states, clap_mask.new_ones(len(clap_ids), 1), t5_mask)
    count = LANGUAGE.max_new_tokens
    return continue_by_hidden_states(language_model, joined.hidden_states, joined.attention_mask, count), t5_states


@pytest.mark.parametrize("padding", [0, 5], ids=["padded to the longest", "padded further"])
@pytest.mark.parametrize("bucket", [None, 16, 32])
def test_conditioning_in_any_bucket_is_that_of_diffusers(references, models, padding, bucket):
    clap_ids, clap_mask, t5_ids, t5_mask = prompts(padding=padding)
    length = t5_ids.shape[1]
    generated, t5_states = expected_conditioning(references, clap_ids, clap_mask, t5_ids, t5_mask)
    inputs = bucketed([clap_ids, clap_mask], length) + bucketed([t5_ids, t5_mask], bucket or length)
    found = encode(models, inputs, length)
    assert_parity(found.generated_prompt_embeds, generated)
    assert_parity(found.prompt_embeds[:, :length][to_jax(t5_mask) == 1], t5_states[t5_mask == 1])
    np.testing.assert_array_equal(found.attention_mask[:, :length], t5_mask.bool().numpy())
    assert not found.attention_mask[:, length:].any()


def test_bucketing_changes_nothing_in_our_own_arithmetic(models):
    clap_arrays, t5_arrays = prompts()[:2], prompts()[2:]
    exact, padded = (encode(models, bucketed(clap_arrays, 9) + bucketed(t5_arrays, length), 9) for length in (9, 32))
    np.testing.assert_allclose(padded.generated_prompt_embeds, exact.generated_prompt_embeds, atol=1e-5)


def test_padding_that_diffusers_counts_moves_the_generated_vectors(models):
    short, long = (encode(models, bucketed(prompts(padding=padding), 9 + padding), 9 + padding) for padding in (0, 5))
    assert np.abs(np.asarray(short.generated_prompt_embeds - long.generated_prompt_embeds)).max() > 1e-3


def test_prompts_of_one_bucket_compile_once(references, models):
    traces = []

    @jax.jit
    def counted(models: Models, arrays: list[jax.Array], t5_length: int) -> TextConditioning:
        traces.append(None)
        return encode(models, arrays, t5_length)

    for lengths in ((4, 9, 6), (12, 2, 15)):
        arrays = prompts(lengths)
        found = counted(models, bucketed(arrays, 16), max(lengths))
        assert_parity(found.generated_prompt_embeds, expected_conditioning(references, *arrays)[0])
    assert len(traces) == 1


def test_half_precision_weights_stay_near_float32(models):
    arrays = [to_jax(array) for array in prompts()]
    halves = jax.tree.map(lambda weight: weight.astype(jnp.bfloat16), models)
    exact, half = encode(models, arrays, 9), encode(halves, arrays, 9)
    assert {array.dtype for array in half[:2]} == {jnp.dtype(jnp.bfloat16)}
    assert_parity(half.prompt_embeds.astype(jnp.float32), exact.prompt_embeds, tolerance=0.2)


def test_a_prompt_beyond_the_language_model_is_refused(models):
    config = dataclasses.replace(LANGUAGE, n_positions=10)
    short = port(GPT2_NETWORK, config, gpt2_reference(config).transformer)
    arrays = [to_jax(array) for array in prompts()]
    with pytest.raises(ValueError, match="n_positions = 10"):
        encode((*models[:3], short), arrays, 9)
