"""Layers that are worked through in blocks give what they would give at once."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from litefocus_jax.models import layers
from litefocus_jax.ops.convolution import convolve_winograd
from litefocus_jax.system.platform import platform_named, targeting
from tests.support.programs import LOOPS, primitives_of


def test_feed_forward_in_blocks_equals_one_block() -> None:
    feed_forward = layers.FeedForward(8, rngs=nnx.Rngs(0))
    x = jax.random.normal(jax.random.key(0), (2, 37, 8))

    def loss(x: jax.Array) -> jax.Array:
        return jnp.sum(feed_forward(x) ** 2)

    whole, gradient = feed_forward(x), jax.grad(loss)(x)
    with targeting(dataclasses.replace(platform_named("cpu"), hidden_floats=10 * feed_forward.proj_in.out_features)):
        assert LOOPS & primitives_of(feed_forward, x), "ten tokens to a block must make a loop"
        np.testing.assert_allclose(feed_forward(x), whole, atol=1e-5)
        np.testing.assert_allclose(jax.grad(loss)(x), gradient, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shape", [(1, 50, 4, 3), (2, 33, 5, 3)])
def test_winograd_convolution_in_blocks_equals_one_block(shape: tuple[int, ...]) -> None:
    x, kernel = (jax.random.normal(jax.random.key(n), s) for n, s in enumerate((shape, (3, 3, 3, 2))))
    whole = convolve_winograd(x, kernel)
    np.testing.assert_allclose(convolve_winograd(x, kernel, block_positions=48), whole, atol=1e-5)
