"""The samplers against diffusers', along whole trajectories."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
from diffusers.schedulers.scheduling_ddim import DDIMScheduler
from diffusers.schedulers.scheduling_dpmsolver_multistep import DPMSolverMultistepScheduler

from litefocus_jax.diffusion.noise import add_noise, velocity
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import initial_state, make_schedule, step

# numpy 2 about the way diffusers turns a tensor into an array.
pytestmark = pytest.mark.filterwarnings("ignore:__array__ implementation doesn't accept a copy:DeprecationWarning")

AUDIOLDM2 = {"beta_start": 0.0015, "beta_end": 0.0195, "beta_schedule": "scaled_linear", "steps_offset": 1}
SHAPE = (2, 5, 4, 3)
CLASSES = {"ddim": DDIMScheduler, "dpm++": DPMSolverMultistepScheduler}


def in_float64(reference: Any) -> Any:
    """diffusers' scheduler, its tables widened: in float32 it loses digits of its own where alpha_bar is nearly 0."""
    reference.alphas_cumprod = reference.alphas_cumprod.double()
    reference.final_alpha_cumprod = torch.as_tensor(getattr(reference, "final_alpha_cumprod", 1.0)).double()
    if isinstance(reference, DPMSolverMultistepScheduler):
        reference.sigmas = reference.sigmas.double()
    return reference


def denoise(latents, timestep, table, prediction_type):
    """The best prediction for data drawn from a normal distribution with mean 0.3 and standard deviation 0.7."""
    alpha_bar = table[timestep]
    signal, spread = np.sqrt(alpha_bar), np.sqrt(1.0 - alpha_bar)
    noise = spread * (latents - signal * 0.3) / (alpha_bar * 0.49 + 1.0 - alpha_bar)
    data = (latents - spread * noise) / signal
    return signal * noise - spread * data if prediction_type == "v_prediction" else noise


def assert_same_trajectory(reference: Any, schedule, eta=0.0):
    """Run both from the same noise, and compare the latents after every step."""
    reference.set_timesteps(schedule.num_steps)
    reference = in_float64(reference)
    np.testing.assert_array_equal(schedule.steps.timestep, reference.timesteps.numpy())
    table, prediction_type = reference.alphas_cumprod.numpy(), reference.config.prediction_type
    rng = np.random.default_rng(0)
    expected = rng.standard_normal(SHAPE)
    state = initial_state(schedule, jnp.asarray(expected, jnp.float32))
    advance = jax.jit(step)
    for index, timestep in enumerate(reference.timesteps):
        noise = rng.standard_normal(SHAPE)
        options = {"eta": eta, "variance_noise": torch.from_numpy(noise)} if eta else {}
        output = denoise(expected, timestep, table, prediction_type)
        # Float32 latents, divided by the share of the signal in them.
        rounding = np.finfo(np.float32).eps * np.abs(expected).max() / np.sqrt(table[timestep])
        sample = torch.from_numpy(expected)
        expected = reference.step(torch.from_numpy(output), timestep, sample, **options).prev_sample.double().numpy()
        output = denoise(np.asarray(state.latents), timestep, table, prediction_type)
        row = jax.tree.map(lambda column, index=index: column[index], schedule.steps)
        state = advance(
            schedule, row, state, jnp.asarray(output, jnp.float32), jnp.asarray(noise, jnp.float32) if eta else None
        )
        np.testing.assert_allclose(state.latents, expected, rtol=0, atol=1e-5 * expected.std() + rounding)


def compare(kind, options, steps, eta=0.0):
    cls = CLASSES[kind]
    config = SchedulerConfig.from_dict({"_class_name": cls.__name__, **options})
    reference = cls(**options)
    spacing = reference.config.timestep_spacing
    assert_same_trajectory(reference, make_schedule(config, steps, timestep_spacing=spacing, eta=eta), eta)


@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("kind", ["ddim", "dpm++"])
@pytest.mark.parametrize("steps", [1, 2, 10, 25, 50, 200])
def test_trajectory_equals_diffusers(kind, steps, spacing, prediction_type):
    options = {**AUDIOLDM2, "timestep_spacing": spacing, "prediction_type": prediction_type}
    compare(kind, {**options, "clip_sample": False} if kind == "ddim" else options, steps)


