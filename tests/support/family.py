"""Small models of the family with random weights, whose UNets have two levels: a third of the time to compile.

Run as a module it makes sounds on one device and on several, in a process of four virtual devices.
"""

import dataclasses
import functools
import sys
from pathlib import Path
from typing import Any

import numpy as np

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.random_model import random_model, save_random_model
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.unet.network import UNet
from tests.support.devices import mesh_of
from tests.support.folders import new_path
from tests.support.models import LABELLED_UNET
from tests.support.training import quick_compilation

OF_48K, OF_T5, FIRST, MUSIC = "audioldm_48k", "audioldm_16k_crossattn_t5", "audioldm", "musicldm"
BRIEF: Any = {"num_inference_steps": 2, "litefocus": None, "progress": False, "seed": 3}

_TWO_LEVELS: dict[str, Any] = {
    name: getattr(LABELLED_UNET, name) for name in ("down_block_types", "up_block_types", "block_out_channels")
}
_PROMPTS: dict[str, Any] = {OF_48K: ((None, None),) * 2, OF_T5: ((None, 24),) * 2}


@functools.cache
def family_folder(name: str) -> Path:
    """A native folder with a small random model."""
    folder = new_path(f"small-{name}")
    save_random_model(folder, size=f"tiny-{name}")
    components = load_components(folder)
    unet = LABELLED_UNET
    if name in _PROMPTS:
        unet = dataclasses.replace(components.unet.config, **_TWO_LEVELS, cross_attention_dim=_PROMPTS[name])
    save_native(dataclasses.replace(components, unet=random_model(UNet, unet)), folder, overwrite=True)
    return folder


@functools.cache
def family_pipeline(name: str) -> AudioLDM2Pipeline:
    """Its pipeline."""
    return AudioLDM2Pipeline.from_pretrained(family_folder(name))


if __name__ == "__main__":
    sounds = {}
    with quick_compilation():
        for name in (OF_48K, OF_T5):
            options: Any = {**BRIEF, "audio_length_in_s": 1.28, "output_type": "latent"}
            prompts = ["rain", "a dog barks"]
            for shape in ((1, 1), (2, 2)):
                made = family_pipeline(name)(prompts, **options, mesh=None if shape == (1, 1) else mesh_of(*shape))
                sounds[f"{name}_on_{shape[0]}x{shape[1]}"] = made.audios
    np.savez(Path(sys.argv[1]) / "sounds.npz", **sounds)  # pyright: ignore[reportArgumentType]
