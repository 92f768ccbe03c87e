"""Every back end that runs here gives the same attention, and its gradient."""

import dataclasses
import functools
import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.ops import attention
from litefocus_jax.ops.attention import dot_product_attention
from litefocus_jax.system.platform import platform_named, targeting
from tests.support.programs import LOOPS, primitives_of

SHAPES = [(2, 7, 5, 3, 8), (1, 300, 70, 2, 4), (2, 600, 1, 1, 16)]  # batch, queries, keys, heads, head_dim


def random_inputs(batch=2, queries=9, keys=6, heads=3, head_dim=8, dtype=jnp.float32):
    rngs = jax.random.split(jax.random.key(0), 3)
    shapes = [(batch, queries, heads, head_dim)] + [(batch, keys, heads, head_dim)] * 2
    return [jax.random.normal(rng, shape, dtype) for rng, shape in zip(rngs, shapes, strict=True)]


def expected_attention(inputs, key_mask=None):
    """In float64, one batch entry and head at a time."""
    query, key, value = (np.asarray(array, np.float64) for array in inputs)
    result = np.empty(query.shape)
    for entry, head in itertools.product(range(query.shape[0]), range(query.shape[2])):
        scores = query[entry, :, head] @ key[entry, :, head].T / np.sqrt(query.shape[-1])
        if key_mask is not None:
            scores[:, ~np.asarray(key_mask[entry])] = -np.inf
        weights = np.exp(scores - scores.max(axis=-1, keepdims=True))
        result[entry, :, head] = weights / weights.sum(axis=-1, keepdims=True) @ value[entry, :, head]
    return result


@pytest.mark.parametrize("backend", ["plain", "tiled", "auto"])
@pytest.mark.parametrize("shape", SHAPES)
def test_back_ends_agree_with_float64(shape, backend):
    inputs = random_inputs(*shape)
    actual = dot_product_attention(*inputs, backend=backend)
    np.testing.assert_allclose(actual, expected_attention(inputs), atol=2e-6)


@pytest.mark.parametrize("backend", ["plain", "tiled"])
def test_masked_keys_are_not_attended_to(backend):
    inputs = random_inputs(keys=6)
    key_mask = jnp.array([[True, False, True, True, False, True], [False] * 5 + [True]])
    actual = dot_product_attention(*inputs, key_mask=key_mask, backend=backend)
    np.testing.assert_allclose(actual, expected_attention(inputs, key_mask), atol=2e-6)


@pytest.mark.parametrize("backend", ["plain", "tiled"])
def test_key_lengths_are_a_mask_of_the_first_keys(backend):
    inputs = random_inputs(keys=6)
    key_mask = jnp.arange(6)[None, :] < jnp.array([[2], [6]])
    actual = dot_product_attention(*inputs, key_lengths=jnp.array([2, 6]), backend=backend)
    np.testing.assert_array_equal(actual, dot_product_attention(*inputs, key_mask=key_mask, backend=backend))


@pytest.mark.parametrize("backend", ["plain", "tiled"])
def test_an_entry_without_keys_gives_finite_numbers(backend):
    query, key, value = random_inputs(batch=1, keys=4)
    actual = dot_product_attention(query, key, value, key_mask=jnp.zeros((1, 4), bool), backend=backend)
    np.testing.assert_allclose(actual, jnp.broadcast_to(value.mean(axis=1, keepdims=True), actual.shape), atol=1e-6)


def test_scores_far_from_zero_do_not_overflow():
    query, key, value = random_inputs()
    actual = dot_product_attention(query * 1e4, key * 1e4, value, backend="tiled")
    assert jnp.isfinite(actual).all()


@pytest.mark.parametrize("masked", [False, True])
def test_tiled_gradient_equals_plain_gradient(masked):
    inputs = random_inputs(2, 300, 70, 2, 4)
    key_mask = (jnp.arange(70)[None, :] % jnp.array([[2], [3]]) == 0) if masked else None
    weights = jax.random.normal(jax.random.key(1), inputs[0].shape)

    def gradients(backend):
        def loss(*inputs):
            return jnp.sum(weights * dot_product_attention(*inputs, key_mask=key_mask, backend=backend))

        return jax.grad(loss, argnums=(0, 1, 2))(*inputs)

    for actual, expected in zip(gradients("tiled"), gradients("plain"), strict=True):
        np.testing.assert_allclose(actual, expected, atol=5e-6)


