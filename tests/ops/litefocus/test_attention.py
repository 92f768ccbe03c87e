"""LiteFocus against full attention under an explicit mask, which is its definition."""

import dataclasses
import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.ops.litefocus.attention import litefocus_attention, sample_cross_indices
from litefocus_jax.ops.litefocus.layout import AttentionLayout, FocusSets
from litefocus_jax.ops.litefocus.near import DrawnTokens
from litefocus_jax.ops.litefocus.scores import keys_per_query, scale_queries
from litefocus_jax.ops.litefocus.settings import PUBLISHED_TRAINING_LENGTH_IN_S, FromLength, LiteFocusConfig
from litefocus_jax.system.platform import platform_named, targeting

SHAPES = [(2, 7, 4, 3, 8), (2, 75, 2, 2, 4), (1, 5, 1, 2, 4)]  # batch, times, frequencies, heads, dim


def random_inputs(batch, times, frequencies, heads, head_dim):
    rngs = jax.random.split(jax.random.key(0), 3)
    return [jax.random.normal(rng, (batch, times * frequencies, heads, head_dim)) for rng in rngs]


def key_counts(tokens, frequencies, layout, cross_indices):
    """How often each query (row) attends to each key (column)."""
    counts, sets = np.zeros((tokens, tokens)), layout.sets
    if sets.same_frequency:
        positions = np.arange(tokens) % frequencies
        same = positions[:, None] == positions[None, :]
        block = np.arange(tokens) // frequencies // (layout.reach or tokens)
        counts += same & (np.abs(block[:, None] - block[None, :]) <= 1)
    if sets.samples_tokens:
        counts[:, np.asarray(cross_indices)] += 1
    return np.minimum(counts, 1) if sets.overlap == "union" else counts


def masked_attention(inputs, counts, factor=1.0):
    """Full attention, each key counted as often as told, and the scores of each query multiplied by a factor."""
    query, key, value = inputs
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key) / np.sqrt(query.shape[-1])
    scores = scores * np.broadcast_to(factor, len(counts))[:, None]
    weights = jnp.exp(scores - scores.max(axis=-1, keepdims=True)) * counts[None, None]
    return jnp.einsum("bhqk,bkhd->bqhd", weights / weights.sum(axis=-1, keepdims=True), value)


SETS = [
    FocusSets(sparse_ratio=ratio, overlap=overlap) for ratio in (0.0, 0.1, 0.6, 1.0) for overlap in ("concat", "union")
] + [FocusSets(cross_frequency=False), FocusSets(same_frequency=False, sparse_ratio=0.5)]


def assert_equals_masked_attention(shape, sets, reach=None, training_keys=None):
    """Forward and gradient of LiteFocus are those of its definition."""
    layout = AttentionLayout(dataclasses.replace(sets, levels=(0,)), reach)
    _, times, frequencies, _, _ = shape
    inputs, tokens = random_inputs(*shape), times * frequencies
    cross_indices = sample_cross_indices(jax.random.key(1), tokens, sets)
    counts = key_counts(tokens, frequencies, layout, cross_indices)
    factor = np.sqrt(np.log(counts.sum(axis=1)) / math.log(training_keys)) if training_keys else 1.0
    cotangent = jax.random.normal(jax.random.key(2), inputs[0].shape)

    def sparse(inputs):
        query, key, value = inputs
        if training_keys is not None:
            drawn = DrawnTokens.at(key, value, cross_indices) if sets.samples_tokens else None
            keys = keys_per_query(layout, 0, drawn, times=times, num_frequencies=frequencies)
            query = scale_queries(query, keys, training_keys)
        return litefocus_attention(
            query, key, value, num_frequencies=frequencies, layout=layout, cross_indices=cross_indices
        )

    def with_gradient(attend):
        mixed, pull_back = jax.vjp(attend, inputs)
        return mixed, *pull_back(cotangent)[0]

    actual = jax.jit(with_gradient, static_argnums=0)(sparse)
    expected = jax.jit(with_gradient, static_argnums=0)(lambda inputs: masked_attention(inputs, counts, factor))
    for ours, theirs, tolerance in zip(actual, expected, (2e-6, 1e-5, 1e-5, 1e-5), strict=True):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


