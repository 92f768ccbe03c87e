"""LiteFocus against full attention under an explicit mask, which is its definition."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.ops.litefocus.attention import litefocus_attention, sample_cross_indices
from litefocus_jax.ops.litefocus.settings import PUBLISHED_TRAINING_LENGTH_IN_S, LiteFocusConfig
from litefocus_jax.system.platform import platform_named, targeting

SHAPES = [(2, 7, 4, 3, 8), (2, 75, 2, 2, 4), (1, 5, 1, 2, 4)]  # batch, times, frequencies, heads, dim


def random_inputs(batch, times, frequencies, heads, head_dim):
    rngs = jax.random.split(jax.random.key(0), 3)
    return [jax.random.normal(rng, (batch, times * frequencies, heads, head_dim)) for rng in rngs]


def key_counts(tokens, frequencies, config, cross_indices):
    """How often each query (row) attends to each key (column)."""
    counts = np.zeros((tokens, tokens))
    if config.same_frequency:
        positions = np.arange(tokens) % frequencies
        same = positions[:, None] == positions[None, :]
        block = np.arange(tokens) // frequencies // (config.window_in_frames or tokens)
        counts += same & (np.abs(block[:, None] - block[None, :]) <= 1)
    if config.samples_tokens:
        counts[:, np.asarray(cross_indices)] += 1
    return np.minimum(counts, 1) if config.overlap == "union" else counts


def masked_attention(inputs, counts, factor=1.0):
    """Full attention, each key counted as often as told, and the scores of each query multiplied by a factor."""
    query, key, value = inputs
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(query.shape[-1])
    scores = scores * np.broadcast_to(factor, len(counts))[:, None]
    weights = jnp.exp(scores - scores.max(axis=-1, keepdims=True)) * counts[None, None]
    return jnp.einsum("bhqk,bkhd->bqhd", weights / weights.sum(axis=-1, keepdims=True), value)


CONFIGS = [
    LiteFocusConfig(sparse_ratio=ratio, overlap=overlap)
    for ratio in (0.0, 0.1, 0.6, 1.0)
    for overlap in ("concat", "union")
] + [LiteFocusConfig(cross_frequency=False), LiteFocusConfig(same_frequency=False, sparse_ratio=0.5)]


def assert_equals_masked_attention(shape, config, training_keys=None):
    """Forward and gradient of LiteFocus are those of its definition."""
    _, times, frequencies, _, _ = shape
    inputs, tokens = random_inputs(*shape), times * frequencies
    cross_indices = sample_cross_indices(jax.random.key(1), tokens, config)
    counts = key_counts(tokens, frequencies, config, cross_indices)
    factor = np.sqrt(np.log(counts.sum(axis=1)) / math.log(training_keys)) if training_keys else 1.0
    cotangent = jax.random.normal(jax.random.key(2), inputs[0].shape)

    def sparse(inputs):
        return litefocus_attention(
            *inputs,
            num_frequencies=frequencies,
            config=config,
            cross_indices=cross_indices,
            training_keys=training_keys,
        )

    def with_gradient(attend):
        mixed, pull_back = jax.vjp(attend, inputs)
        return mixed, *pull_back(cotangent)[0]

    actual = jax.jit(with_gradient, static_argnums=0)(sparse)
    expected = jax.jit(with_gradient, static_argnums=0)(lambda inputs: masked_attention(inputs, counts, factor))
    for ours, theirs, tolerance in zip(actual, expected, (2e-6, 1e-5, 1e-5, 1e-5), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


@pytest.mark.parametrize("config", CONFIGS, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_gradient_equal_masked_full_attention(shape, config):
    assert_equals_masked_attention(shape, config)


FOCUS_SETS = {
    "same frequency": LiteFocusConfig(cross_frequency=False),
    "concat": LiteFocusConfig(sparse_ratio=0.4, max_cross_tokens=9),
    "union": LiteFocusConfig(sparse_ratio=0.4, overlap="union"),
}


@pytest.mark.parametrize("focus", FOCUS_SETS)
@pytest.mark.parametrize(
    ("shape", "window", "tile_rows"),
    [
        ((2, 7, 4, 3, 8), 2, 256),  # one tile of four blocks, the last of them cut short
        ((2, 23, 3, 2, 4), 3, 6),  # four tiles of two blocks
        ((1, 31, 2, 1, 4), 5, 2),  # blocks cut into three tiles, the last row of which is padding
        ((2, 12, 1, 2, 4), 4, 256),  # whole blocks
        ((1, 29, 2, 1, 4), 3, 12),  # ten blocks in tiles of four: the last two see nothing but padding
        ((2, 9, 2, 1, 4), 5, 256),  # two blocks: every query sees all times
    ],
)
def test_windowed_forward_and_gradient_equal_masked_full_attention(shape, window, tile_rows, focus):
    with targeting(dataclasses.replace(platform_named("cpu"), head_tile_rows=tile_rows)):
        assert_equals_masked_attention(shape, dataclasses.replace(FOCUS_SETS[focus], window_in_frames=window))


@pytest.mark.parametrize("focus", FOCUS_SETS)
@pytest.mark.parametrize("most_scores", [2**26, 2 * 2 * 3 * (3 * 5 + 27) * 2])
def test_windowed_tiles_on_other_platforms_span_heads_and_frequencies(most_scores, focus):
    with targeting(dataclasses.replace(platform_named("tpu"), tile_scores=most_scores)):
        assert_equals_masked_attention((2, 21, 3, 2, 4), dataclasses.replace(FOCUS_SETS[focus], window_in_frames=5))


def test_a_window_has_no_say_in_cross_frequency_focus():
    shape, config = (2, 7, 4, 3, 8), LiteFocusConfig(same_frequency=False, sparse_ratio=0.5, window_in_frames=2)
    assert_equals_masked_attention(shape, config)


SCALED = {
    "both sets": LiteFocusConfig(sparse_ratio=0.4),
    "union": LiteFocusConfig(sparse_ratio=0.4, overlap="union"),
    "cross frequency": LiteFocusConfig(same_frequency=False, sparse_ratio=0.4),
    "window": LiteFocusConfig(sparse_ratio=0.4, window_in_frames=2),
    "window, union": LiteFocusConfig(sparse_ratio=0.4, overlap="union", window_in_frames=2),
}


@pytest.mark.parametrize("config", SCALED.values(), ids=SCALED)
def test_scores_are_scaled_by_the_logarithm_of_the_keys_that_each_query_sees(config):
    config = dataclasses.replace(config, scale_scores=True)
    assert_equals_masked_attention((2, 7, 4, 3, 8), config, training_keys=12)


@pytest.mark.parametrize("differentiate", [False, True])
def test_windowed_memory_grows_with_the_length_and_not_with_its_square(differentiate):
    config = LiteFocusConfig(window_in_frames=64, max_cross_tokens=32)

    def bytes_per_token(times):
        inputs = [jax.ShapeDtypeStruct((1, times * 2, 2, 8), jnp.float32)] * 3

        def attend(query, key, value):
            mixed = litefocus_attention(
                query, key, value, num_frequencies=2, config=config, cross_indices=jnp.arange(32)
            )
            return jnp.sum(jnp.square(mixed))

        function = jax.grad(attend, argnums=(0, 1, 2)) if differentiate else attend
        memory = jax.jit(function).lower(*inputs).compile().memory_analysis()
        assert memory is not None
        return memory.temp_size_in_bytes / times

    assert bytes_per_token(16384) < 1.1 * bytes_per_token(4096)


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


def test_a_cap_bounds_the_tokens_that_are_drawn():
    config = LiteFocusConfig(max_cross_tokens=7)
    assert len(sample_cross_indices(jax.random.key(0), 400, config)) == 7
    uncapped = dataclasses.replace(config, max_cross_tokens=None)
    np.testing.assert_array_equal(
        sample_cross_indices(jax.random.key(0), 50, config), sample_cross_indices(jax.random.key(0), 50, uncapped)
    )


def test_a_window_in_seconds_becomes_frames_that_every_level_halves():
    config = LiteFocusConfig(window_in_s=10.0).in_frames(0.04)
    assert config == LiteFocusConfig(window_in_frames=250)
    assert [config.at_level(level).window_in_frames for level in range(4)] == [250, 125, 63, 32]
    assert LiteFocusConfig(window_in_s=0.001).in_frames(0.04).window_in_frames == 1
    assert LiteFocusConfig().in_frames(0.04).at_level(2) == LiteFocusConfig()


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
    chosen = [LiteFocusConfig.for_duration(seconds) for seconds in (10, 20, 40, 80)]
    assert chosen == [None, LiteFocusConfig(), LiteFocusConfig(), LiteFocusConfig(cross_frequency=False)]


def test_duration_counts_in_training_lengths():
    choose = functools.partial(LiteFocusConfig.for_duration, training_length_in_s=2.0)
    assert choose(2.99) is None
    assert choose(3.0) == choose(11.99) == LiteFocusConfig()
    assert choose(12.0) == choose(23.99) == LiteFocusConfig(cross_frequency=False)
    assert choose(24.0) == LiteFocusConfig.linear(2.0)


@pytest.mark.parametrize("wrong", [0.0, -1.0, float("nan"), float("inf")])
def test_a_duration_that_is_none_is_an_error(wrong):
    with pytest.raises(ValueError, match=f"^seconds = {wrong}; expected a positive, finite duration"):
        LiteFocusConfig.for_duration(wrong)
    with pytest.raises(ValueError, match=f"training_length_in_s = {wrong}; expected a positive, finite duration"):
        LiteFocusConfig.for_duration(10.0, wrong)


def test_beyond_the_paper_duration_chooses_linear_cost():
    config = LiteFocusConfig.for_duration(160)
    assert config is not None
    assert config == LiteFocusConfig.linear()
    assert config.levels == "all"
    assert config.samples_tokens
    assert config.window_in_s == PUBLISHED_TRAINING_LENGTH_IN_S
    assert LiteFocusConfig.linear(2.56).window_in_s == 2.56
    assert config.max_cross_tokens is not None


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
        ({"levels": "some"}, "or 'all'"),
        ({"max_cross_tokens": 0}, "max_cross_tokens = 0"),
        ({"max_cross_tokens": 2.0}, "max_cross_tokens = 2.0; expected a whole number"),
        ({"window_in_frames": 0}, "window_in_frames = 0"),
        ({"window_in_s": 0.0}, "window_in_s = 0.0"),
        ({"window_in_s": float("inf")}, "window_in_s = inf"),
        ({"window_in_s": 1.0, "window_in_frames": 25}, "both given"),
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
    with pytest.raises(ValueError, match=r"window_in_s = 1.0, but attention knows frames alone"):
        litefocus_attention(query, key, value, num_frequencies=2, config=LiteFocusConfig(window_in_s=1.0))
    scaled = LiteFocusConfig(cross_frequency=False, scale_scores=True)
    with pytest.raises(ValueError, match="training_keys is not given"):
        litefocus_attention(query, key, value, num_frequencies=2, config=scaled)
    with pytest.raises(ValueError, match="training_keys = 1; expected at least 2"):
        litefocus_attention(query, key, value, num_frequencies=2, config=scaled, training_keys=1)
