"""What the samplers promise beyond parity: scans, chunks, compilation, refusals."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.diffusion.noise import add_noise, alphas_cumprod, velocity
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import initial_state, make_schedule, step

CONFIG = SchedulerConfig.tiny()
LATENTS = jax.random.normal(jax.random.key(0), (2, 6, 4, 3))
BOTH = pytest.mark.parametrize("kind", ["ddim", "dpm++"])


def denoise(latents, timestep):
    return 0.4 * latents + 0.001 * timestep


@jax.jit
def sample(schedule, rows, state):
    def body(state, row):
        return step(schedule, row, state, denoise(state.latents, row.timestep)), None

    return jax.lax.scan(body, state, rows)[0]


@BOTH
def test_sampling_in_chunks_equals_sampling_at_once(kind):
    schedule = make_schedule(CONFIG, 10, scheduler=kind)
    start = initial_state(schedule, LATENTS)
    expected = sample(schedule, schedule.steps, start)
    halfway = sample(schedule, schedule.rows(0, 4), start)
    np.testing.assert_array_equal(sample(schedule, schedule.rows(4, 10), halfway).latents, expected.latents)


@BOTH
def test_exact_noise_prediction_recovers_the_clean_latents(kind):
    config = dataclasses.replace(CONFIG, set_alpha_to_one=True)
    schedule = make_schedule(config, 20, scheduler=kind)
    noise, clean = jax.random.normal(jax.random.key(1), (2, *LATENTS.shape))
    state = initial_state(schedule, add_noise(config, clean, noise, np.full(2, schedule.steps.timestep[0])))
    for index in range(20):
        row = schedule.rows(index, index + 1)
        state = step(schedule, jax.tree.map(lambda column: column[0], row), state, noise)
    np.testing.assert_allclose(state.latents, clean, atol=1e-4)


def test_latents_stay_float32_when_the_network_computes_in_bfloat16():
    schedule = make_schedule(CONFIG, 4)
    row = jax.tree.map(lambda column: column[0], schedule.steps)
    state = step(schedule, row, initial_state(schedule, LATENTS), LATENTS.astype(jnp.bfloat16))
    assert state.latents.dtype == jnp.float32


def test_amount_of_added_noise_does_not_compile_anew():
    traces = []

    @jax.jit
    def first_step(schedule, latents):
        traces.append(schedule.is_stochastic)
        row = jax.tree.map(lambda column: column[0], schedule.steps)
        return step(schedule, row, initial_state(schedule, latents), latents, latents)

    for eta in (0.0, 0.3, 0.6):
        first_step(make_schedule(CONFIG, 7, eta=eta), LATENTS)
    assert traces == [False, True]


@BOTH
def test_another_spacing_does_not_compile_anew(kind):
    traces = []

    @jax.jit
    def first_timestep(schedule):
        traces.append(schedule.kind)
        return schedule.steps.timestep[0]

    firsts = [
        int(first_timestep(make_schedule(CONFIG, 50, scheduler=kind, timestep_spacing=spacing)))
        for spacing in ("leading", "trailing", None)
    ]
    assert len(set(firsts)) == 2
    assert traces == [kind]


def test_noise_has_the_variance_eta_asks_for():
    quiet, loud = (make_schedule(CONFIG, 10, eta=eta).steps.next_from_noise for eta in (0.5, 1.0))
    np.testing.assert_allclose(quiet, loud / 2, rtol=1e-6)


def test_missing_noise_is_an_error():
    schedule = make_schedule(CONFIG, 10, eta=0.5)
    row = jax.tree.map(lambda column: column[0], schedule.steps)
    with pytest.raises(ValueError, match="noise = None"):
        step(schedule, row, initial_state(schedule, LATENTS), LATENTS)


@BOTH
@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_impossible_numbers_of_steps_are_refused(kind, steps):
    with pytest.raises(ValueError, match=f"num_inference_steps = {steps}; expected 1 to 1000"):
        make_schedule(CONFIG, steps, scheduler=kind)


@pytest.mark.parametrize(("kind", "spacing"), [("dpm++", "leading"), ("dpm++", "linspace"), ("ddim", "leading")])
def test_steps_that_cannot_be_kept_apart_are_refused(kind, spacing):
    with pytest.raises(ValueError, match="use fewer steps"):
        make_schedule(CONFIG, 1000, scheduler=kind, timestep_spacing=spacing)


@BOTH
@pytest.mark.parametrize("spacing", ["leading", "trailing", "linspace"])
def test_every_usual_number_of_steps_gives_finite_rows(kind, spacing):
    config = dataclasses.replace(CONFIG, timestep_spacing=spacing)
    for steps in (*range(1, 30), 61, 103, 499, 998):
        schedule = make_schedule(config, steps, scheduler=kind)
        assert schedule.num_steps == steps
        assert all(np.isfinite(column).all() for column in schedule.steps)


@pytest.mark.parametrize(("options", "message"), [
    ({"scheduler": "euler"}, "scheduler = 'euler' is not supported"),
    ({"eta": 1.5}, "eta = 1.5; expected 0"),
    ({"eta": float("nan")}, "eta = nan"),
    ({"eta": 0.5, "scheduler": "dpm++"}, "eta = 0.5 needs scheduler 'ddim'"),
])  # fmt: skip
def test_unsupported_samplers_and_noise_are_refused(options, message):
    with pytest.raises(ValueError, match=message):
        make_schedule(CONFIG, 10, **options)


def test_checkpoint_decides_the_sampler_unless_asked():
    config = dataclasses.replace(CONFIG, class_name="DPMSolverMultistepScheduler")
    assert make_schedule(config, 10).kind == "dpm++"
    assert make_schedule(config, 10, scheduler="ddim").kind == "ddim"


def test_ddim_clips_unless_the_checkpoint_says_otherwise():
    silent = dataclasses.replace(CONFIG, clip_sample=None, clip_sample_range=2.0)
    assert make_schedule(silent, 10).clip_range == 2.0
    assert make_schedule(CONFIG, 10).clip_range is None
    assert make_schedule(silent, 10, scheduler="dpm++").clip_range is None


def test_velocity_and_noisy_sample_are_a_rotation_of_sample_and_noise():
    clean, noise = jax.random.normal(jax.random.key(1), (2, *LATENTS.shape))
    timesteps = np.array([10, 900])
    noisy, target = add_noise(CONFIG, clean, noise, timesteps), velocity(CONFIG, clean, noise, timesteps)
    np.testing.assert_allclose(noisy**2 + target**2, clean**2 + noise**2, rtol=1e-4)


def test_table_of_alphas_cannot_be_changed_by_a_caller():
    with pytest.raises(ValueError, match="read-only"):
        alphas_cumprod(CONFIG)[0] = 1.0
