"""Sounds made on one device and on several, in a process of eight virtual devices, for test_devices.py."""

import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from litefocus_jax import LiteFocusConfig, RunCheckpoint
from litefocus_jax.devices import DATA_AXIS, TIME_AXIS
from litefocus_jax.generate import PartialRun
from litefocus_jax.resume import ResumableRun
from tests.checkpoints import small_pipeline
from tests.training import quick_compilation

GUIDED: dict[str, Any] = {
    "prompt": ["rain on a tin roof", "a dog", "wind in the trees"],
    "num_waveforms_per_prompt": 2,
    "audio_length_in_s": 0.64,
    "num_inference_steps": 4,
    "eta": 0.5,
    "scheduler": "ddim",
    "litefocus": LiteFocusConfig(levels="all", sparse_ratio=0.25),
}
UNGUIDED: dict[str, Any] = {
    "prompt": ["rain", "dogs"],
    "audio_length_in_s": 0.64,
    "num_inference_steps": 2,
    "guidance_scale": 1.0,
    "scheduler": "dpm++",
}


def mesh_of(count: int) -> Mesh:
    """The first devices, along the data axis."""
    return Mesh(np.array(jax.devices()[:count]).reshape(-1, 1), (DATA_AXIS, TIME_AXIS))


after_call = ResumableRun.after_call


def write_and_interrupt(self: ResumableRun, run: PartialRun) -> None:
    """Ctrl-C after the second step."""
    after_call(self, run)
    if run.steps_done == 2:
        raise KeyboardInterrupt


def make_sounds(folder: Path) -> dict[str, np.ndarray]:
    """Six sounds with guidance on one device and on four, whole and resumed; and two without guidance on eight."""
    pipe, path = small_pipeline(), folder / "run.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumableRun, "after_call", write_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            pipe(**GUIDED, mesh=mesh_of(4), run_checkpoint=RunCheckpoint(path, every=2))
    return {
        "guided_on_1": pipe(**GUIDED).audios,
        "guided_on_4": pipe(**GUIDED, mesh=mesh_of(4)).audios,
        "resumed_on_4": pipe(**GUIDED, mesh=mesh_of(4), run_checkpoint=RunCheckpoint(path, resume=True)).audios,
        "unguided_on_1": pipe(**UNGUIDED).audios,
        "unguided_on_8": pipe(**UNGUIDED, mesh=mesh_of(8)).audios,
    }


if __name__ == "__main__":
    with quick_compilation():
        sounds = make_sounds(Path(sys.argv[1]))
        np.savez(Path(sys.argv[1]) / "sounds.npz", **sounds)  # pyright: ignore[reportArgumentType]