@pytest.mark.parametrize("eta", [0.5, 1.0])
@pytest.mark.parametrize("prediction_type", ["epsilon", "v_prediction"])
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
@pytest.mark.parametrize("steps", [1, 10, 50])
def test_added_noise_equals_diffusers(steps, spacing, prediction_type, eta):
    options = {**AUDIOLDM2, "timestep_spacing": spacing, "prediction_type": prediction_type, "set_alpha_to_one": False}
    compare("ddim", {**options, "clip_sample": False}, steps, eta)


@pytest.mark.parametrize("beta_schedule", ["linear", "scaled_linear", "squaredcos_cap_v2"])
@pytest.mark.parametrize("kind", ["ddim", "dpm++"])
def test_beta_schedules_equal_diffusers(kind, beta_schedule):
    # The cosine schedule ends where next to no signal is left, and only a velocity can be turned into data there.
    compare(kind, {"beta_schedule": beta_schedule, "steps_offset": 1, "prediction_type": "v_prediction"}, 20)


@pytest.mark.parametrize("options", [{}, {"clip_sample": True, "clip_sample_range": 0.4}, {"set_alpha_to_one": False}])
def test_clipping_and_final_alpha_equal_diffusers(options):
    compare("ddim", {**AUDIOLDM2, **options}, 10)


@pytest.mark.parametrize("solver_type", ["midpoint", "heun"])
@pytest.mark.parametrize("final", ["zero", "sigma_min"])
@pytest.mark.parametrize("lower_order_final", [True, False])
@pytest.mark.parametrize("euler_at_final", [True, False])
@pytest.mark.parametrize("steps", [3, 14, 15])
def test_last_steps_of_dpm_solver_equal_diffusers(steps, euler_at_final, lower_order_final, final, solver_type):
    options = {
        **AUDIOLDM2,
        "solver_type": solver_type,
        "final_sigmas_type": final,
        "lower_order_final": lower_order_final,
        "euler_at_final": euler_at_final,
    }
    compare("dpm++", options, steps)


@pytest.mark.parametrize("options", [{"timestep_spacing": "leading", "clip_sample": False, "steps_offset": 1}, {}])
@pytest.mark.parametrize("kind", ["ddim", "dpm++"])
def test_other_sampler_equals_from_config_of_diffusers(kind, options):
    stored = {**options, "beta_schedule": "scaled_linear"}
    other = CLASSES["dpm++" if kind == "ddim" else "ddim"]
    reference = CLASSES[kind].from_config(other.from_config(stored).config)
    config = SchedulerConfig.from_dict({"_class_name": other.__name__, **stored})
    spacing = reference.config.timestep_spacing
    assert_same_trajectory(reference, make_schedule(config, 12, scheduler=kind, timestep_spacing=spacing))


@pytest.mark.parametrize("cls", CLASSES.values())
def test_written_json_is_read_by_diffusers(cls):
    options = {**AUDIOLDM2, "timestep_spacing": "trailing", "prediction_type": "v_prediction"}
    config = SchedulerConfig.from_dict({"_class_name": cls.__name__, **options})
    reference = cls.from_config(config.to_dict())
    assert {name: reference.config[name] for name in options} == options


def test_json_written_by_diffusers_is_read(tmp_path):
    for cls in CLASSES.values():
        cls(**AUDIOLDM2).save_config(tmp_path)
        config = SchedulerConfig.from_file(tmp_path / "scheduler_config.json")
        assert (config.class_name, config.beta_end) == (cls.__name__, 0.0195)


def test_forward_process_and_velocity_equal_diffusers():
    reference = DDIMScheduler(**AUDIOLDM2)
    config = SchedulerConfig.from_dict({"_class_name": "DDIMScheduler", **AUDIOLDM2})
    rng = np.random.default_rng(0)
    sample, noise = (rng.standard_normal((3, 4, 2)).astype(np.float32) for _ in range(2))
    timesteps = np.array([1, 500, 999])
    ours = (jnp.asarray(sample), jnp.asarray(noise), timesteps)
    theirs: tuple = (torch.from_numpy(sample), torch.from_numpy(noise), torch.from_numpy(timesteps))
    np.testing.assert_allclose(add_noise(config, *ours), reference.add_noise(*theirs), atol=1e-6)
    np.testing.assert_allclose(velocity(config, *ours), reference.get_velocity(*theirs), atol=1e-6)