@pytest.mark.parametrize("sets", SETS, ids=str)
@pytest.mark.parametrize("shape", SHAPES)
def test_forward_and_gradient_equal_masked_full_attention(shape, sets):
    assert_equals_masked_attention(shape, sets)


FOCUS_SETS = {
    "same frequency": FocusSets(cross_frequency=False),
    "concat": FocusSets(sparse_ratio=0.4, max_cross_tokens=9),
    "union": FocusSets(sparse_ratio=0.4, overlap="union"),
}


@pytest.mark.parametrize("focus", FOCUS_SETS)
@pytest.mark.parametrize(
    ("shape", "reach", "tile_rows"),
    [
        ((2, 7, 4, 3, 8), 2, 256),  # one tile of four blocks, the last of them cut short
        ((2, 23, 3, 2, 4), 3, 6),  # four tiles of two blocks
        ((1, 31, 2, 1, 4), 5, 2),  # blocks cut into three tiles, the last row of which is padding
        ((2, 12, 1, 2, 4), 4, 256),  # whole blocks
        ((1, 29, 2, 1, 4), 3, 12),  # ten blocks in tiles of four: the last two see nothing but padding
        ((2, 9, 2, 1, 4), 5, 256),  # two blocks: every query sees all times
    ],
)
def test_forward_and_gradient_within_a_reach_equal_masked_full_attention(shape, reach, tile_rows, focus):
    with targeting(dataclasses.replace(platform_named("cpu"), head_tile_rows=tile_rows)):
        assert_equals_masked_attention(shape, FOCUS_SETS[focus], reach)


@pytest.mark.parametrize("focus", FOCUS_SETS)
@pytest.mark.parametrize("most_scores", [2**26, 2 * 2 * 3 * (3 * 5 + 27) * 2])
def test_tiles_within_a_reach_on_other_platforms_span_heads_and_frequencies(most_scores, focus):
    with targeting(dataclasses.replace(platform_named("tpu"), tile_scores=most_scores)):
        assert_equals_masked_attention((2, 21, 3, 2, 4), FOCUS_SETS[focus], reach=5)


def test_a_reach_has_no_say_in_cross_frequency_focus():
    assert_equals_masked_attention((2, 7, 4, 3, 8), FocusSets(same_frequency=False, sparse_ratio=0.5), reach=2)


SCALED = {
    "both sets": (FocusSets(sparse_ratio=0.4), None),
    "union": (FocusSets(sparse_ratio=0.4, overlap="union"), None),
    "cross frequency": (FocusSets(same_frequency=False, sparse_ratio=0.4), None),
    "reach": (FocusSets(sparse_ratio=0.4), 2),
    "reach, union": (FocusSets(sparse_ratio=0.4, overlap="union"), 2),
}


@pytest.mark.parametrize(("sets", "reach"), SCALED.values(), ids=SCALED)
def test_scores_are_scaled_by_the_logarithm_of_the_keys_that_each_query_sees(sets, reach):
    assert_equals_masked_attention((2, 7, 4, 3, 8), sets, reach, training_keys=12)


def test_scores_cannot_be_scaled_against_a_single_key():
    query, _, _ = random_inputs(1, 5, 2, 1, 4)
    with pytest.raises(ValueError, match="training_keys = 1; expected at least 2"):
        scale_queries(query, 10, training_keys=1)


@pytest.mark.parametrize("differentiate", [False, True])
def test_memory_within_a_reach_grows_with_the_length_and_not_with_its_square(differentiate):
    layout = AttentionLayout(FocusSets(max_cross_tokens=32), reach=64)

    def bytes_per_token(times):
        inputs = [jax.ShapeDtypeStruct((1, times * 2, 2, 8), jnp.float32)] * 3

        def attend(query, key, value):
            mixed = litefocus_attention(
                query, key, value, num_frequencies=2, layout=layout, cross_indices=jnp.arange(32)
            )
            return jnp.sum(jnp.square(mixed))

        function = jax.grad(attend, argnums=(0, 1, 2)) if differentiate else attend
        memory = jax.jit(function).lower(*inputs).compile().memory_analysis()
        assert memory is not None
        return memory.temp_size_in_bytes / times

    assert bytes_per_token(16384) < 1.1 * bytes_per_token(4096)


