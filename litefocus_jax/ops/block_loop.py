"""A loop over the blocks of an array that overwrites each block with its result."""

import functools
from collections.abc import Callable
from typing import Any, cast

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float


def map_in_place(
    function: Callable[[Any, Array, Array], Array],
    shared: Any,
    blocks: Float[Array, " blocks *shape"],
    *,
    groups: int | None = None,
) -> Float[Array, " blocks *shape"]:
    """``lax.map`` whose results take the place of its inputs.

    ``lax.map`` gives every loop an output of its own, which XLA:CPU keeps for the whole program: a network with a
    hundred such loops holds a hundred outputs. Here the loop carries one array from which it reads and to which it
    writes.

    The gradient runs the blocks again, one at a time, so that it keeps nothing of them but the inputs. After every
    block it adds to the gradient of all that the block was given of ``shared``: ``groups`` keeps that small.

    Args:
        function: takes ``shared``, a block and its number, and returns the new block, of the same shape and dtype.
        shared: a pytree that every block sees. All that ``function`` differentiates must be in here, or in the block.
        blocks: the array; it is consumed.
        groups: when given, the arrays of ``shared`` have a first axis of this size, and so many equal runs of blocks
            each see their own entry of it, without that axis.
    """
    return cast(Array, _map_in_place(function, groups, shared, blocks))


@functools.partial(jax.custom_vjp, nondiff_argnums=(0, 1))
def _map_in_place(function: Any, groups: int | None, shared: Any, blocks: Array) -> Array:
    def body(number: Array, blocks: Array) -> Array:
        block = jax.lax.dynamic_index_in_dim(blocks, number, keepdims=False)
        seen = shared
        if groups is not None:
            group = number // (blocks.shape[0] // groups)
            seen = jax.tree.map(lambda array: jax.lax.dynamic_index_in_dim(array, group, keepdims=False), shared)
        return jax.lax.dynamic_update_index_in_dim(blocks, function(seen, block, number), number, axis=0)

    return jax.lax.fori_loop(0, blocks.shape[0], body, blocks)


def _forward(function: Any, groups: int | None, shared: Any, blocks: Array) -> tuple[Array, tuple[Any, Array]]:
    return cast(Array, _map_in_place(function, groups, shared, blocks)), (shared, blocks)


def _backward(function: Any, groups: int | None, residuals: tuple[Any, Array], cotangents: Array) -> tuple[Any, Array]:
    shared, blocks = residuals
    numbers = jnp.arange(blocks.shape[0])

    def map_run(seen: Any, blocks: Array, numbers: Array) -> Array:
        recomputed = jax.checkpoint(lambda block, number: function(seen, block, number))
        return jax.lax.map(lambda block_and_number: recomputed(*block_and_number), (blocks, numbers))

    def mapped(shared: Any, blocks: Array) -> Array:
        if groups is None:
            return map_run(shared, blocks, numbers)
        runs = (blocks.reshape(groups, -1, *blocks.shape[1:]), numbers.reshape(groups, -1))
        results = jax.lax.map(lambda run: map_run(*run), (shared, *runs))
        return results.reshape(blocks.shape)

    return jax.vjp(mapped, shared, blocks)[1](cotangents)


_map_in_place.defvjp(_forward, _backward)
