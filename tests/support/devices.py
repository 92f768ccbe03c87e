"""Sounds made on one device and on several, in a process of eight virtual devices, for test_devices.py."""

import dataclasses
import sys
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh, PartitionSpec

from litefocus_jax import AudioLDM2Pipeline, LiteFocusConfig, PartialRun, WindowedDenoising
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.generation.resume import ResumableRun
from litefocus_jax.generation.sampling import Progress
from litefocus_jax.models.unet.exchange import exchange_along_time
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.parallel.exchange import Collective, Exchange, exchange_of_step
from litefocus_jax.parallel.mesh import DATA_AXIS, EVERYWHERE, GUIDANCE_AXIS
from litefocus_jax.parallel.time_axis import TIME_AXIS, FrameShares
from tests.support.models import small_components, small_pipeline
from tests.support.requests import request_for
from tests.support.training import quick_compilation

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
# 61 frames and, a level below, 31: neither is a multiple of the devices, and doubling 31 makes one too many.
UNEVEN: dict[str, Any] = {
    "prompt": "rain",
    "audio_length_in_s": 2.44,
    "num_inference_steps": 2,
    "scheduler": "dpm++",
    "litefocus": LiteFocusConfig(levels="all", reach_in_s=0.32, max_cross_tokens=16),
    "scale_scores": True,
}
# Nine frames a level below, for eight devices that have room for two each: three of them have none.
LOOP: dict[str, Any] = {
    "prompt": "rain",
    "audio_length_in_s": 0.68,
    "num_inference_steps": 2,
    "scheduler": "dpm++",
    "loop": True,
}
DRAWN_OFTEN: dict[str, Any] = {
    "prompt": "rain",
    "audio_length_in_s": 5.08,
    "num_inference_steps": 1,
    "scheduler": "dpm++",
    "litefocus": LiteFocusConfig(levels="all", sparse_ratio=0.5),
}
KINDS = ("all-to-all", "collective-permute", "all-gather", "all-reduce")
LONG_IN_S = 655.36
"""Enough for activations to outweigh the tiles of a CPU, whose size does not depend on the length."""


def mesh_of(data: int, time: int = 1) -> Mesh:
    """The first devices, along both axes."""
    return Mesh(np.array(jax.devices()[: data * time]).reshape(data, time), (DATA_AXIS, TIME_AXIS))


def guidance_mesh() -> Mesh:
    """Two devices along each of three axes."""
    return Mesh(np.array(jax.devices()).reshape(2, 2, 2), (DATA_AXIS, GUIDANCE_AXIS, TIME_AXIS))


def wide_pipeline() -> AudioLDM2Pipeline:
    """`small_pipeline` with half the published channels, and the published number of heads."""
    components = small_components()
    config = dataclasses.replace(components.unet.config, block_out_channels=(64, 128), attention_head_dim=8)
    return AudioLDM2Pipeline(dataclasses.replace(components, unet=random_model(UNet, config)))


def denoising_memory(pipe: AudioLDM2Pipeline, litefocus: LiteFocusConfig | None, mesh: Mesh | None) -> int:
    """Bytes of the temporary arrays on each device, for one long sound under guidance."""
    request = request_for(pipe, audio_length_in_s=LONG_IN_S, num_inference_steps=1, litefocus=litefocus, mesh=mesh)
    account = pipe.compile_ahead(request, pipe.inputs(request), request.plan).result().memory_analysis()
    assert account is not None
    return account.temp_size_in_bytes


def exchange_on(mesh: Mesh, batch: int, wish: dict[str, Any] = GUIDED, *, output: int = 0) -> np.ndarray:
    """Operations and bytes of each kind: as XLA's program has them, and as they are worked out.

    What is worked out is of the network. Branches of guidance gather their ``output`` beside, which has so many bytes.
    """
    pipe = small_pipeline()
    request = request_for(pipe, **wish, mesh=mesh)
    program = exchange_of_step(pipe.compile_ahead(request, pipe.inputs(request), request.plan).result())
    worked_out = exchange_along_time(
        pipe.components.unet.config,
        request.plan.frames,
        pipe.geometry.frequencies,
        devices=mesh.shape[TIME_AXIS],
        batch=batch,
        bytes_per_number=4,
        attention=request.plan.attention,
    )
    gathered = Exchange.of([Collective("all-gather", 1, output)] if output else ())
    return np.array(
        [
            [
                count.get(kind, 0) + beside.get(kind, 0)
                for kind in ("all-to-all", "collective-permute", "all-gather", "all-reduce")
            ]
            for exchange, more in ((program, Exchange.of(())), (worked_out, gathered))
            for count, beside in ((exchange.operations, more.operations), (exchange.received, more.received))
        ]
    )


after_call = ResumableRun.after_call


