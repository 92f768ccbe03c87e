"""What all trainings of the recipe share: how weights are moved, and for how long."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples.foley.parts.budgets import DecoderBudget
from examples.foley.parts.learner import begin, learn
from examples.foley.parts.optimiser import optimiser
from tests.support.foley import BUDGET


def test_an_orthogonal_update_moves_all_directions_of_a_kernel_alike():
    generator = np.random.default_rng(0)
    weights = {"kernel": jnp.zeros((3, 8, 6)), "bias": jnp.zeros(6), "one_channel": jnp.zeros((3, 8, 1))}
    gradients = jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape), jnp.float32), weights)
    gradients["kernel"] *= jnp.array([100.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    transformation = optimiser(100, 1e-2, orthogonal=True)
    changed = learn(begin(weights, transformation), gradients, transformation).weights
    stretches = np.linalg.svd(np.asarray(changed["kernel"]).reshape(24, 6), compute_uv=False)
    assert stretches.max() < 2.0 * stretches.min()
    # The first change of AdamW is as long for every number, and against its gradient.
    for name in ("bias", "one_channel"):
        lengths = -np.asarray(changed[name] * jnp.sign(gradients[name]))
        np.testing.assert_allclose(lengths, lengths.max(), rtol=1e-3)
        assert lengths.max() > 0.0


def test_an_orthogonal_update_of_one_array_does_not_depend_on_the_gradient_of_another():
    weights = {"kernel": jnp.ones((3, 4, 5)), "bias": jnp.ones(5)}
    transformation = optimiser(100, 1e-2, orthogonal=True)
    kernel = jax.random.normal(jax.random.key(0), (3, 4, 5))
    small, large = (
        learn(begin(weights, transformation), {"kernel": kernel, "bias": jnp.full(5, size)}, transformation).weights
        for size in (1e-3, 1e6)
    )
    np.testing.assert_allclose(small["kernel"], large["kernel"], rtol=1e-6)


def test_the_average_follows_the_weights_with_a_ramp():
    transformation = optimiser(10, 1e-2)
    learner = begin({"x": jnp.ones(2)}, transformation)
    moved = learn(learner, {"x": jnp.ones(2)}, transformation)
    expected = 0.1 * learner.weights["x"] + 0.9 * moved.weights["x"]
    np.testing.assert_allclose(moved.average["x"], expected, rtol=1e-6)


@pytest.mark.parametrize(("field", "value"), [("vocoder_batch", 0), ("adversarial_steps", -1)])
def test_budgets_that_train_nothing_are_errors(field, value):
    with pytest.raises(ValueError, match=rf"{field} = {value}; expected at least {value + 1}"):
        DecoderBudget(**{**vars(BUDGET), field: value})


def test_crops_that_the_latents_do_not_divide_are_an_error():
    with pytest.raises(ValueError, match="autoencoder_frames = 10; expected a multiple of 4"):
        DecoderBudget(**{**vars(BUDGET), "autoencoder_frames": 10})
