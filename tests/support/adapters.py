"""Low-rank adapters of random numbers."""

import numpy as np

from litefocus_jax.checkpoint import weights
from litefocus_jax.checkpoint.lora import Adapter, LoraConfig, adapted_kernels
from litefocus_jax.models.unet.network import UNet


def random_adapter(unet: UNet, config: LoraConfig) -> Adapter:
    """An adapter that changes every kernel it may."""
    generator = np.random.default_rng(0)
    adapter = {}
    for path, (inputs, outputs) in adapted_kernels(weights.leaves(unet), config.target).items():
        layer = path.removesuffix(".kernel")
        adapter[f"{layer}.lora_A"] = generator.standard_normal((inputs, config.rank), np.float32)
        adapter[f"{layer}.lora_B"] = generator.standard_normal((config.rank, outputs), np.float32)
    return adapter
