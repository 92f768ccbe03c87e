"""The process that runs our code for the benchmark: ``python -m litefocus_jax.benchmark.worker WORKLOAD``."""

import functools
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from litefocus_jax.audio import save_audio_blocks
from litefocus_jax.benchmark.protocol import claim_output, process_peak_bytes, serve
from litefocus_jax.benchmark.unet_call import evaluate, random_inputs
from litefocus_jax.benchmark.workload import Workload
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.checkpoint.store import open_checkpoint
from litefocus_jax.checkpoint.weights import abstract
from litefocus_jax.decoding import whole
from litefocus_jax.decoding.plan import TilingConfig, plan_decoding
from litefocus_jax.decoding.programs import lower_programs
from litefocus_jax.decoding.sound import sound_blocks
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.system.platform import release_unused_memory

_CLASSES = {name: network.model_class for name, network in NETWORKS.items()}


def load(workload: Workload, name: str, dtype: str) -> Any:
    """A sub-model of the workload's model, or one with random weights in a published shape."""
    if workload.model is not None:
        return open_checkpoint(workload.model).with_heads(workload.heads).networks[name].load(dtype)
    return random_model(_CLASSES[name], workload.configs()[name], dtype=dtype)


def prepare_unet(workload: Workload) -> tuple[Callable[[], Any], float]:
    """One UNet call, and the seconds it took to compile.

    The call is compiled before there are weights, so that what the compiler leaves behind does not count against them.
    """
    shapes = abstract(UNet, workload.configs()["unet"], jnp.dtype(workload.dtype))
    input_shapes = jax.eval_shape(functools.partial(random_inputs, workload=workload), shapes)
    compiled, seconds = _compile(evaluate.lower(shapes, input_shapes, attention=workload.attention))
    unet = load(workload, "unet", workload.dtype)
    inputs = random_inputs(unet, workload)
    return lambda: compiled(unet, inputs), seconds


def prepare_decoder(workload: Workload) -> tuple[Callable[[], Any], float]:
    """VAE and vocoder for one sound, and the seconds they took to compile."""
    configs = workload.configs()
    vae, vocoder = (abstract(_CLASSES[name], configs[name]) for name in ("vae", "vocoder"))
    latents = jax.random.normal(jax.random.key(0), (1, *workload.latent_shape()[1:]))
    mel = jax.eval_shape(whole.decode_latents, vae, latents)
    decode, decode_seconds = _compile(whole.decode_latents.lower(vae, latents))
    vocode, vocode_seconds = _compile(whole.vocode.lower(vocoder, mel))
    vae, vocoder = (load(workload, name, "float32") for name in ("vae", "vocoder"))
    return lambda: vocode(vocoder, decode(vae, latents)), decode_seconds + vocode_seconds


def prepare_tiles(workload: Workload, folder: Path) -> tuple[Callable[[], Any], float]:
    """The decoding of one sound in tiles to a WAV file in a folder, and the seconds its programs took to compile."""
    configs = workload.configs()
    _, frames, frequencies, channels = workload.latent_shape()
    plan = plan_decoding(configs["vae"], configs["vocoder"], frames, TilingConfig(whole_up_to_in_s=0))
    vae, vocoder = (abstract(_CLASSES[name], configs[name]) for name in ("vae", "vocoder"))
    of_vae, of_vocoder = lower_programs(vae, vocoder, plan, frequencies)
    seconds = sum(_compile(lowered)[1] for lowered in of_vae + of_vocoder)
    vae, vocoder = (load(workload, name, "float32") for name in ("vae", "vocoder"))
    latents = np.random.default_rng(0).standard_normal((frames, frequencies, channels), np.float32)

    def decode() -> int:
        blocks = sound_blocks(vae, vocoder, latents, plan)
        return save_audio_blocks(folder / "sound.wav", blocks, configs["vocoder"].sampling_rate)

    return decode, seconds


def _compile(lowered: Any) -> tuple[Any, float]:
    started = time.perf_counter()
    compiled = lowered.compile()
    seconds = time.perf_counter() - started
    release_unused_memory()
    return compiled, seconds


def main() -> None:
    """Compile, load, warm up, and answer the benchmark."""
    output = claim_output()
    workload = Workload.from_json(sys.argv[1])
    device = jax.local_devices()[0]
    with tempfile.TemporaryDirectory() as folder:
        prepare = {
            "unet": prepare_unet,
            "decoder": prepare_decoder,
            "tiles": functools.partial(prepare_tiles, folder=Path(folder)),
        }
        call, compile_in_s = prepare[workload.part](workload)
        if workload.part != "tiles":  # tiles take so long that what a first call adds does not matter
            jax.block_until_ready(call())
        serve(
            output,
            lambda: jax.block_until_ready(call()),
            lambda: _peak_bytes(device),
            compile_in_s=compile_in_s,
            device=device.device_kind,
        )


def _peak_bytes(device: jax.Device) -> int:
    """Peak memory of the device where it keeps count, otherwise of the process."""
    statistics = device.memory_stats()
    return statistics["peak_bytes_in_use"] if statistics else process_peak_bytes()


if __name__ == "__main__":
    main()
