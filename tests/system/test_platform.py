"""Programs compiled for little memory: the results of `jax.jit`, in less room."""

import functools

import jax
import jax.numpy as jnp
import pytest

from litefocus_jax.system import platform as memory
from litefocus_jax.system.platform import LowMemoryJit

SQUARE = jnp.ones((256, 256))


def sums(x: jax.Array, count: int) -> jax.Array:
    """Many large arrays that could all be made before any of them is used."""
    return jnp.stack([jnp.sum(jnp.sort(jnp.sin(number * x), axis=0)) for number in range(count)])


def temporary_bytes(function) -> int:
    return function.lower(SQUARE, 16).compile().memory_analysis().temp_size_in_bytes


def test_results_are_those_of_jit_in_less_memory():
    plain = jax.jit(sums, static_argnames="count")
    little = LowMemoryJit(sums, static_argnames="count")
    assert jnp.array_equal(little(SQUARE, count=4), plain(SQUARE, count=4))
    if jax.default_backend() == "cpu":
        assert temporary_bytes(little) < temporary_bytes(plain)


def test_such_a_function_can_be_part_of_another():
    little = LowMemoryJit(functools.partial(sums, count=2))
    assert jnp.allclose(jax.jit(lambda x: 2 * little(x))(SQUARE), 2 * little(SQUARE))
    assert jax.eval_shape(little, SQUARE).shape == (2,)


def test_a_request_that_xla_does_not_know_is_dropped(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(memory, "_LITTLE_MEMORY", {"xla_cpu_no_such_option": "1"})
    memory._compiler_options.cache_clear()
    try:
        assert LowMemoryJit(sums, static_argnames="count")(SQUARE, count=2).shape == (2,)
    finally:
        memory._compiler_options.cache_clear()
