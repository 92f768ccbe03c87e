"""What the text models promise beyond agreeing with PyTorch."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from litefocus_jax.models.clap.text import ClapTextConfig, ClapTextModel
from litefocus_jax.models.gpt2 import GPT2, GPT2Config
from litefocus_jax.models.projection import ProjectionConfig, ProjectionModel
from litefocus_jax.models.t5 import T5Config, T5Encoder
from litefocus_jax.models.text_layers import Embedding

GPT2_TINY = GPT2Config.tiny()
IDS = jnp.array([[0, 9, 8, 7, 2, 1, 1], [0, 5, 2, 1, 1, 1, 1]])
MASK = jnp.array([[1, 1, 1, 1, 1, 0, 0], [1, 1, 1, 0, 0, 0, 0]])


def in_dtype(module: nnx.Module, dtype: jnp.dtype) -> nnx.Module:
    return jax.tree.map(lambda weight: weight.astype(dtype), module)


def random_prompt(batch: int, length: int) -> jax.Array:
    return jax.random.normal(jax.random.key(0), (batch, length, GPT2_TINY.n_embd))


def test_cached_generation_equals_running_the_whole_sequence_each_time():
    model = GPT2(GPT2_TINY, rngs=nnx.Rngs(0))
    sequence, mask = random_prompt(2, 6), jnp.ones((2, 6), bool).at[0, 3:5].set(False)
    generated = model.generate(sequence, mask, jnp.arange(6), 6, 3)
    for _ in range(3):
        hidden = model(sequence, mask, jnp.arange(sequence.shape[1]))
        sequence = jnp.concatenate([sequence, hidden[:, -1:]], axis=1)
        mask = jnp.pad(mask, ((0, 0), (0, 1)), constant_values=True)
    np.testing.assert_allclose(generated, sequence[:, -3:], atol=1e-5)


def test_masked_columns_that_take_no_position_change_nothing():
    model = GPT2(GPT2_TINY, rngs=nnx.Rngs(0))
    prompt, mask = random_prompt(2, 6), jnp.ones((2, 6), bool)
    rubbish = 1e3 * jnp.ones((2, 4, GPT2_TINY.n_embd))
    padded = jnp.concatenate([prompt[:, :5], rubbish, prompt[:, 5:]], axis=1)
    padded_mask = jnp.concatenate([mask[:, :5], jnp.zeros((2, 4), bool), mask[:, 5:]], axis=1)
    exact = model.generate(prompt, mask, jnp.arange(6), 6, 4)
    found = model.generate(padded, padded_mask, jnp.arange(10).at[-1].set(5), 6, 4)
    np.testing.assert_allclose(found, exact, atol=1e-5)


def test_positions_may_differ_between_prompts():
    model = GPT2(GPT2_TINY, rngs=nnx.Rngs(0))
    prompt, mask = random_prompt(2, 6), jnp.ones((2, 6), bool)
    positions = jnp.stack([jnp.arange(6), jnp.arange(10, 16)])
    together = model(prompt, mask, positions)
    np.testing.assert_allclose(together[1:], model(prompt[1:], mask[1:], positions[1]), atol=1e-5)


def test_generation_compiles_once_for_two_positions():
    traces = []

    @jax.jit
    def generate(model, prompt, next_position):
        traces.append(None)
        return model.generate(prompt, jnp.ones((1, 6), bool), jnp.arange(6), next_position, 4)

    first, second = (generate(GPT2(GPT2_TINY, rngs=nnx.Rngs(seed)), random_prompt(1, 6), 6 + seed) for seed in range(2))
    assert len(traces) == 1
    assert not np.allclose(first, second)


def test_the_token_embedding_is_not_read_by_generation():
    model = GPT2(GPT2_TINY, rngs=nnx.Rngs(0))
    model.token_embedding.embedding[...] = jnp.full((GPT2_TINY.vocab_size, GPT2_TINY.n_embd), jnp.nan)
    assert jnp.isfinite(model.generate(random_prompt(1, 3), jnp.ones((1, 3), bool), jnp.arange(3), 3, 2)).all()


@pytest.mark.parametrize(("length", "new"), [(95, 3), (96, 2), (97, 1)])
def test_sequences_past_the_last_position_are_refused(length, new):
    model = GPT2(GPT2_TINY, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"take 97 positions.* n_positions = 96"):
        model.generate(random_prompt(1, length), jnp.ones((1, length), bool), jnp.arange(length), length, new)


def test_generating_nothing_is_refused():
    with pytest.raises(ValueError, match="max_new_tokens = 0"):
        GPT2(GPT2_TINY, rngs=nnx.Rngs(0)).generate(random_prompt(1, 3), jnp.ones((1, 3), bool), jnp.arange(3), 3, 0)


def test_clap_features_are_unit_vectors_whatever_the_padding():
    config = ClapTextConfig.tiny()
    model = ClapTextModel(config, rngs=nnx.Rngs(0))
    padded = jnp.pad(IDS, ((0, 0), (0, 9)), constant_values=config.pad_token_id)
    features = model(IDS, MASK)
    np.testing.assert_allclose(jnp.linalg.norm(features, axis=-1), 1.0, atol=1e-6)
    np.testing.assert_allclose(model(padded, jnp.pad(MASK, ((0, 0), (0, 9)))), features, atol=1e-5)


def test_padding_changes_no_t5_token():
    model = T5Encoder(T5Config.tiny(), rngs=nnx.Rngs(0))
    mask = jnp.ones(IDS.shape, bool)
    padded, padded_mask = jnp.pad(IDS, ((0, 0), (0, 9))), jnp.pad(mask, ((0, 0), (0, 9)))
    np.testing.assert_allclose(model(padded, padded_mask)[:, : IDS.shape[1]], model(IDS, mask), atol=1e-5)


@pytest.mark.parametrize("feed_forward", ["relu", "gated-gelu"])
def test_t5_in_float16_survives_a_residual_stream_past_its_largest_number(feed_forward):
    config = dataclasses.replace(T5Config.tiny(), feed_forward_proj=feed_forward)
    model = T5Encoder(config, rngs=nnx.Rngs(0))
    model.token_embedding.embedding[...] = jnp.round(6e4 * jnp.sign(model.token_embedding.embedding[...]))
    for block in model.blocks:
        block.feed_forward.down.kernel[...] = 3e4 * block.feed_forward.down.kernel[...]
    exact = model(IDS, MASK)
    half = in_dtype(model, jnp.float16)(IDS, MASK)
    assert half.dtype == jnp.float16
    np.testing.assert_allclose(half.astype(jnp.float32), exact, atol=0.05)


@pytest.mark.parametrize(("model", "config"), [(ClapTextModel, ClapTextConfig.tiny()), (T5Encoder, T5Config.tiny())])
def test_encoders_answer_in_the_dtype_of_their_weights(model, config):
    assert in_dtype(model(config, rngs=nnx.Rngs(0)), jnp.bfloat16)(IDS, MASK).dtype == jnp.bfloat16


def test_a_token_past_the_vocabulary_gives_nan_rather_than_a_neighbour():
    embedding = Embedding(4, 3, rngs=nnx.Rngs(0))
    assert jnp.isnan(embedding(jnp.array([3, 4]))).all(axis=-1).tolist() == [False, True]


def test_more_tokens_than_learned_positions_are_refused():
    config = dataclasses.replace(ProjectionConfig.tiny(), use_learned_position_embedding=True, max_seq_length=5)
    model = ProjectionModel(config, rngs=nnx.Rngs(0))
    with pytest.raises(ValueError, match=r"6 vectors.* max_seq_length = 5"):
        model(jnp.ones((1, 1, 8)), jnp.ones((1, 1), bool), jnp.ones((1, 6, 24)), jnp.ones((1, 6), bool))