@pytest.mark.parametrize("differentiate", [False, True])
def test_tiled_memory_does_not_hold_the_score_matrix(differentiate):
    tokens, heads = 4096, 4
    query = jax.ShapeDtypeStruct((1, tokens, heads, 8), jnp.float32)

    def function(query, key, value):
        return jnp.sum(jnp.square(dot_product_attention(query, key, value, backend="tiled")))

    compiled = jax.jit(jax.grad(function) if differentiate else function).lower(query, query, query).compile()
    memory = compiled.memory_analysis()
    assert memory is not None
    assert memory.temp_size_in_bytes < 4 * heads * tokens**2 / 8


def test_tiles_on_other_platforms_span_all_heads():
    inputs = random_inputs(2, 50, 40, 3, 8)
    with targeting(dataclasses.replace(platform_named("tpu"), tile_scores=2 * 3 * 40 * 7)):
        actual = dot_product_attention(*inputs, key_lengths=jnp.array([40, 3]), backend="tiled")
    np.testing.assert_allclose(actual, expected_attention(inputs, jnp.arange(40) < np.array([[40], [3]])), atol=2e-6)


@pytest.mark.parametrize("backend", ["plain", "tiled"])
def test_bfloat16_comes_back_as_bfloat16(backend):
    inputs = random_inputs(keys=70, dtype=jnp.bfloat16)
    actual = dot_product_attention(*inputs, backend=backend)
    assert actual.dtype == jnp.bfloat16
    np.testing.assert_allclose(np.asarray(actual, np.float32), expected_attention(inputs), atol=0.02)


def test_half_precision_on_an_nvidia_gpu_is_left_to_cudnn():
    query, key, _ = random_inputs(keys=100, dtype=jnp.bfloat16)
    with targeting(platform_named("gpu", gpu_generation=9)):
        assert attention.choose_backend(query, key, masked=False) == "cudnn"
        assert attention.choose_backend(query, key, masked=True) == "plain"
        assert attention.choose_backend(query.astype(jnp.float32), key, masked=False) == "plain"
    with targeting(platform_named("gpu", gpu_generation=7)):
        assert attention.choose_backend(query, key, masked=False) == "plain"


@pytest.mark.parametrize(("queries", "keys"), [(6, 4), (7, 5)])
def test_cudnn_is_given_even_lengths(monkeypatch, queries, keys):
    inputs, fused = random_inputs(queries=queries, keys=keys), jax.nn.dot_product_attention

    def stand_in(query, key, *others, implementation, **options):
        assert implementation == "cudnn"
        assert query.shape[1] % 2 == key.shape[1] % 2 == 0
        return fused(query, key, *others, implementation="xla", **options)

    monkeypatch.setattr(jax.nn, "dot_product_attention", stand_in)
    for lengths in (None, jnp.array([2, keys])):
        actual = dot_product_attention(*inputs, key_lengths=lengths, backend="cudnn")
        expected = dot_product_attention(*inputs, key_lengths=lengths, backend="plain")
        np.testing.assert_allclose(actual, expected, atol=2e-6)


def test_the_environment_variable_replaces_the_automatic_choice(monkeypatch):
    inputs = random_inputs(keys=4)
    monkeypatch.setenv(attention.ENVIRONMENT_VARIABLE, "tiled")
    assert LOOPS & primitives_of(dot_product_attention, *inputs)
    assert not LOOPS & primitives_of(functools.partial(dot_product_attention, backend="plain"), *inputs)
    monkeypatch.setenv(attention.ENVIRONMENT_VARIABLE, "fast")
    with pytest.raises(ValueError, match="LITEFOCUS_ATTENTION = 'fast'"):
        dot_product_attention(*inputs)


def test_wrong_arguments_are_named():
    query, key, value = random_inputs(keys=6)
    with pytest.raises(ValueError, match=r"value has shape \(2, 5, 3, 8\); expected \(2, 6, 3, 8\)"):
        dot_product_attention(query, key, value[:, :5])
    with pytest.raises(ValueError, match=r"query has shape \(9, 3, 8\)"):
        dot_product_attention(query[0], key, value)
    with pytest.raises(ValueError, match=r"key_mask is float32\(2, 6\); expected bool"):
        dot_product_attention(query, key, value, key_mask=jnp.ones((2, 6)))
    with pytest.raises(ValueError, match="both given"):
        dot_product_attention(query, key, value, key_mask=jnp.ones((2, 6), bool), key_lengths=jnp.array([1, 2]))
    with pytest.raises(ValueError, match="takes no key_mask"):
        dot_product_attention(query, key, value, key_mask=jnp.ones((2, 6), bool), backend="cudnn")
    with pytest.raises(ValueError, match="backend = 'flash'"):
        dot_product_attention(query, key, value, backend="flash")  # pyright: ignore[reportArgumentType]
