"""How a model is recognised without reading all of its weights."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from litefocus_jax.checkpoint.opened import Checkpoint
from litefocus_jax.checkpoint.weights import leaves
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.components import Components
from litefocus_jax.system.json_config import JsonConfig
from litefocus_jax.system.same_run import digest

_SAMPLES_PER_ARRAY = 64
_LATER = frozenset({"mel_corrections"})
"""Fields that came later, left out where they say nothing, so that models are known by what they were known by."""


def fingerprint(components: Components) -> dict[str, str]:
    """For each sub-model a digest of its configuration, names, shapes and some weights.

    Two models differ if any array does at one of some sixty places. The noise schedule is part of it.
    """
    digests = {"scheduler": _digest_of_scheduler(components.scheduler)}
    for name, module in components.modules.items():
        digests[name] = _digest_of_network(module.config, leaves(module))
    return digests


def model_digest(model: Checkpoint | Components) -> str:
    """One digest of a whole model: `fingerprint`, and its tokenizers.

    That of a checkpoint is of its weights as they are stored, so that it does not hang on the type they are loaded in.
    That of components is the same if they are of a native folder, in the type that it is stored in.
    """
    if isinstance(model, Components):
        digests = fingerprint(model)
    else:
        digests = {"scheduler": _digest_of_scheduler(model.scheduler)}
        digests |= {name: _digest_of_network(each.config, each.tensors) for name, each in model.networks.items()}
    digests |= {f"tokenizer {place.name}": _digest_of_folder(place) for place in model.tokenizers.values()}
    # Of the model's defaults, all but this one are what a recipe says itself.
    if (least := model.defaults.least_level_in_dbfs) is not None:
        digests["least level"] = f"{least:g}"
    return digest(json.dumps(digests, sort_keys=True).encode())


def _digest_of_scheduler(config: SchedulerConfig) -> str:
    return digest(json.dumps(config.to_dict(), sort_keys=True).encode())


def _digest_of_network(config: JsonConfig, arrays: Mapping[str, Any]) -> str:
    fields = {name: value for name, value in config.to_dict().items() if value or name not in _LATER}
    pieces = [json.dumps(fields, sort_keys=True).encode()]
    for name, array in sorted(arrays.items()):
        values = np.asarray(array).reshape(-1)
        some = values[:: max(1, values.size // _SAMPLES_PER_ARRAY)].astype(np.float32)
        pieces += [f"{name} {tuple(array.shape)}".encode(), some.tobytes()]
    return digest(*pieces)


def _digest_of_folder(folder: Path) -> str:
    files = sorted(path for path in folder.iterdir() if path.is_file())
    return digest(*(piece for path in files for piece in (path.name.encode(), path.read_bytes())))