def test_union_of_everything_is_full_attention():
    inputs = random_inputs(2, 6, 4, 3, 8)
    layout = AttentionLayout(FocusSets(sparse_ratio=1.0, overlap="union"))
    actual = litefocus_attention(*inputs, num_frequencies=4, layout=layout, key_rng=jax.random.key(3))
    np.testing.assert_allclose(actual, masked_attention(inputs, np.ones((24, 24))), atol=2e-6)


def test_only_concat_counts_a_shared_key_twice():
    query, key, value = random_inputs(1, 2, 1, 1, 4)
    query = jnp.zeros_like(query)  # every key weighs the same
    results = {
        overlap: litefocus_attention(
            query,
            key,
            value,
            num_frequencies=1,
            layout=AttentionLayout(FocusSets(overlap=overlap)),
            cross_indices=jnp.array([0]),
        )
        for overlap in ("concat", "union")
    }
    np.testing.assert_allclose(results["concat"][:, 0], (2 * value[:, 0] + value[:, 1]) / 3, atol=1e-6)
    np.testing.assert_allclose(results["union"][:, 0], (value[:, 0] + value[:, 1]) / 2, atol=1e-6)


def test_a_key_draws_what_sample_cross_indices_draws():
    inputs, layout, key_rng = random_inputs(1, 20, 2, 1, 4), AttentionLayout(FocusSets()), jax.random.key(5)
    cross_indices = sample_cross_indices(key_rng, 40, FocusSets())
    drawn = litefocus_attention(*inputs, num_frequencies=2, layout=layout, key_rng=key_rng)
    given = litefocus_attention(*inputs, num_frequencies=2, layout=layout, cross_indices=cross_indices)
    np.testing.assert_array_equal(drawn, given)


@pytest.mark.parametrize(
    ("tokens", "ratio", "count"), [(40, 0.1, 4), (45, 0.1, 4), (5, 0.1, 1), (5, 0.0, 0), (5, 1.0, 5)]
)
def test_tokens_are_drawn_without_repetition_and_rounded_down(tokens, ratio, count):
    drawn = sample_cross_indices(jax.random.key(0), tokens, FocusSets(sparse_ratio=ratio))
    assert drawn.dtype == jnp.int32
    assert len(drawn) == len(set(drawn.tolist())) == count
    assert all(0 <= index < tokens for index in drawn.tolist())


def test_a_cap_bounds_the_tokens_that_are_drawn():
    capped = FocusSets(max_cross_tokens=7)
    assert len(sample_cross_indices(jax.random.key(0), 400, capped)) == 7
    uncapped = dataclasses.replace(capped, max_cross_tokens=None)
    np.testing.assert_array_equal(
        sample_cross_indices(jax.random.key(0), 50, capped), sample_cross_indices(jax.random.key(0), 50, uncapped)
    )


def test_a_wish_in_seconds_becomes_a_layout_in_frames_that_every_level_halves():
    layout = LiteFocusConfig(reach_in_s=10.0, overlap="union").layout(0.04)
    assert layout == AttentionLayout(FocusSets(overlap="union"), reach=250)
    assert [layout.reach_at(level) for level in range(4)] == [250, 125, 63, 32]
    assert LiteFocusConfig(reach_in_s=0.001).layout(0.04).reach == 1
    assert LiteFocusConfig().layout(0.04, scale_scores=True) == AttentionLayout(FocusSets(), scale_scores=True)


def test_wishes_that_come_to_the_same_frames_are_one_layout_and_so_one_program():
    assert LiteFocusConfig(reach_in_s=10.0).layout(0.04) == LiteFocusConfig(reach_in_s=10.01).layout(0.04)
    assert hash(LiteFocusConfig(reach_in_s=10.0).layout(0.04)) == hash(LiteFocusConfig(reach_in_s=10.01).layout(0.04))


