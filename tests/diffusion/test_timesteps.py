"""No number of steps begins where the network expects signal in pure noise."""

import dataclasses
import logging

import jax
import numpy as np
import pytest

from litefocus_jax.diffusion.noise import alphas_cumprod
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import make_schedule
from litefocus_jax.diffusion.timesteps import choose_spacing, following_timesteps, spaced_timesteps
from litefocus_jax.system.json_config import ConfigError

CONFIG = SchedulerConfig.tiny()
BOTH = pytest.mark.parametrize("kind", ["ddim", "dpm++"])


@BOTH
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace", None])
def test_every_number_of_steps_begins_at_noise_alone(kind, spacing):
    config = dataclasses.replace(CONFIG, timestep_spacing=spacing)
    alpha_bar = alphas_cumprod(config).astype(np.float64)
    for steps in range(1, 1001):
        timesteps = make_schedule(config, steps, scheduler=kind).steps.timestep
        assert len(timesteps) == steps
        assert np.all(np.diff(timesteps) < 0)
        assert timesteps[-1] >= 0
        # Of latents whose standard deviation is 1: the noise they are, and the signal the network expects in them.
        noise, signal = np.sqrt(1.0 - alpha_bar[timesteps[0]]), np.sqrt(alpha_bar[timesteps[0]])
        assert noise > 0.98, steps
        assert signal <= (0.03 if steps < 30 else 0.02), steps


@pytest.mark.parametrize(
    ("kind", "steps"), [("dpm++", 200), ("dpm++", 250), ("ddim", 334), ("ddim", 1), ("ddim", 150), ("dpm++", 100)]
)
def test_a_number_of_steps_that_leading_begins_low_is_spaced_from_the_end(kind, steps):
    assert choose_spacing(CONFIG, steps, kind) == "trailing"
    assert make_schedule(CONFIG, steps, scheduler=kind).steps.timestep[0] == 999


@pytest.mark.parametrize(("kind", "steps"), [("ddim", 200), ("ddim", 50), ("ddim", 10), ("dpm++", 20), ("dpm++", 50)])
def test_the_checkpoint_s_spacing_stays_where_it_begins_at_noise(kind, steps):
    schedule = make_schedule(CONFIG, steps, scheduler=kind)
    assert choose_spacing(CONFIG, steps, kind) == "leading"
    np.testing.assert_array_equal(schedule.steps.timestep, spaced_timesteps(CONFIG, "leading", steps, kind))


def test_a_schedule_whose_last_timestep_holds_signal_keeps_its_spacing():
    faint = SchedulerConfig(beta_end=0.001, timestep_spacing="linspace")
    assert choose_spacing(faint, 20, "ddim") == "linspace"


def test_a_spacing_that_is_asked_for_is_taken_and_warned_of_where_it_begins_low(caplog):
    with caplog.at_level(logging.WARNING):
        schedule = make_schedule(CONFIG, 200, scheduler="dpm++", timestep_spacing="leading")
    assert schedule.steps.timestep[0] == 801
    assert "begins at timestep 801" in caplog.text


@BOTH
def test_a_good_start_is_not_warned_of(kind, caplog):
    with caplog.at_level(logging.WARNING):
        make_schedule(CONFIG, 50, scheduler=kind, timestep_spacing="leading")
        make_schedule(CONFIG, 200, scheduler=kind)
    assert not caplog.text


@pytest.mark.parametrize("steps", [3, 7, 300, 667, 999])
def test_a_trailing_step_of_ddim_arrives_where_the_next_one_begins(steps):
    timesteps = spaced_timesteps(CONFIG, "trailing", steps, "ddim")
    following = following_timesteps(CONFIG, "trailing", timesteps)
    np.testing.assert_array_equal(following[:-1], timesteps[1:])
    assert following[-1] < 0


def test_an_unknown_spacing_is_refused():
    with pytest.raises(
        ValueError, match="timestep_spacing = 'even'; expected 'leading', 'trailing', 'linspace', 'uniform' or None"
    ):
        make_schedule(CONFIG, 10, timestep_spacing="even")


@pytest.mark.parametrize(("steps", "run"), [(200, 200), (150, 167), (400, 500)])
def test_uniform_strides_go_up_to_the_end_however_many_they_are(steps, run):
    timesteps = spaced_timesteps(CONFIG, "uniform", steps, "ddim")
    assert len(timesteps) == run
    assert timesteps[-1] == 1
    np.testing.assert_array_equal(following_timesteps(CONFIG, "uniform", timesteps)[:-1], timesteps[1:])
    if run == steps:
        schedules = [make_schedule(CONFIG, steps, timestep_spacing=each).steps for each in ("uniform", "leading")]
        jax.tree.map(np.testing.assert_array_equal, *schedules)


@pytest.mark.parametrize(("steps", "other"), [(3, 2), (300, 250), (1000, 500)])
def test_uniform_strides_that_pass_the_end_are_refused_with_a_number_that_fits(steps, other):
    with pytest.raises(ValueError, match=f"begins at timestep 1000, past 999.*such as {other}$"):
        make_schedule(CONFIG, steps, timestep_spacing="uniform")
    make_schedule(CONFIG, other, timestep_spacing="uniform")


def test_uniform_strides_are_ddim_s_alone_and_not_written_to_diffusers_json():
    with pytest.raises(ValueError, match="timestep_spacing = 'uniform' needs scheduler 'ddim', not 'dpm\\+\\+'"):
        make_schedule(CONFIG, 20, scheduler="dpm++", timestep_spacing="uniform")
    with pytest.raises(ConfigError, match="timestep_spacing = 'uniform' is not supported"):
        dataclasses.replace(CONFIG, timestep_spacing="uniform")


def test_a_share_of_uniform_strides_is_one_of_those_that_run():
    assert make_schedule(CONFIG, 150, timestep_spacing="uniform", strength=0.5).num_steps == 83
