"""Making, changing and comparing models on disk."""

import functools
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import jax
import numpy as np
from safetensors.numpy import load_file

from litefocus_jax.checkpoint import modules, safetensors_files
from litefocus_jax.checkpoint.rules import invert
from litefocus_jax.checkpoint.store import Components, load_components
from litefocus_jax.checkpoint.sub_models import SUB_MODELS
from tests.checkpoints import tiny_checkpoint


@functools.cache
def tiny_diffusers_checkpoint() -> Path:
    """What diffusers would have saved for `tiny_checkpoint`, made by running the key tables backwards."""
    components = load_components(tiny_checkpoint())
    folder = tiny_checkpoint().with_name("tiny-diffusers")
    shutil.copytree(tiny_checkpoint(), folder, ignore=shutil.ignore_patterns("model.*"))
    index: dict[str, object] = {"_class_name": "AudioLDM2Pipeline"}
    for sub_model in SUB_MODELS:
        tensors = invert(modules.to_numpy(components.modules[sub_model.folder]), sub_model.rules)
        safetensors_files.write_file(folder / sub_model.folder / f"{sub_model.weights}.safetensors", tensors)
        index[sub_model.folder] = ["diffusers", sub_model.class_names[0]]
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
