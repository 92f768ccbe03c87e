"""Adapters in files: what is written, read and refused, and what they add to a model."""

import dataclasses
import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from litefocus_jax.checkpoint import weights
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.lora import (
    ADAPTER_CONFIG,
    ADAPTER_WEIGHTS,
    Adapter,
    LoraConfig,
    read_adapter,
    save_adapter,
    with_adapter,
)
from tests.support.adapters import random_adapter
from tests.support.models import small_components

CONFIG = LoraConfig(rank=2, alpha=4.0)
LAYER = "mid_block.attentions.transformers.0.transformer_blocks.0.attn1.to_q"
TORCH_LAYER = "mid_block.attentions.0.transformer_blocks.0.attn1.to_q"


def adapter_of(config: LoraConfig = CONFIG) -> Adapter:
    return random_adapter(small_components().unet, config)


@pytest.fixture
def saved(tmp_path) -> Path:
    save_adapter(tmp_path / "lora", adapter_of(), CONFIG)
    return tmp_path / "lora"


def test_the_file_is_that_of_peft_for_diffusers_unet(saved):
    described = json.loads((saved / ADAPTER_CONFIG).read_text())
    assert (described["peft_type"], described["r"], described["lora_alpha"]) == ("LORA", 2, 2)
    assert TORCH_LAYER in described["target_modules"]
    tensors = load_file(saved / ADAPTER_WEIGHTS)
    assert tensors[f"base_model.model.{TORCH_LAYER}.lora_A.weight"].shape == (2, 16)
    assert f"base_model.model.{TORCH_LAYER[:-4]}to_out.0.lora_B.weight" in tensors
    np.testing.assert_allclose(  # twice: the scale
        tensors[f"base_model.model.{TORCH_LAYER}.lora_B.weight"], 2.0 * adapter_of()[f"{LAYER}.lora_B"].T
    )


def test_an_adapter_is_added_to_its_kernels_and_to_nothing_else(saved):
    components = small_components()
    before = weights.to_numpy(components.unet)
    after = weights.to_numpy(with_adapter(components, saved).unet)
    adapter = adapter_of()
    for path, array in before.items():
        layer = path.removesuffix(".kernel")
        product = 2.0 * adapter[f"{layer}.lora_A"] @ adapter[f"{layer}.lora_B"] if f"{layer}.lora_A" in adapter else 0.0
        np.testing.assert_allclose(after[path], array + product, atol=1e-5)
    np.testing.assert_array_equal(weights.to_numpy(components.unet)[f"{LAYER}.kernel"], before[f"{LAYER}.kernel"])


def test_half_a_scale_adds_half_and_none_adds_nothing(saved):
    components = small_components()
    none, half, whole = (
        weights.to_numpy(with_adapter(components, saved, scale).unet)[f"{LAYER}.kernel"] for scale in (0.0, 0.5, 1.0)
    )
    np.testing.assert_array_equal(none, weights.to_numpy(components.unet)[f"{LAYER}.kernel"])
    np.testing.assert_allclose(half - none, (whole - none) / 2, atol=1e-6)
    with pytest.raises(ValueError, match="scale = nan"):
        with_adapter(components, saved, float("nan"))


@pytest.mark.parametrize("prefix", ["", "unet.", "base_model.model."])
def test_files_of_diffusers_and_of_others_with_alphas_are_read(tmp_path, prefix):
    tensors = {
        f"{prefix}{TORCH_LAYER}.lora_A.weight": np.ones((4, 16), np.float32),
        f"{prefix}{TORCH_LAYER}.lora_B.weight": np.ones((16, 4), np.float32),
        f"{prefix}{TORCH_LAYER}.alpha": np.array(2.0, np.float32),
    }
    save_file(tensors, tmp_path / "lora.safetensors")
    adapter = read_adapter(tmp_path / "lora.safetensors", small_components().unet)
    assert set(adapter) == {f"{LAYER}.lora_A", f"{LAYER}.lora_B"}
    np.testing.assert_array_equal(adapter[f"{LAYER}.lora_A"] @ adapter[f"{LAYER}.lora_B"], np.full((16, 16), 2.0))


@pytest.mark.parametrize(("changes", "message"), [
    ({"lora_B": None}, f"layers without one of lora_A and lora_B .*\n.*{LAYER}"),
    ({"lora_B": np.ones((16, 3), np.float32)}, r"\[16, 2\] times \[3, 16\]; expected a product of \[16, 16\]"),
    ({"lora_A": np.full((2, 16), np.nan, np.float32)}, "NaN or infinite values"),
    ({"hada_w1_a": np.ones((2, 2), np.float32)}, "no part of a low-rank adapter of this UNet"),
])  # fmt: skip
def test_what_does_not_fit_is_named(tmp_path, changes, message):
    arrays = {"lora_A": np.ones((2, 16), np.float32), "lora_B": np.ones((16, 2), np.float32)} | changes
    named = {f"unet.{TORCH_LAYER}.{name}.weight": array for name, array in arrays.items() if array is not None}
    save_file(named, tmp_path / "lora.safetensors")
    with pytest.raises(CheckpointError, match=message):
        read_adapter(tmp_path / "lora.safetensors", small_components().unet)


def test_adapters_of_another_kind_or_that_are_missing_are_refused(saved, tmp_path):
    described = json.loads((saved / ADAPTER_CONFIG).read_text())
    (saved / ADAPTER_CONFIG).write_text(json.dumps(described | {"use_rslora": True}))
    with pytest.raises(CheckpointError, match="expected plain LoRA"):
        read_adapter(saved, small_components().unet)
    with pytest.raises(CheckpointError, match=r"missing does not exist; expected a folder with adapter_model"):
        read_adapter(tmp_path / "missing", small_components().unet)


@pytest.mark.parametrize(("changes", "message"), [
    ({"rank": 0}, "lora_rank = 0"), ({"alpha": 0.0}, "lora_alpha = 0.0"), ({"target": "conv"}, "lora_target = 'conv'"),
])  # fmt: skip
def test_a_bad_setting_is_named(changes, message):
    with pytest.raises(ValueError, match=message):
        dataclasses.replace(CONFIG, **changes)
