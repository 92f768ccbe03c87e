"""Making, changing and comparing models on disk."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import load_file

from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint import weights as modules
from litefocus_jax.checkpoint.matching import invert
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.components import NETWORKS, Components
from tests.support.folders import new_path
from tests.support.models import tiny_checkpoint


@functools.cache
def tiny_diffusers_checkpoint() -> Path:
    """What diffusers would have saved for `tiny_checkpoint`, made by running the key tables backwards."""
    components = load_components(tiny_checkpoint())
    folder = new_path("tiny-diffusers")
    shutil.copytree(tiny_checkpoint(), folder, ignore=shutil.ignore_patterns("model.*", "digests.json"))
    index: dict[str, object] = {"_class_name": "AudioLDM2Pipeline"}
    for name, network in NETWORKS.items():
        tensors = invert(modules.to_numpy(components.modules[name]), network.keys)
        safetensors_files.write_file(folder / name / f"{network.weights}.safetensors", tensors)
        index[name] = ["diffusers", network.class_names[0]]
    write_json(folder / "model_index.json", index)
    return folder


def write_json(path: Path, values: object) -> None:
    path.write_text(json.dumps(values), encoding="utf-8")


def change_json(path: Path, **values: object) -> None:
    """Set some keys of a JSON object."""
    write_json(path, json.loads(path.read_text(encoding="utf-8")) | values)


def change_tensors(path: Path, change: Callable[[dict[str, np.ndarray]], object]) -> None:
    """Apply a change to the tensors of a safetensors file, in place."""
    tensors = load_file(path)
    change(tensors)
    safetensors_files.write_file(path, tensors)


def assert_same_model(actual: Components, expected: Components) -> None:
    """Fail unless configurations, scheduler and every weight agree to the bit."""
    for name, module in expected.modules.items():
        other = actual.modules[name]
        assert other.config == module.config
        jax.tree.map(np.testing.assert_array_equal, modules.to_numpy(other), modules.to_numpy(module))
    assert actual.scheduler == expected.scheduler
