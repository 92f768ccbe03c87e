"""A new network is one file and one line: all of a toy network is here, and checkpoints read and write it."""

import dataclasses
import shutil
from pathlib import Path
from typing import Any, Self

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.checkpoint import safetensors_files, weights
from litefocus_jax.checkpoint.diffusers import open_diffusers_network
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.matching import invert
from litefocus_jax.checkpoint.native import open_native_network
from litefocus_jax.checkpoint.opened import StoredNetwork
from litefocus_jax.checkpoint.store import open_checkpoint
from litefocus_jax.models import parameters
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.models.keys import KeyTable, Network, Prefix, Rule
from litefocus_jax.system.files import write_json
from litefocus_jax.system.json_config import ConfigError, JsonConfig
from tests.support.models import tiny_checkpoint
from tests.support.stored_models import change_json

# --- what the file of a network holds ---------------------------------------------------------------------------------


@dataclasses.dataclass(frozen=True)
class ToyConfig(JsonConfig):
    """Fields of the toy's JSON."""

    CLASS_NAME = "ToyModel"

    width: int
    num_layers: int

    @classmethod
    def tiny(cls) -> Self:
        return cls(width=4, num_layers=2)


class ToyModel(nnx.Module):
    """A stack of linear layers between two scales."""

    def __init__(self, config: ToyConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.scale = parameters.ones((config.width,), rngs)
        self.layers = nnx.List(
            [parameters.linear(config.width, config.width, rngs=rngs) for _ in range(config.num_layers)]
        )

    def __call__(self, states: Float[Array, "batch width"]) -> Float[Array, "batch width"]:
        for layer in self.layers:
            states = jnp.tanh(layer(states))
        return states * self.scale[...]


_RULES = (
    Rule("layers.{number}.weight", "layers.{number}.kernel", "linear"),
    Rule("layers.{number}.bias", "layers.{number}.bias"),
    Rule("norm.gamma", "scale"),
)

NETWORK = Network(
    config_class=ToyConfig,
    model_class=ToyModel,
    keys=KeyTable(_RULES, ignored=("layers.{number}.mask",), spellings=(Prefix("toy."),)),
    library="toys",
    class_names=("ToyModel",),
    weights="diffusion_pytorch_model",
)

# --- what follows from it ---------------------------------------------------------------------------------------------

CONFIG = ToyConfig.tiny()


@pytest.fixture
def tensors() -> dict[str, np.ndarray]:
    """As PyTorch names and lays them out."""
    generator = np.random.default_rng(0)
    shapes = {"norm.gamma": (4,), "layers.0.mask": (4, 4)}
    for number in range(CONFIG.num_layers):
        shapes |= {f"layers.{number}.weight": (4, 4), f"layers.{number}.bias": (4,)}
    return {name: generator.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def pytorch_forward(tensors: dict[str, np.ndarray], states: np.ndarray) -> np.ndarray:
    for number in range(CONFIG.num_layers):
        states = np.tanh(states @ tensors[f"layers.{number}.weight"].T + tensors[f"layers.{number}.bias"])
    return states * tensors["norm.gamma"]


def stored_as_diffusers_does(folder: Path, tensors: dict[str, np.ndarray]) -> Path:
    write_json(folder / "config.json", CONFIG.to_dict())
    safetensors_files.write_file(folder / "diffusion_pytorch_model.safetensors", tensors)
    return folder


def stored_natively(folder: Path, module: Any) -> Path:
    write_json(folder / "config.json", module.config.to_dict())
    safetensors_files.write_file(folder / "model.safetensors", weights.to_numpy(module))
    return folder


def loaded(stored: StoredNetwork) -> Any:
    stored.check()
    return stored.load(np.float32)


@pytest.mark.parametrize("prefix", ["", "toy."])
def test_it_is_read_and_computes_what_pytorch_would(tensors, tmp_path, prefix):
    spelt = {prefix + name: tensor for name, tensor in tensors.items()}
    model = loaded(open_diffusers_network(stored_as_diffusers_does(tmp_path, spelt), NETWORK))
    assert model.config == CONFIG
    states = np.random.default_rng(1).standard_normal((3, 4), np.float32)
    np.testing.assert_allclose(model(jnp.asarray(states)), pytorch_forward(tensors, states), atol=1e-5)


def test_it_is_written_back_as_it_was_but_for_what_is_ignored(tensors, tmp_path):
    model = loaded(open_diffusers_network(stored_as_diffusers_does(tmp_path, tensors), NETWORK))
    del tensors["layers.0.mask"]
    written = invert(weights.to_numpy(model), NETWORK.keys)
    assert written.keys() == tensors.keys()
    jax.tree.map(np.testing.assert_array_equal, written, tensors)


def test_its_native_form_has_the_same_weights(tensors, tmp_path):
    model = loaded(open_diffusers_network(stored_as_diffusers_does(tmp_path / "diffusers", tensors), NETWORK))
    again = loaded(open_native_network(stored_natively(tmp_path / "native", model), NETWORK))
    assert again.config == CONFIG
    jax.tree.map(np.testing.assert_array_equal, weights.to_numpy(again), weights.to_numpy(model))


def test_all_that_does_not_fit_is_one_error(tensors, tmp_path):
    tensors["layers.1.weight"] = tensors["layers.1.weight"][:3]
    tensors["surprise"] = tensors.pop("norm.gamma")
    stored = open_diffusers_network(stored_as_diffusers_does(tmp_path, tensors), NETWORK)
    with pytest.raises(CheckpointError) as error:
        stored.check()
    for part in ("surprise [4]", "layers.1.weight [3, 4]", "scale [4]", "norm.gamma -> scale"):
        assert part in str(error.value)


def test_a_field_that_it_does_not_know_is_an_error(tensors, tmp_path):
    change_json(stored_as_diffusers_does(tmp_path, tensors) / "config.json", dropout=0.5)
    with pytest.raises(ConfigError, match=r"dropout = 0\.5 is not a field this version knows"):
        open_diffusers_network(tmp_path, NETWORK)


def test_a_line_in_the_registry_makes_it_a_part_of_every_checkpoint(monkeypatch, tmp_path):
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    monkeypatch.setitem(NETWORKS, "toy", NETWORK)
    with pytest.raises(CheckpointError, match="sub_models"):
        open_checkpoint(folder)
    change_json(folder / "model.json", sub_models=[*NETWORKS])
    stored_natively(folder / "toy", ToyModel(CONFIG, rngs=nnx.Rngs(0)))
    toy = open_checkpoint(folder).networks["toy"]
    assert toy.parameters == 4 + 2 * (4 * 4 + 4)
    assert isinstance(toy.load(np.float32), ToyModel)
