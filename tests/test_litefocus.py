"""LiteFocus against full attention under an explicit mask, which is its definition."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.litefocus import LiteFocusConfig, litefocus_attention, sample_cross_indices

SHAPES = [(2, 7, 4, 3, 8), (2, 75, 2, 2, 4), (1, 5, 1, 2, 4)]  # batch, times, frequencies, heads, dim


def random_inputs(batch, times, frequencies, heads, head_dim):
    rngs = jax.random.split(jax.random.key(0), 3)
    return [jax.random.normal(rng, (batch, times * frequencies, heads, head_dim)) for rng in rngs]


def key_counts(tokens, frequencies, config, cross_indices):
    """How often each query (row) attends to each key (column)."""
    counts = np.zeros((tokens, tokens))
    if config.same_frequency:
        positions = np.arange(tokens) % frequencies
        counts += positions[:, None] == positions[None, :]
    if config.samples_tokens:
        counts[:, np.asarray(cross_indices)] += 1
    return np.minimum(counts, 1) if config.overlap == "union" else counts


def masked_attention(inputs, counts):
    """Full attention, each key counted as often as told."""
    query, key, value = inputs
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(query.shape[-1])
    weights = jnp.exp(scores - scores.max(axis=-1, keepdims=True)) * counts[None, None]
    return jnp.einsum("bhqk,bkhd->bqhd", weights / weights.sum(axis=-1, keepdims=True), value)


CONFIGS = [
    LiteFocusConfig(sparse_ratio=ratio, overlap=overlap)
    for ratio in (0.0, 0.1, 0.6, 1.0)
    for overlap in ("concat", "union")
] + [LiteFocusConfig(cross_frequency=False), LiteFocusConfig(same_frequency=False, sparse_ratio=0.5)]


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_gradient_equal_masked_full_attention(shape, config):
    _, times, frequencies, _, _ = shape
    inputs, tokens = random_inputs(*shape), times * frequencies
    cross_indices = sample_cross_indices(jax.random.key(1), tokens, config)
    counts = key_counts(tokens, frequencies, config, cross_indices)
    weights = jax.random.normal(jax.random.key(2), inputs[0].shape)

    def sparse(*inputs):
        return litefocus_attention(*inputs, num_frequencies=frequencies, config=config, cross_indices=cross_indices)

    np.testing.assert_allclose(sparse(*inputs), masked_attention(inputs, counts), atol=2e-6)
    actual = jax.grad(lambda inputs: jnp.sum(weights * sparse(*inputs)))(inputs)
    expected = jax.grad(lambda inputs: jnp.sum(weights * masked_attention(inputs, counts)))(inputs)
    for ours, theirs in zip(actual, expected, strict=True):
        np.testing.assert_allclose(ours, theirs, atol=1e-5)


def test_union_of_everything_is_full_attention():
    inputs = random_inputs(2, 6, 4, 3, 8)
    config = LiteFocusConfig(sparse_ratio=1.0, overlap="union")
    actual = litefocus_attention(*inputs, num_frequencies=4, config=config, key_rng=jax.random.key(3))
    np.testing.assert_allclose(actual, masked_attention(inputs, np.ones((24, 24))), atol=2e-6)


def test_only_concat_counts_a_shared_key_twice():
    query, key, value = random_inputs(1, 2, 1, 1, 4)
    query = jnp.zeros_like(query)  # every key weighs the same
    results = {
        overlap: litefocus_attention(
            query, key, value, num_frequencies=1, config=LiteFocusConfig(overlap=overlap), cross_indices=jnp.array([0])
        )
        for overlap in ("concat", "union")
    }
    np.testing.assert_allclose(results["concat"][:, 0], (2 * value[:, 0] + value[:, 1]) / 3, atol=1e-6)
    np.testing.assert_allclose(results["union"][:, 0], (value[:, 0] + value[:, 1]) / 2, atol=1e-6)


def test_a_key_draws_what_sample_cross_indices_draws():
    inputs, config, key_rng = random_inputs(1, 20, 2, 1, 4), LiteFocusConfig(), jax.random.key(5)
    cross_indices = sample_cross_indices(key_rng, 40, config)
    drawn = litefocus_attention(*inputs, num_frequencies=2, config=config, key_rng=key_rng)
    given = litefocus_attention(*inputs, num_frequencies=2, config=config, cross_indices=cross_indices)
    np.testing.assert_array_equal(drawn, given)


@pytest.mark.parametrize(
    ("tokens", "ratio", "count"), [(40, 0.1, 4), (45, 0.1, 4), (5, 0.1, 1), (5, 0.0, 0), (5, 1.0, 5)]
)
def test_tokens_are_drawn_without_repetition_and_rounded_down(tokens, ratio, count):
    drawn = sample_cross_indices(jax.random.key(0), tokens, LiteFocusConfig(sparse_ratio=ratio))
    assert drawn.dtype == jnp.int32
    assert len(drawn) == len(set(drawn.tolist())) == count
    assert all(0 <= index < tokens for index in drawn.tolist())


@pytest.mark.parametrize("overlap", ["concat", "union"])
def test_cross_indices_may_be_traced(overlap):
    inputs, config, traces = random_inputs(1, 6, 2, 1, 4), LiteFocusConfig(overlap=overlap), []

    @jax.jit
    def attend(cross_indices):
        traces.append(cross_indices.shape)
        return litefocus_attention(*inputs, num_frequencies=2, config=config, cross_indices=cross_indices)

    assert not np.array_equal(attend(jnp.array([0, 1])), attend(jnp.array([3, 4])))
    assert len(traces) == 1


def test_duration_chooses_what_the_paper_found():
    assert LiteFocusConfig.for_duration(10.0) is None
    assert LiteFocusConfig.for_duration(14.9) is None
    assert LiteFocusConfig.for_duration(15) == LiteFocusConfig()
    assert LiteFocusConfig.for_duration(59.9) == LiteFocusConfig()
    assert LiteFocusConfig.for_duration(60) == LiteFocusConfig(cross_frequency=False)
    for seconds in (0.0, -1.0, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="expected a positive, finite duration"):
            LiteFocusConfig.for_duration(seconds)


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"same_frequency": False, "cross_frequency": False}, "both False"),
        ({"sparse_ratio": 1.5}, "sparse_ratio = 1.5"),
        ({"sparse_ratio": float("nan")}, "sparse_ratio = nan"),
        ({"same_frequency": False, "sparse_ratio": 0.0}, "nothing to attend to"),
        ({"overlap": "both"}, "overlap = 'both'; expected one of concat, union"),
        ({"resample": "never"}, "resample = 'never'; expected one of call, step, once"),
        ({"levels": ()}, "at least one level"),
        ({"levels": [1]}, "expected a tuple"),
        ({"levels": (1, 1)}, "distinct"),
        ({"levels": (-1,)}, "whole numbers from 0"),
    ],
)
def test_a_setting_out_of_range_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        LiteFocusConfig(**fields)


def test_wrong_arguments_are_named():
    query, key, value = random_inputs(1, 5, 2, 1, 4)
    config = LiteFocusConfig()
    with pytest.raises(ValueError, match="10 tokens, which is not a multiple of num_frequencies = 4"):
        litefocus_attention(query, key, value, num_frequencies=4, config=config)
    with pytest.raises(ValueError, match="neither cross_indices nor key_rng"):
        litefocus_attention(query, key, value, num_frequencies=2, config=config)
    with pytest.raises(ValueError, match="expected one shape"):
        litefocus_attention(query, key[:, :4], value, num_frequencies=2, config=config)
    indices = jnp.array([[0, 1]])
    with pytest.raises(ValueError, match=r"cross_indices has shape \(1, 2\)"):
        litefocus_attention(query, key, value, num_frequencies=2, config=config, cross_indices=indices)
