"""One update: the same however the batch is cut, the options that change it, and its arithmetic."""

import dataclasses
import functools
import os
import subprocess
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.models.vae import LatentDistribution
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.system.extras import MissingExtraError, import_extra
from litefocus_jax.training.config import TrainingConfig, average_decay_at, learning_rate_at
from litefocus_jax.training.losses import draw, shifted_timesteps
from litefocus_jax.training.state import TrainingState, apply_gradient, first_state, initial_state
from litefocus_jax.training.step import Figures
from tests.support.models import small_components
from tests.support.training import CONFIG, largest_difference, update_once
from tests.support.xla_flags import with_devices


@functools.cache
def reference() -> tuple[TrainingState, Figures]:
    return update_once()


def test_accumulated_and_rematerialised_parts_equal_one_batch():
    # Both at once, because each takes as long to compile as the two together.
    assert largest_difference(update_once(gradient_accumulation=4, rematerialise=True), reference()) < 1e-5


@pytest.fixture(scope="module")
def on_eight_devices(tmp_path_factory: pytest.TempPathFactory) -> dict[str, np.ndarray]:
    """What a process of eight devices found, with all weights on each of them and with shares."""
    path = tmp_path_factory.mktemp("eight") / "found.npz"
    worker = subprocess.run(
        [sys.executable, "-m", "tests.support.training", path],
        env=os.environ | with_devices(8),
        capture_output=True,
        text=True,
        check=False,
    )
    assert worker.returncode == 0, worker.stderr
    with np.load(path) as arrays:
        return dict(arrays)


@pytest.mark.parametrize("shard", ["whole", "shares"])
def test_eight_devices_equal_one(on_eight_devices, shard):
    leaves, structure = jax.tree.flatten(reference())
    found = [array for name, array in on_eight_devices.items() if name.startswith(shard)]
    assert len(found) == len(leaves)
    assert largest_difference(jax.tree.unflatten(structure, found), reference()) < 1e-5


def test_each_of_eight_devices_holds_an_eighth_of_weights_average_and_moments(on_eight_devices):
    weights_average_and_moments = slice(1, None)  # the number of updates is everywhere
    shares = on_eight_devices["held"] / on_eight_devices["of"]
    assert shares.shape == (8, 4)
    # Biases are whole, of which so small a model has many.
    np.testing.assert_allclose(shares[:, weights_average_and_moments], 1 / 8, atol=0.03)
    whole, held = on_eight_devices["published"]
    assert held / whole == pytest.approx(0.1263, abs=1e-4)  # an eighth, and a thousandth for what is whole


def test_rematerialisation_is_of_each_block_of_the_unet():
    unet = small_components().unet

    def predict(sample: jax.Array, rematerialise: bool) -> jax.Array:
        context = unet.project_context(jnp.ones((1, 2, 16)), jnp.ones((1, 2, 24)))
        return unet(sample, unet.embed_time(jnp.ones(1)), context, rematerialise=rematerialise)

    for rematerialise, blocks in ((False, 0), (True, 5)):
        program = jax.make_jaxpr(predict, static_argnums=1)(jnp.ones((1, 8, 4, 4)), rematerialise)
        names = [equation.primitive.name for equation in program.jaxpr.eqns]
        assert names.count("checkpoint") + names.count("remat2") == blocks


def test_bfloat16_stays_near_float32_and_keeps_float32_weights():
    state, figures = update_once(dtype="bfloat16")
    _, expected = reference()
    assert {leaf.dtype for leaf in jax.tree.leaves((state.weights, state.average))} == {jnp.dtype(jnp.float32)}
    assert abs(figures.loss / expected.loss - 1.0) < 0.02
    assert abs(figures.gradient_norm / expected.gradient_norm - 1.0) < 0.1
    assert figures.loss != expected.loss


def test_litefocus_in_training_changes_the_gradient():
    _, figures = update_once(litefocus=LiteFocusConfig(sparse_ratio=0.25, reach_in_s=0.08))
    assert np.isfinite(figures.loss)
    assert abs(figures.loss - reference()[1].loss) > 1e-6


def test_an_update_moves_all_trained_weights_and_leaves_the_model_it_began_with():
    components = small_components()
    before = initial_state(components, CONFIG)
    state, figures = reference()
    assert set(state.weights) == {"unet", "projection_model"}
    moved = jax.tree.map(lambda new, old: bool(jnp.any(new != old)), state.weights, before.weights)
    assert all(jax.tree.leaves(moved))
    assert int(state.updates) == 1
    assert float(figures.learning_rate) == pytest.approx(CONFIG.learning_rate / 2)


