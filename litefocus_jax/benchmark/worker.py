"""The process that runs our code for the benchmark: ``python -m litefocus_jax.benchmark.worker WORKLOAD``."""

import functools
import sys
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from litefocus_jax import generate
from litefocus_jax.benchmark.protocol import claim_output, process_peak_bytes, serve
from litefocus_jax.benchmark.unet_call import evaluate, random_inputs
from litefocus_jax.benchmark.workload import Workload
from litefocus_jax.checkpoint.modules import abstract
from litefocus_jax.checkpoint.store import open_checkpoint
from litefocus_jax.checkpoint.sub_models import SUB_MODELS
from litefocus_jax.memory import release_unused_memory
from litefocus_jax.models.unet import UNet
from litefocus_jax.random_model import random_model

_CLASSES = {part.folder: part.model_class for part in SUB_MODELS}


def load(workload: Workload, sub_model: str, dtype: str) -> Any:
    """A sub-model of the workload's model, or one with random weights in a published shape."""
    if workload.model is not None:
        return open_checkpoint(workload.model).sub_models[sub_model].load(dtype)
    return random_model(_CLASSES[sub_model], workload.configs()[sub_model], dtype=dtype)


def prepare_unet(workload: Workload) -> tuple[Callable[[], Any], float]:
    """One UNet call, and the seconds it took to compile.

    Compiled before there are weights, so that what the compiler leaves behind does not count against them.
    """
    shapes = abstract(UNet, workload.configs()["unet"], jnp.dtype(workload.dtype))
    input_shapes = jax.eval_shape(functools.partial(random_inputs, workload=workload), shapes)
    compiled, seconds = _compile(evaluate.lower(shapes, input_shapes, litefocus=workload.litefocus))
    unet = load(workload, "unet", workload.dtype)
    inputs = random_inputs(unet, workload)
    return lambda: compiled(unet, inputs), seconds


def prepare_decoder(workload: Workload) -> tuple[Callable[[], Any], float]:
    """VAE and vocoder for one sound, and the seconds they took to compile."""
    configs = workload.configs()
    vae, vocoder = (abstract(_CLASSES[name], configs[name]) for name in ("vae", "vocoder"))
    latents = jax.random.normal(jax.random.key(0), (1, *workload.latent_shape()[1:]))
    scaling_factor = jnp.float32(configs["vae"].scaling_factor)
    mel = jax.eval_shape(generate.decode_latents, vae, latents, scaling_factor)
    decode, decode_seconds = _compile(generate.decode_latents.lower(vae, latents, scaling_factor))
    vocode, vocode_seconds = _compile(generate.vocode.lower(vocoder, mel))
    vae, vocoder = (load(workload, name, "float32") for name in ("vae", "vocoder"))
    return lambda: vocode(vocoder, decode(vae, latents, scaling_factor)), decode_seconds + vocode_seconds


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
    prepare = prepare_unet if workload.part == "unet" else prepare_decoder
    call, compile_s = prepare(workload)
    jax.block_until_ready(call())
    device = jax.local_devices()[0]
    serve(
        output,
        lambda: jax.block_until_ready(call()),
        lambda: _peak_bytes(device),
        compile_s=compile_s,
        device=device.device_kind,
    )


def _peak_bytes(device: jax.Device) -> int:
    """Of the device where it keeps count, otherwise of the process."""
    statistics = device.memory_stats()
    return statistics["peak_bytes_in_use"] if statistics else process_peak_bytes()


if __name__ == "__main__":
    main()
