"""What is made of a sound that is given, against the authors' formulas and diffusers'."""

from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler
from transformers.audio_utils import mel_filter_bank

from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.decoding.encoding import mel_of
from litefocus_jax.diffusion.inpainting import Known, hold
from litefocus_jax.diffusion.noise import noise_levels
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import initial_state, make_schedule, skipped_steps, step
from litefocus_jax.models.vocoder import VocoderConfig

CONFIG = SchedulerConfig.tiny()
NOISE_SCHEDULE = {"beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear", "steps_offset": 1}
SHAPE = (2, 6, 4, 3)


def normal(seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(SHAPE).astype(np.float32)


def test_the_front_end_is_that_of_the_authors() -> None:
    # TacotronSTFT of AudioLDM2: a convolution with the windowed Fourier basis over the reflected sound, Slaney's mel
    # filters over magnitudes, and the logarithm of what is at least 1e-5.
    samples = np.random.default_rng(0).uniform(-0.5, 0.5, 16000).astype(np.float32)
    basis = np.fft.fft(np.eye(1024))[:513]
    window = torch.hann_window(1024, periodic=True, dtype=torch.float64)
    kernels = torch.from_numpy(np.concatenate([basis.real, basis.imag])) * window
    padded = torch.nn.functional.pad(torch.from_numpy(samples).double()[None, None], (512, 512), mode="reflect")
    real, imaginary = torch.nn.functional.conv1d(padded, kernels[:, None], stride=160)[0].chunk(2)
    filters = mel_filter_bank(513, 64, 0.0, 8000.0, 16000, norm="slaney", mel_scale="slaney")
    expected = torch.log(torch.clamp(torch.from_numpy(filters.T) @ torch.sqrt(real**2 + imaginary**2), min=1e-5))
    config = VocoderConfig.from_dict(published_config("audioldm2", "vocoder"))
    np.testing.assert_allclose(mel_of(samples, config), expected.T[:100], atol=2e-4)


@pytest.mark.parametrize("steps", [1, 7, 25, 50, 200])
@pytest.mark.parametrize("strength", [0.05, 0.3, 0.58, 0.6, 0.75, 0.99, 1.0])
def test_the_steps_that_are_kept_are_those_of_image_to_image(steps: int, strength: float) -> None:
    # StableDiffusionImg2ImgPipeline.get_timesteps
    init_timestep = min(int(steps * strength), steps)
    expected = max(steps - init_timestep, 0)
    assert skipped_steps(steps, strength) == min(expected, steps - 1)  # diffusers refuses where no step is left


def test_frames_are_held_by_the_formula_of_diffusers_inpainting() -> None:
    scheduler = DDIMScheduler(**NOISE_SCHEDULE)
    clean, noise, latents = map(normal, range(3))
    weight = np.linspace(0.0, 1.0, 6, dtype=np.float32).reshape(1, 6, 1, 1)
    arrays = [jnp.asarray(each) for each in (clean, noise, weight, *noise_levels(CONFIG))]
    known = Known(arrays[0], arrays[1], arrays[2], arrays[3], arrays[4])
    for timestep in (1, 401, 996):
        at = torch.tensor([timestep])
        proper: Any = scheduler.add_noise(torch.from_numpy(clean), torch.from_numpy(noise), at)  # pyright: ignore[reportArgumentType]
        init_mask = torch.from_numpy(1.0 - weight)  # 1 where it is made anew
        expected = (1 - init_mask) * proper + init_mask * torch.from_numpy(latents)
        np.testing.assert_allclose(hold(known, jnp.asarray(latents), jnp.int32(timestep)), expected, atol=1e-6)


def test_a_variation_is_that_of_diffusers_sampler_entered_in_the_middle() -> None:
    reference: Any = DPMSolverMultistepScheduler(**NOISE_SCHEDULE, timestep_spacing="trailing")
    reference.set_timesteps(20)
    schedule = make_schedule(CONFIG, 20, scheduler="dpm++", timestep_spacing="trailing", strength=0.6)
    timesteps = reference.timesteps[skipped_steps(20, 0.6) :]
    assert schedule.steps.timestep.tolist() == timesteps.tolist()
    reference.set_begin_index(skipped_steps(20, 0.6))
    theirs = torch.from_numpy(normal(0))
    state = initial_state(schedule, jnp.asarray(normal(0)))
    for number, timestep in enumerate(timesteps):
        output = 0.7 * theirs + 0.1 * torch.from_numpy(normal(number))
        state = step(schedule, schedule.rows(number, number + 1), state, jnp.asarray(output.numpy()))
        theirs = reference.step(output, timestep, theirs).prev_sample
        np.testing.assert_allclose(state.latents, theirs, atol=2e-5)
