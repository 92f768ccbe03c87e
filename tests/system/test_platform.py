"""Programs for the platform at hand or for another one, and in little memory with the results of `jax.jit`."""

import contextlib
import dataclasses
import functools

import jax
import jax.numpy as jnp
import pytest

from litefocus_jax.system.platform import LowMemoryJit, current_platform, platform_named, targeting

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


def test_a_request_that_xla_does_not_know_is_dropped():
    unknown = dataclasses.replace(platform_named("cpu"), little_memory_options=(("xla_cpu_no_such_option", "1"),))
    with targeting(unknown):
        assert LowMemoryJit(sums, static_argnames="count")(SQUARE, count=2).shape == (2,)


def test_the_platform_at_hand_is_the_one_that_jax_runs_on():
    assert current_platform().name == jax.default_backend()


def test_programs_are_made_for_the_target_and_only_within_its_context():
    def ask_platform(x: jax.Array) -> jax.Array:
        return jnp.full_like(x, current_platform().longest_call_in_steps)

    at_hand = current_platform()
    other = dataclasses.replace(at_hand, longest_call_in_steps=77)
    for ask in (jax.jit(ask_platform), jax.jit(jax.jit(ask_platform)), LowMemoryJit(ask_platform)):
        x, answers = jnp.zeros(()), []
        for context in (contextlib.nullcontext(), targeting(other), contextlib.nullcontext()):
            with context:
                answers.append(int(ask(x)))
        assert answers == [at_hand.longest_call_in_steps, 77, at_hand.longest_call_in_steps]


def test_a_target_is_left_by_an_error_too_and_may_lie_within_another():
    with targeting(platform_named("tpu")):
        with targeting(platform_named("gpu", gpu_generation=9)):
            assert current_platform() == platform_named("gpu", gpu_generation=9)
        with pytest.raises(ZeroDivisionError), targeting(platform_named("gpu")):
            divmod(1, 0)
        assert current_platform() == platform_named("tpu")
    assert current_platform().name == jax.default_backend()
