"""The whole path, prompts to waveform, against diffusers: from its own folder and from the converted one."""

import subprocess
import sys
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pytest
import torch
from diffusers import AudioLDM2Pipeline as DiffusersPipeline
from diffusers import DDIMScheduler, DPMSolverMultistepScheduler

from litefocus_jax import AudioLDM2Pipeline
from tests.support.parity import nhwc
from tests.support.reference import build_diffusers_folder
from tests.support.tolerance import deviation

ROOT = Path(__file__).parents[2]
PROMPTS = ["rain on a tin roof", "a dog barks twice, far away"]
NEGATIVE_PROMPTS = ["low quality", "a voice that goes on for longer than either of the two prompts does"]
SCHEDULERS = {"ddim": DDIMScheduler, "dpm++": DPMSolverMultistepScheduler}


@pytest.fixture(scope="module")
def diffusers_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "diffusers"
    build_diffusers_folder(folder)
    return folder


@pytest.fixture(scope="module")
def reference(diffusers_folder: Path) -> Any:
    pipe = DiffusersPipeline.from_pretrained(diffusers_folder)
    pipe.set_progress_bar_config(disable=True)
    return pipe


@pytest.fixture(scope="module", params=["diffusers", "converted"])
def ours(request: pytest.FixtureRequest, diffusers_folder: Path) -> AudioLDM2Pipeline:
    if request.param == "diffusers":
        return AudioLDM2Pipeline.from_pretrained(diffusers_folder)
    converted = diffusers_folder.with_name("converted")
    subprocess.run([sys.executable, "-m", "convert", str(diffusers_folder), str(converted)], check=True, cwd=ROOT)
    return AudioLDM2Pipeline.from_pretrained(converted)


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++"])
def test_ten_guided_steps_give_the_waveform_of_diffusers(
    ours: AudioLDM2Pipeline, reference: Any, scheduler: Literal["ddim", "dpm++"]
) -> None:
    seconds = 0.5
    geometry = ours.geometry
    shape = (len(PROMPTS), geometry.channels, geometry.latent_frames(seconds), geometry.frequencies)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    reference.scheduler = SCHEDULERS[scheduler].from_config(reference.scheduler.config)
    arguments = {"audio_length_in_s": seconds, "num_inference_steps": 10, "guidance_scale": 3.5}

    expected = reference(PROMPTS, negative_prompt=NEGATIVE_PROMPTS, latents=latents, **arguments).audios
    actual = ours(
        PROMPTS,
        negative_prompt=NEGATIVE_PROMPTS,
        latents=nhwc(latents),
        scheduler=scheduler,
        timestep_spacing="leading",
        litefocus=None,
        **arguments,
    ).audios

    assert actual.dtype == np.float32
    assert deviation(actual, expected) < 1e-3


def test_unguided_sound_of_two_waveforms_per_prompt_is_that_of_diffusers(
    ours: AudioLDM2Pipeline, reference: Any
) -> None:
    shape = (4, ours.geometry.channels, 9, ours.geometry.frequencies)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    arguments = {"audio_length_in_s": 0.36, "num_inference_steps": 4, "guidance_scale": 1.0}
    reference.scheduler = DDIMScheduler.from_config(reference.scheduler.config)

    embeds, mask, generated = reference.encode_prompt(PROMPTS, "cpu", 2, False)
    # Given embeddings instead of prompts, diffusers does not rank the waveforms (nor mix up the prompts' sounds).
    expected = reference(
        prompt_embeds=embeds, generated_prompt_embeds=generated, attention_mask=mask, latents=latents, **arguments
    ).audios
    actual = ours(
        PROMPTS,
        num_waveforms_per_prompt=2,
        latents=nhwc(latents),
        timestep_spacing="leading",
        litefocus=None,
        **arguments,
    ).audios

    assert deviation(actual, expected) < 1e-3
