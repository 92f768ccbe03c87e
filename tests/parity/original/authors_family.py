"""Likewise for AudioLDM (PyPI audioldm 0.1.1), audioldm_48k and audioldm_16k_crossattn_t5: ``python authors_family.py
FOLDER EXPECTED``.

This file imports nothing of ours either. Widths are a quarter of the authors'.
"""

# pyright: reportMissingImports=false

import sys
from pathlib import Path
from typing import Any

import numpy as np
import torch
from authors import below, find_authors, noise
from safetensors.torch import load_file

FIRST, OF_48K, OF_T5 = "audioldm-s-full", "audioldm_48k", "audioldm_16k_crossattn_t5"
CLAP_WIDTH, T5_WIDTH = 128, 256
TIMESTEPS = torch.tensor([500, 21])
UNET: dict[str, Any] = {
    "image_size": 64, "model_channels": 32, "attention_resolutions": [8, 4, 2], "num_res_blocks": 2,
    "channel_mult": [1, 2, 3, 5], "num_head_channels": 32, "use_spatial_transformer": True,
}  # fmt: skip


def loaded(model: Any, tensors: dict[str, torch.Tensor], prefix: str) -> Any:
    model.load_state_dict(below(tensors, prefix))
    return model.eval()


def unet_of_first(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from audioldm.latent_diffusion.openaimodel import UNetModel

    model = UNetModel(
        **UNET, in_channels=8, out_channels=8, extra_film_condition_dim=CLAP_WIDTH, extra_film_use_concat=True
    )
    model = loaded(model, tensors, "model.diffusion_model.")
    sample, labels = noise(2, 8, 16, 16), noise(2, CLAP_WIDTH, seed=1)
    return {
        "sample": sample,
        "timesteps": TIMESTEPS,
        "labels": labels,
        "prediction": model(sample, TIMESTEPS, y=labels),
    }


def unet_of_48k(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from audioldm2.latent_diffusion.modules.diffusionmodules.openaimodel import UNetModel

    model = UNetModel(**UNET, in_channels=16, out_channels=16, extra_film_condition_dim=CLAP_WIDTH, context_dim=[None])
    model = loaded(model, tensors, "model.diffusion_model.")
    sample, labels = noise(2, 16, 16, 16), noise(2, CLAP_WIDTH, seed=1)
    prediction = model(sample, TIMESTEPS, y=labels, context_list=[], context_attn_mask_list=[])
    return {"sample": sample, "timesteps": TIMESTEPS, "labels": labels, "prediction": prediction}


def unet_of_t5(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from audioldm2.latent_diffusion.modules.diffusionmodules.openaimodel import UNetModel

    model = UNetModel(**UNET, in_channels=8, out_channels=8, context_dim=[T5_WIDTH])
    model = loaded(model, tensors, "model.diffusion_model.")
    sample, text = noise(2, 8, 16, 16), noise(2, 6, T5_WIDTH, seed=2)
    mask = torch.tensor([[1.0] * 6, [1.0] * 4 + [0.0] * 2])
    prediction = model(sample, TIMESTEPS, context_list=[text], context_attn_mask_list=[mask])
    return {"sample": sample, "timesteps": TIMESTEPS, "text": text, "mask": mask, "prediction": prediction}


def vae_of_48k(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from audioldm2.latent_encoder.autoencoder import AutoencoderKL

    own = {
        "double_z": True, "mel_bins": 256, "z_channels": 16, "resolution": 256, "downsample_time": False,
        "in_channels": 1, "out_ch": 1, "ch": 32, "ch_mult": [1, 2, 4, 8], "num_res_blocks": 2, "attn_resolutions": [],
        "dropout": 0,
    }  # fmt: skip
    model = AutoencoderKL(ddconfig=own, embed_dim=16, image_key="stft").eval()
    state = below(tensors, "first_stage_model.")
    model.load_state_dict({key: tensor for key, tensor in state.items() if not key.startswith("vocoder.")})
    mel, latents = noise(1, 1, 32, 32, seed=3), noise(1, 16, 4, 4, seed=4)
    posterior = model.encode(mel)
    found = {"mel": mel, "mean": posterior.mean, "logvar": posterior.logvar}
    return {**found, "latents": latents, "decoded": model.decode(latents)}


def vocoder_of_48k(tensors: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    from audioldm2 import hifigan
    from audioldm2.utilities.model import get_vocoder_config_48k

    config = get_vocoder_config_48k() | {"upsample_initial_channel": 384, "num_mels": 64}
    model = hifigan.Generator_old(hifigan.AttrDict(config)).eval()
    model.remove_weight_norm()
    mel = noise(1, 64, 6, seed=5)
    return {"mel": mel, "waveform": loaded(model, tensors, "first_stage_model.vocoder.")(mel)}


def main() -> None:
    """Run every class, and write inputs and outputs by the name of the network."""
    folder, expected = map(Path, sys.argv[1:3])
    find_authors("audioldm2")
    find_authors("audioldm")
    first, of_48k, of_t5 = (load_file(folder / f"{name}.safetensors") for name in (FIRST, OF_48K, OF_T5))
    with torch.no_grad():
        found = {
            "unet_of_first": unet_of_first(first),
            "unet_of_48k": unet_of_48k(of_48k),
            "unet_of_t5": unet_of_t5(of_t5),
            "vae_of_48k": vae_of_48k(of_48k),
            "vocoder_of_48k": vocoder_of_48k(of_48k),
        }
    arrays = {f"{network}.{name}": each.numpy() for network, values in found.items() for name, each in values.items()}
    np.savez_compressed(expected, **arrays)  # type: ignore[arg-type]


if __name__ == "__main__":
    main()
