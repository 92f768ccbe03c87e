"""The process that runs our UNet for the benchmark: ``python -m litefocus_jax.benchmark.worker WORKLOAD``."""

import sys
import time

import jax

from litefocus_jax.benchmark.protocol import claim_output, process_peak_bytes, serve
from litefocus_jax.benchmark.unet_call import prepare
from litefocus_jax.benchmark.workload import Workload
from litefocus_jax.checkpoint.store import open_checkpoint
from litefocus_jax.models.unet import UNet
from litefocus_jax.random_model import random_model


def load_unet(workload: Workload) -> UNet:
    """The UNet of a model, or one with random weights in a published shape."""
    if workload.model is not None:
        return open_checkpoint(workload.model).sub_models["unet"].load(workload.dtype)  # pyright: ignore[reportReturnType]
    return random_model(UNet, workload.configs()["unet"], dtype=workload.dtype)


def main() -> None:
    """Build, compile, warm up, and answer the benchmark."""
    output = claim_output()
    workload = Workload.from_json(sys.argv[1])
    unet = load_unet(workload)
    evaluate, arguments = prepare(unet, workload)
    lowered = evaluate.lower(*arguments)
    started = time.perf_counter()
    compiled = lowered.compile()
    compile_s = time.perf_counter() - started

    def call() -> None:
        compiled(*arguments).block_until_ready()

    call()
    device = jax.local_devices()[0]
    serve(output, call, lambda: _peak_bytes(device), compile_s=compile_s, device=device.device_kind)


def _peak_bytes(device: jax.Device) -> int:
    """Of the device where it keeps count, otherwise of the process."""
    statistics = device.memory_stats()
    return statistics["peak_bytes_in_use"] if statistics else process_peak_bytes()


if __name__ == "__main__":
    main()
