"""The process that runs diffusers' models for the benchmark: ``python -m convert.diffusers_worker WORKLOAD``."""

import dataclasses
import sys
from collections.abc import Callable
from typing import Any

import torch
from diffusers import AudioLDM2UNet2DConditionModel, AutoencoderKL
from transformers import SpeechT5HifiGan, SpeechT5HifiGanConfig

from litefocus_jax.benchmark.protocol import claim_output, process_peak_bytes, serve
from litefocus_jax.benchmark.workload import BATCH_SIZE, GENERATED_VECTORS, PROMPT_TOKENS, Workload, prompt_widths

# Threads and kernels are warm after a sound of this length, and a call for a longer one takes minutes.
_LONGEST_WARM_UP_IN_S = 80.0

PrepareCall = Callable[[Workload], Callable[[], Any]]
"""Makes the call to be timed from a workload, whose duration is all that matters here."""


def load_unet(workload: Workload, device: str) -> PrepareCall:
    """The UNet. Attention is torch's scaled_dot_product_attention, diffusers' own."""
    dtype = getattr(torch, workload.dtype)
    config = workload.configs()["unet"]
    unet: Any = AudioLDM2UNet2DConditionModel.from_config(config.to_dict())
    unet = unet.to(device=device, dtype=dtype).eval()

    def normal(*shape: int) -> torch.Tensor:
        return torch.randn(shape, device=device, dtype=dtype)

    def prepare_call(workload: Workload) -> Callable[[], Any]:
        generated_width, text_width = prompt_widths(config)
        batch, frames, frequencies, channels = workload.latent_shape()
        sample = normal(batch, channels, frames, frequencies)
        generated = normal(BATCH_SIZE, GENERATED_VECTORS, generated_width)
        text = normal(BATCH_SIZE, PROMPT_TOKENS, text_width)
        mask = torch.ones(BATCH_SIZE, PROMPT_TOKENS, dtype=torch.long, device=device)
        timestep = torch.tensor(500, device=device)
        return lambda: unet(
            sample,
            timestep,
            encoder_hidden_states=generated,
            encoder_hidden_states_1=text,
            encoder_attention_mask_1=mask,
            return_dict=False,
        )

    return prepare_call


def load_decoder(workload: Workload, device: str) -> PrepareCall:
    """VAE and vocoder, for one sound."""
    configs = workload.configs()
    vae: Any = AutoencoderKL.from_config(configs["vae"].to_dict())
    vocoder: Any = SpeechT5HifiGan(SpeechT5HifiGanConfig(**configs["vocoder"].to_dict()))
    vae, vocoder = vae.to(device).eval(), vocoder.to(device).eval()

    def prepare_call(workload: Workload) -> Callable[[], Any]:
        _, frames, frequencies, channels = workload.latent_shape()
        latents = torch.randn(1, channels, frames, frequencies, device=device) / configs["vae"].scaling_factor
        return lambda: vocoder(vae.decode(latents).sample[:, 0])

    return prepare_call


def main() -> None:
    """Build, warm up, and answer the benchmark."""
    output = claim_output()
    workload = Workload.from_json(sys.argv[1])
    torch.manual_seed(0)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    prepare_call = (load_unet if workload.part == "unet" else load_decoder)(workload, device)

    def run(call: Callable[[], Any]) -> None:
        with torch.inference_mode():
            call()
        if device == "cuda":
            torch.cuda.synchronize()

    run(prepare_call(dataclasses.replace(workload, duration_in_s=min(workload.duration_in_s, _LONGEST_WARM_UP_IN_S))))
    call = prepare_call(workload)
    serve(output, lambda: run(call), _peak_bytes, compile_in_s=0.0, device=device)  # there is nothing to compile


def _peak_bytes() -> int:
    return torch.cuda.max_memory_allocated() if torch.cuda.is_available() else process_peak_bytes()


if __name__ == "__main__":
    main()
