"""How a model is recognised without reading all of its weights."""

import json

import numpy as np

from litefocus_jax.checkpoint.weights import leaves
from litefocus_jax.models.components import Components
from litefocus_jax.system.same_run import digest

_SAMPLES_PER_ARRAY = 64


def fingerprint(components: Components) -> dict[str, str]:
    """For each sub-model a digest of its configuration, names, shapes and some weights.

    Two models differ if any array does at one of some sixty places. The noise schedule is part of it.
    """
    digests = {"scheduler": digest(json.dumps(components.scheduler.to_dict(), sort_keys=True).encode())}
    for name, module in components.modules.items():
        pieces = [json.dumps(module.config.to_dict(), sort_keys=True).encode()]
        for path, leaf in sorted(leaves(module).items()):
            values = np.asarray(leaf).reshape(-1)
            some = values[:: max(1, values.size // _SAMPLES_PER_ARRAY)].astype(np.float32)
            pieces += [f"{path} {leaf.shape}".encode(), some.tobytes()]
        digests[name] = digest(*pieces)
    return digests
