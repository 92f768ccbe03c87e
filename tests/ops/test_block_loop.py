"""The loop that overwrites its blocks equals ``lax.map``, in value and in gradient."""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np

from litefocus_jax.ops.block_loop import map_in_place


def _mix(shared: dict, block: jax.Array, number: jax.Array) -> jax.Array:
    return jnp.tanh(block @ shared["kernel"]) * (1 + number)


def _inputs() -> tuple[dict, jax.Array]:
    keys = jax.random.split(jax.random.key(0))
    return {"kernel": jax.random.normal(keys[0], (4, 4))}, jax.random.normal(keys[1], (3, 5, 4))


def _mapped(shared: dict, blocks: jax.Array) -> jax.Array:
    return jax.lax.map(lambda pair: _mix(shared, *pair), (blocks, jnp.arange(len(blocks))))


def test_results_are_those_of_map() -> None:
    shared, blocks = _inputs()
    np.testing.assert_allclose(map_in_place(_mix, shared, blocks), _mapped(shared, blocks), rtol=1e-6)


def test_gradients_reach_the_blocks_and_what_they_share() -> None:
    gradients = [
        jax.grad(lambda shared, blocks, run=run: jnp.sum(run(shared, blocks) ** 2), argnums=(0, 1))(*_inputs())
        for run in (lambda shared, blocks: map_in_place(_mix, shared, blocks), _mapped)
    ]
    jax.tree.map(lambda ours, expected: np.testing.assert_allclose(ours, expected, rtol=1e-5, atol=1e-6), *gradients)


@jax.enable_x64(True)  # sums in another order differ by rounding alone, and that is no measure of a loop
def test_equal_runs_of_blocks_see_their_own_entries_in_value_and_gradient() -> None:
    keys = jax.random.split(jax.random.key(0))
    shared = {"kernel": jax.random.normal(keys[0], (2, 4, 4))}
    blocks = jax.random.normal(keys[1], (6, 5, 4))

    def one_by_one(shared: dict, blocks: jax.Array) -> jax.Array:
        return jnp.stack([_mix({"kernel": shared["kernel"][n // 3]}, blocks[n], jnp.int32(n)) for n in range(6)])

    def with_gradient(run: Callable[[dict, jax.Array], jax.Array]) -> tuple:
        mapped, pull_back = jax.vjp(run, shared, blocks)
        return mapped, pull_back(jnp.cos(mapped))

    results = [with_gradient(run) for run in (functools.partial(map_in_place, _mix, groups=2), one_by_one)]
    jax.tree.map(lambda ours, expected: np.testing.assert_allclose(ours, expected, rtol=1e-12, atol=1e-12), *results)


def test_memory_does_not_grow_with_the_number_of_loops() -> None:
    def temporary_bytes(loops: int) -> int:
        def run(shared: dict, blocks: jax.Array) -> jax.Array:
            for _ in range(loops):
                blocks = map_in_place(_mix, shared, jnp.sin(blocks))
            return blocks

        shared, _ = _inputs()
        compiled = jax.jit(run).lower(shared, jax.ShapeDtypeStruct((64, 256, 4), jnp.float32)).compile()
        analysis = compiled.memory_analysis()
        assert analysis is not None
        return analysis.temp_size_in_bytes

    assert temporary_bytes(8) < 2 * temporary_bytes(2)