def test_a_clip_draws_the_same_in_any_batch():
    keys = jax.random.split(jax.random.key(0), 3)
    mean = jnp.arange(48.0).reshape(3, 2, 2, 4)
    latents = LatentDistribution(mean, jnp.zeros_like(mean))
    whole = draw(keys, latents, 1000)
    alone = draw(keys[1:2], jax.tree.map(lambda part: part[1:2], latents), 1000)
    jax.tree.map(lambda one, other: np.testing.assert_array_equal(one[0], other[1]), alone, whole)


def test_timesteps_are_uniform_over_the_schedule():
    zeros = jnp.zeros((4000, 1, 1, 1))
    timesteps = draw(jax.random.split(jax.random.key(0), 4000), LatentDistribution(zeros, zeros), 10).timesteps
    counts = np.bincount(timesteps, minlength=10)
    assert len(counts) == 10
    assert counts.min() > 300
    assert counts.max() < 500


def test_shifted_timesteps_come_more_often_the_noisier_they_are():
    even = jnp.arange(1000)
    moved = np.asarray(shifted_timesteps(even, 1000, 3.0))
    assert 0 <= moved.min() < moved.max() == 999
    # As many lie beyond 750 of 1000 as beyond 500 before, and the clean half keeps a quarter.
    assert np.mean(moved >= 750) == pytest.approx(0.5, abs=0.002)
    assert np.mean(moved < 500) == pytest.approx(0.25, abs=0.002)
    np.testing.assert_array_equal(shifted_timesteps(even, 1000, 1.0), even)


def test_a_timestep_shift_changes_the_loss():
    _, figures = update_once(timestep_shift=4.0)
    assert abs(figures.loss - reference()[1].loss) > 1e-4


def test_the_learning_rate_rises_in_a_line_and_falls_along_a_cosine():
    config = TrainingConfig(steps=14, batch_size=1, learning_rate=2.0, warmup_steps=4)
    rates = [float(learning_rate_at(config, update)) for update in range(14)]
    np.testing.assert_allclose(rates[:5], [0.5, 1.0, 1.5, 2.0, 2.0], rtol=1e-6)
    np.testing.assert_allclose(rates[4:], 1.0 + np.cos(np.pi * np.arange(10) / 10), rtol=1e-5)


def test_without_a_warm_up_the_learning_rate_begins_at_its_height():
    config = TrainingConfig(steps=3, batch_size=1, learning_rate=2.0, warmup_steps=0)
    assert float(learning_rate_at(config, 0)) == 2.0


def test_the_average_follows_the_weights_by_the_formula():
    config = dataclasses.replace(CONFIG, ema_decay=0.5, clip_norm=1e9)
    weights = {"unet": {"kernel": jnp.array([1.0, -2.0])}}
    state = first_state(weights, config)
    expected = np.array([1.0, -2.0])
    for update in range(12):
        state, norm = apply_gradient(state, {"unet": {"kernel": jnp.array([3.0, 4.0])}}, config)
        assert float(norm) == pytest.approx(5.0)
        decay = min(0.5, (1 + update) / (10 + update))
        expected = decay * expected + (1 - decay) * np.asarray(state.weights["unet"]["kernel"])
        assert float(average_decay_at(config, update)) == pytest.approx(decay)
    np.testing.assert_allclose(state.average["unet"]["kernel"], expected, rtol=1e-5)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"steps": 0}, "steps = 0"),
        ({"batch_size": 2.5}, "batch_size = 2.5"),
        ({"gradient_accumulation": 3}, "not a multiple of gradient_accumulation = 3"),
        ({"learning_rate": float("nan")}, "learning_rate = nan"),
        ({"learning_rate": 0.0}, "learning_rate = 0.0"),
        ({"warmup_steps": 25}, "warmup_steps = 25 is more than steps = 24"),
        ({"weight_decay": -1.0}, "weight_decay = -1.0"),
        ({"adam_beta_2": 1.0}, "adam_beta_2 = 1.0"),
        ({"clip_norm": 0.0}, "clip_norm = 0.0"),
        ({"ema_decay": 1.5}, "ema_decay = 1.5"),
        ({"caption_dropout": -0.1}, "caption_dropout = -0.1"),
        ({"trainable": ()}, r"trainable = \(\)"),
        ({"trainable": ("unet", "vae")}, "trainable names 'vae'"),
        ({"trainable": ("unet", "unet")}, "trainable names 'unet'"),
        ({"dtype": "float16"}, "dtype = 'float16'"),
        ({"keep": 0}, "keep = 0"),
        ({"seed": -1}, "seed = -1"),
    ],
)
def test_a_bad_setting_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changes)


def test_a_missing_package_is_named_with_the_command_that_installs_it():
    with pytest.raises(MissingExtraError, match=r"no_such_package.*pip install -e '\.\[train\]'"):
        import_extra("no_such_package")