def test_a_layout_is_sparse_at_the_levels_that_it_names():
    assert [AttentionLayout(FocusSets(levels=(1, 3))).sets_at(level) is None for level in range(4)] == [1, 0, 1, 0]
    assert all(AttentionLayout(FocusSets(levels="all")).sets_at(level) for level in range(4))
    assert not any(AttentionLayout().sets_at(level) for level in range(4))


@pytest.mark.parametrize("overlap", ["concat", "union"])
def test_cross_indices_may_be_traced(overlap):
    inputs, layout, traces = random_inputs(1, 6, 2, 1, 4), AttentionLayout(FocusSets(overlap=overlap)), []

    @jax.jit
    def attend(cross_indices):
        traces.append(cross_indices.shape)
        return litefocus_attention(*inputs, num_frequencies=2, layout=layout, cross_indices=cross_indices)

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


def test_a_model_may_say_what_is_chosen_from_which_length_on():
    steps = (FromLength(4.0, "cross_frequency", 0.2), FromLength(8.0, "both", 0.3), FromLength(9.0, "same_frequency"))
    choose = functools.partial(LiteFocusConfig.for_duration, training_length_in_s=2.0, by_length=steps)
    assert choose(7.99) is None
    assert choose(8.0) == choose(15.99) == LiteFocusConfig(same_frequency=False, sparse_ratio=0.2)
    assert choose(16.0) == LiteFocusConfig(sparse_ratio=0.3)
    assert choose(1000.0) == LiteFocusConfig(cross_frequency=False)
    assert LiteFocusConfig.for_duration(1000.0, by_length=()) is None


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
    assert config.reach_in_s == PUBLISHED_TRAINING_LENGTH_IN_S
    assert LiteFocusConfig.linear(2.56).reach_in_s == 2.56
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
        ({"levels": ()}, "expected a tuple of levels"),
        ({"levels": [1]}, "expected a tuple"),
        ({"levels": (1, 1)}, "distinct"),
        ({"levels": (-1,)}, "whole numbers from 0"),
        ({"levels": "some"}, "or 'all'"),
        ({"max_cross_tokens": 0}, "max_cross_tokens = 0"),
        ({"max_cross_tokens": 2.0}, "max_cross_tokens = 2.0; expected a whole number"),
        ({"reach_in_s": 0.0}, "reach_in_s = 0.0"),
        ({"reach_in_s": float("inf")}, "reach_in_s = inf"),
    ],
)
def test_a_setting_out_of_range_is_named(fields, message):
    with pytest.raises(ValueError, match=message):
        LiteFocusConfig(**fields)


@pytest.mark.parametrize("reach", [0, 2.5, True])
def test_a_reach_in_frames_is_a_whole_number(reach):
    with pytest.raises(ValueError, match=f"reach = {reach}; expected a whole number"):
        AttentionLayout(FocusSets(), reach)
    with pytest.raises(ValueError, match="dense attention has no reach"):
        AttentionLayout(reach=2)


def test_wrong_arguments_are_named():
    query, key, value = random_inputs(1, 5, 2, 1, 4)
    layout = AttentionLayout(FocusSets())
    with pytest.raises(ValueError, match="10 tokens, which is not a multiple of num_frequencies = 4"):
        litefocus_attention(query, key, value, num_frequencies=4, layout=layout)
    with pytest.raises(ValueError, match="neither cross_indices nor key_rng"):
        litefocus_attention(query, key, value, num_frequencies=2, layout=layout)
    with pytest.raises(ValueError, match="expected one shape"):
        litefocus_attention(query, key[:, :4], value, num_frequencies=2, layout=layout)
    indices = jnp.array([[0, 1]])
    with pytest.raises(ValueError, match=r"cross_indices has shape \(1, 2\)"):
        litefocus_attention(query, key, value, num_frequencies=2, layout=layout, cross_indices=indices)
    with pytest.raises(ValueError, match="layout is dense; expected sets"):
        litefocus_attention(query, key, value, num_frequencies=2, layout=AttentionLayout())
