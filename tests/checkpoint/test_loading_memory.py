"""Loading leaves weights in their file where it can, and holds them little more than once where they are cast."""

import dataclasses
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.random_model import random_weights
from litefocus_jax.checkpoint.weights import abstract
from litefocus_jax.models.t5 import T5Config, T5Encoder
from tests.support.models import tiny_checkpoint
from tests.support.stored_models import write_json

# 150 MB in one sub-model as wide as its neighbours expect, so that what else the process does is small beside it.
LARGE = dataclasses.replace(T5Config.tiny(), d_ff=65536, num_layers=8)
# Prints the peak of memory that belongs to no file, in units of the weights, while a checkpoint is loaded.
MEASURE = """
    import sys, threading, time
    from pathlib import Path
    from litefocus_jax.checkpoint import weights
    from litefocus_jax.checkpoint.store import load_components, open_checkpoint

    def resident() -> int:
        status = Path("/proc/self/status").read_text()
        return 1024 * int(status.split("RssAnon:")[1].split()[0])

    def watch() -> None:
        while not finished.wait(0.001):
            peaks.append(resident())

    load_components(sys.argv[1])  # whatever is set up on first use
    checkpoint = open_checkpoint(sys.argv[2])
    before, peaks, finished = resident(), [0], threading.Event()
    watcher = threading.Thread(target=watch)
    watcher.start()
    components = checkpoint.load(sys.argv[3])
    finished.set()
    watcher.join()
    size = sum(leaf.nbytes for part in components.modules.values() for leaf in weights.leaves(part).values())
    print((max(peaks) - before) / size)
"""


@pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads Linux's /proc")
@pytest.mark.parametrize(("dtype", "least", "most"), [("float32", 0.0, 0.1), ("bfloat16", 0.9, 2.2)])
def test_loading_maps_weights_or_casts_them_one_by_one(dtype: str, least: float, most: float, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "large")
    write_json(folder / "text_encoder_2" / "config.json", LARGE.to_dict())
    weights = random_weights(abstract(T5Encoder, LARGE))
    safetensors_files.write_file(folder / "text_encoder_2" / "model.safetensors", weights)
    command = [sys.executable, "-c", textwrap.dedent(MEASURE), str(tiny_checkpoint()), str(folder), dtype]
    peak = float(subprocess.run(command, capture_output=True, text=True, check=True).stdout)
    assert least <= peak < most
