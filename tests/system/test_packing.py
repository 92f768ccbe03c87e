"""Networks as flat tuples of their arrays."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from litefocus_jax.system.packing import Packed


def layer(seed: int, features: int = 3) -> nnx.Linear:
    return nnx.Linear(3, features, rngs=nnx.Rngs(seed))


def test_a_packed_network_computes_what_the_network_does() -> None:
    x = jnp.arange(3.0)
    packed = jax.jit(lambda packed, x: packed.whole(x))(Packed(layer(0)), x)
    np.testing.assert_array_equal(packed, jax.jit(lambda network, x: network(x))(layer(0), x))


def test_networks_of_one_shape_share_a_program_and_others_do_not() -> None:
    traces = 0

    @jax.jit
    def call(packed: Packed[Any], x: jax.Array) -> jax.Array:
        nonlocal traces
        traces += 1
        return packed.whole(x)

    outputs = [call(Packed(layer(seed)), jnp.ones(3)) for seed in (0, 1)]
    assert traces == 1
    assert not np.array_equal(*outputs)
    call(Packed(layer(0, features=4)), jnp.ones(3))
    assert traces == 2


def test_it_can_be_mapped_like_any_tree() -> None:
    shapes = jax.tree.map(lambda array: jax.ShapeDtypeStruct(array.shape, jnp.bfloat16), Packed(layer(0)))
    assert jax.eval_shape(lambda packed: packed.whole.kernel[...], shapes).dtype == jnp.bfloat16
