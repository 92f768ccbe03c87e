"""One of two processes of four virtual devices each, which make sounds together, for test_processes.py."""

import socket
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from litefocus_jax import PartialRun
from litefocus_jax.decoding.plan import TilingConfig
from litefocus_jax.generation.resume import ResumableRun
from litefocus_jax.generation.sampling import Progress
from litefocus_jax.parallel.mesh import DATA_AXIS, TIME_AXIS
from litefocus_jax.system.processes import join_processes
from tests.support.command_line import run
from tests.support.devices import GUIDED, UNEVEN
from tests.support.models import small_checkpoint, small_pipeline
from tests.support.requests import request_for
from tests.support.training import quick_compilation

IN_TILES = TilingConfig(
    whole_up_to_in_s=0.0, tile_in_s=1.6, margin_in_s=0.04, sample_tiles=3, sample_in_s=0.6, keys_in_s=0.5
)

COMMAND = ("-d", "0.64", "--steps", "2", "--scheduler", "dpm++", "--batch-size", "2", "--subtype", "FLOAT")
COMMANDED: dict[str, Any] = {
    "prompt": ["rain", "birds"],
    "audio_length_in_s": 0.64,
    "num_inference_steps": 2,
    "scheduler": "dpm++",
}


def free_port() -> int:
    """A port that nobody listens at."""
    with socket.socket() as listener:
        listener.bind(("localhost", 0))
        return listener.getsockname()[1]


def mesh_of(data: int, time: int) -> Mesh:
    """All devices, those of a process next to each other."""
    return Mesh(np.array(jax.devices()).reshape(data, time), (DATA_AXIS, TIME_AXIS))


def end_after_two_steps(self: ResumableRun, run: Progress) -> None:
    """Ctrl-C in both processes, after the same step."""
    after_call(self, run)
    if run.steps_done == 2:
        raise KeyboardInterrupt


after_call = ResumableRun.after_call


def make_sounds(folder: Path) -> dict[str, np.ndarray]:
    """Sounds on all devices."""
    pipe, path = small_pipeline(), folder / "run.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumableRun, "after_call", end_after_two_steps)
        with pytest.raises(KeyboardInterrupt):
            pipe(**GUIDED, mesh=mesh_of(8, 1), partial_run=PartialRun(path, every=2))
    resumed = pipe(**GUIDED, mesh=mesh_of(8, 1), partial_run=PartialRun(path, resume=True), gather=False)
    along_data = pipe(**GUIDED, mesh=mesh_of(8, 1)).audios
    pipe.tiling = IN_TILES
    return {
        "along_data": along_data,
        "resumed": resumed.audios,
        "numbers": np.array(resumed.numbers),
        "along_time": pipe(**UNEVEN, mesh=mesh_of(1, 8)).audios,
    }


def run_commands(number: int, coordinator: str, folder: Path) -> dict[str, str]:
    """What ``generate`` says in this process, where the first one writes all files, and where each writes its own."""
    joined = ("--coordinator", coordinator, "--process-id", str(number), "--num-processes", "2")
    command = ("generate", "rain", "birds", "-m", str(small_checkpoint()), *COMMAND, *joined, "-o")
    shared, own = folder / "shared", folder / f"of_{number}"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("litefocus_jax.system.processes.join_processes", lambda *_, **__: None)  # done already
        return {
            "written_by_first": run(*command, f"{shared}/").output,
            "written_by_each": run(*command, f"{own}/", "--writer", "each").output,
            "there_already": run(*command, f"{shared}/").output,
            "other_seeds": run(*command, f"{own}/", "--overwrite", "--seed", str(number)).output,
            "random_seed": run(*command, f"{own}/", "--overwrite", "--seed", "random").output,
        }


def refused(**options: Any) -> str:
    """What is said to a call."""
    with pytest.raises((ValueError, FileExistsError)) as refusal:
        small_pipeline()(**{"prompt": "rain", "num_inference_steps": 2, "mesh": mesh_of(8, 1)} | options)
    return str(refusal.value)


def refusals(folder: Path) -> dict[str, str]:
    """What is said to calls that the processes cannot make, or do not make alike."""
    left = folder / f"left_in_{jax.process_index()}"
    if jax.process_index() == 1:
        left.touch()
    pipe = small_pipeline()
    with pytest.raises(ValueError, match="mesh") as refusal:
        pipe.estimate(request_for(pipe, mesh=mesh_of(8, 1)))
    is_first = jax.process_index() == 0
    return {
        "other_seed": refused(seed=jax.process_index()),
        "other_options": refused(timeline=[(0.0, "rain"), (0.3, "birds")][: 1 + jax.process_index()], prompt=None),
        "other_devices": refused(mesh=mesh_of(8, 1) if is_first else mesh_of(4, 2)),
        "wrong_in_one": refused(guidance_scale=2.0 if is_first else -1.0),
        "file_in_one": refused(partial_run=PartialRun(left)),
        "callback": refused(callback=lambda *_: None),
        "rank": refused(rank=True, gather=False),
        "own_devices": refused(mesh=Mesh(np.array(jax.local_devices()).reshape(4, 1), (DATA_AXIS, TIME_AXIS))),
        "estimate": str(refusal.value),
    }


if __name__ == "__main__":
    number, coordinator, folder = int(sys.argv[1]), sys.argv[2], Path(sys.argv[3])
    join_processes(coordinator, number, 2, timeout_in_s=60)
    with quick_compilation():
        sounds = make_sounds(folder)
    said: Any = refusals(folder) | run_commands(number, coordinator, folder)
    np.savez(folder / f"process_{number}.npz", **sounds, **said)