def write_and_interrupt(self: ResumableRun, run: Progress) -> None:
    """Ctrl-C after the second step."""
    after_call(self, run)
    if run.steps_done == 2:
        raise KeyboardInterrupt


def make_sounds(folder: Path) -> dict[str, np.ndarray]:
    """Sounds on one device and on several, along either axis and along both; one run is interrupted and resumed."""
    pipe, path = small_pipeline(), folder / "run.safetensors"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(ResumableRun, "after_call", write_and_interrupt)
        with pytest.raises(KeyboardInterrupt):
            pipe(**GUIDED, mesh=mesh_of(4), partial_run=PartialRun(path, every=2))
    return {
        "guided_on_1": pipe(**GUIDED).audios,
        "guided_on_4": pipe(**GUIDED, mesh=mesh_of(4)).audios,
        "resumed_on_4": pipe(**GUIDED, mesh=mesh_of(4), partial_run=PartialRun(path, resume=True)).audios,
        "unguided_on_1": pipe(**UNGUIDED).audios,
        "unguided_on_8": pipe(**UNGUIDED, mesh=mesh_of(8)).audios,
        "guided_on_2x4": pipe(**GUIDED, mesh=mesh_of(2, 4)).audios,
        "guided_on_2x2x2": pipe(**GUIDED, mesh=guidance_mesh()).audios,
        "guided_on_1x8": pipe(**GUIDED, mesh=mesh_of(1, 8)).audios,
        "looped_on_1": pipe(**LOOP).audios,
        "looped_on_1x8": pipe(**LOOP, mesh=mesh_of(1, 8)).audios,
        "unguided_on_1x8": pipe(**UNGUIDED, mesh=mesh_of(1, 8)).audios,
        "uneven_on_1": pipe(**UNEVEN).audios,
        "uneven_on_1x8": pipe(**UNEVEN, mesh=mesh_of(1, 8)).audios,
    }


def draws() -> dict[str, np.ndarray]:
    """Tokens that are drawn from all, of which one device has just what it has room to send, or more than that.

    A token's only number says which it is, so that what comes of a draw is the draw.
    """
    frames, frequencies = 64, 8
    shares = FrameShares.of([frames], frequencies)
    tokens = np.arange(frames * frequencies, dtype=np.float32).reshape(1, frames, frequencies, 1)
    drawn = {
        "evenly": np.arange(0, tokens.size, 5),
        "unevenly": np.concatenate([frequencies * np.arange(50), 1 + frequencies * np.arange(53)]),
    }

    def draw(x: jax.Array, indices: jax.Array) -> jax.Array:
        own = shares.to_frequencies(x).reshape(1, -1, 1)
        return shares.drawn_tokens(own, indices, own_frequencies=1)

    specs = (PartitionSpec(None, TIME_AXIS), EVERYWHERE)
    run = jax.jit(jax.shard_map(draw, mesh=mesh_of(1, 8), in_specs=specs, out_specs=EVERYWHERE, check_vma=False))
    return {f"drawn_{how}": np.stack([run(tokens, each)[0, :, 0], each]) for how, each in drawn.items()}


def refusal_of_windows() -> str:
    """What is said to windows and several devices along time."""
    with pytest.raises(ValueError, match="mesh") as refusal:
        small_pipeline()("rain", audio_length_in_s=1.28, windowed=WindowedDenoising(), mesh=mesh_of(1, 2))
    return str(refusal.value)


def refusal_of_no_guidance() -> str:
    """What is said to a guidance axis where guidance is off."""
    with pytest.raises(ValueError, match="mesh") as refusal:
        small_pipeline()(**UNGUIDED, mesh=guidance_mesh())
    return str(refusal.value)


def measure_memory() -> dict[str, np.ndarray]:
    """Bytes on one device, and on each of eight along time."""
    pipe, modes = wide_pipeline(), {"dense": None, "sparse": LiteFocusConfig.linear()}
    return {
        f"{name}_memory": np.array([denoising_memory(pipe, mode, mesh) for mesh in (None, mesh_of(1, 8))])
        for name, mode in modes.items()
    }


if __name__ == "__main__":
    with quick_compilation():
        sounds = make_sounds(Path(sys.argv[1]))
    np.savez(
        Path(sys.argv[1]) / "sounds.npz",
        refusal_of_windows=np.array(refusal_of_windows()),
        refusal_of_no_guidance=np.array(refusal_of_no_guidance()),
        **sounds,  # pyright: ignore[reportArgumentType]
        exchange_on_2x4=exchange_on(mesh_of(2, 4), batch=6),
        exchange_on_2x2x2=exchange_on(guidance_mesh(), batch=3, output=3 * 8 * 8 * 4 * 4),
        exchange_on_1x8=exchange_on(mesh_of(1, 8), batch=2, wish=DRAWN_OFTEN),
        **draws(),  # pyright: ignore[reportArgumentType]
        **measure_memory(),  # pyright: ignore[reportArgumentType]
    )
