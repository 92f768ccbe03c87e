"""Training of a low-rank adapter: few weights, a base that stays, and a model that is base and adapter together."""

import dataclasses
from pathlib import Path

import jax
import numpy as np
import pytest

from litefocus_jax.checkpoint import weights
from litefocus_jax.checkpoint.lora import LoraConfig, with_adapter
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.components import Components
from litefocus_jax.training.journal import read_journal
from litefocus_jax.training.state import frozen_weights, initial_state, weights_in_loss
from tests.support.models import small_components
from tests.support.training import CONFIG, largest_difference, train_small, update_once

LORA = dataclasses.replace(CONFIG, trainable=("unet",), lora=LoraConfig(rank=2, alpha=4.0))


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Components]:
    folder = tmp_path_factory.mktemp("adapters") / "run"
    config = dataclasses.replace(LORA, steps=8, learning_rate=0.05)
    return folder, train_small(folder, config=config)


def test_the_trained_model_is_the_base_with_the_saved_adapter(finished):
    folder, trained = finished
    base = weights.to_numpy(small_components().unet)
    merged = weights.to_numpy(trained.unet)
    changed = {path for path in base if np.any(base[path] != merged[path])}
    assert changed
    assert all("attn" in path and path.endswith(".kernel") for path in changed)
    again = weights.to_numpy(with_adapter(small_components(), folder / "lora").unet)
    assert largest_difference(again, merged) < 1e-6
    stored = load_components(folder / "model").unet
    assert largest_difference(weights.to_numpy(stored), merged) == 0.0


def test_an_adapter_learns(finished):
    losses = [entry["loss"] for entry in read_journal(finished[0] / "log.jsonl")]
    assert np.mean(losses[-3:]) < np.mean(losses[:3])


@pytest.mark.parametrize(("target", "share"), [("attention", 0.05), ("linear", 0.15)])
def test_state_and_optimiser_hold_the_adapter_alone(target, share):
    config = dataclasses.replace(LORA, lora=LoraConfig(rank=1, target=target))
    state = jax.eval_shape(lambda: initial_state(small_components(), config))
    floats = {name: sum(leaf.size for leaf in jax.tree.leaves(part)) for name, part in state._asdict().items()}
    assert 0 < floats["weights"] < share * weights.parameter_count(small_components().unet)
    assert floats["average"] == floats["weights"]
    assert floats["moments"] == 2 * floats["weights"] + 2  # two moments of each, and two counters


def test_a_new_adapter_adds_nothing():
    state = initial_state(small_components(), LORA)
    frozen = frozen_weights(small_components(), LORA)
    assert largest_difference(weights_in_loss(state.weights, frozen, LORA)["unet"], frozen["unet"]) == 0.0


def test_an_adapter_trains_in_bfloat16_and_accumulates():
    _, figures = update_once(trainable=("unet",), lora=LORA.lora, dtype="bfloat16", gradient_accumulation=2)
    assert np.isfinite(figures.loss)
    assert figures.gradient_norm > 0


def test_only_the_unet_can_have_an_adapter():
    with pytest.raises(ValueError, match=r"expected \('unet',\) with lora"):
        dataclasses.replace(LORA, trainable=("unet", "text_encoder"))
