"""Samplers of the diffusion process, DDIM and DPM-Solver++(2M): tables built once, and one pure step for both.

Either sampler advances the latents ``x`` by a linear combination whose coefficients are known before sampling starts:

    data   = a * x + b * output                                               (clipped, if DDIM's configuration says so)
    next x = c * x + d * output + e * data + f * (data one step before) + g * noise

where ``output`` is what the network returned for ``x``, and ``data`` the clean latents it implies. `make_schedule`
computes the coefficients of every step in float64 on the host; `step` applies one row of them and can be traced, so
that sampling is a scan over the rows:

    schedule = make_schedule(config, 200)
    state = initial_state(schedule, noise)
    state, _ = jax.lax.scan(lambda s, row: (step(schedule, row, s, denoise(s.latents, row.timestep)), None),
                            state, schedule.steps)

The state holds all that a step needs of the past: scanning some of the rows and then the rest gives what scanning all
of them gives. Throughout, ``alpha_bar`` is the product of ``1 - beta`` up to a timestep, as in diffusers.
"""

import dataclasses
import logging
import operator
from typing import NamedTuple, cast

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Int

from litefocus_jax.diffusion.noise import alphas_cumprod
from litefocus_jax.diffusion.scheduler_config import SAMPLERS, SPACINGS, Kind, SchedulerConfig, Spacing
from litefocus_jax.diffusion.timesteps import (
    begins_at_noise,
    choose_spacing,
    following_timesteps,
    spaced_timesteps,
    stored_spacing,
)

logger = logging.getLogger(__name__)

# DPM-Solver++ closes with first-order steps below this many, as in diffusers, if lower_order_final is set.
_FEW_STEPS = 15


class StepRow(NamedTuple):
    """The timestep of each step and the coefficients of its update: arrays ``[steps]``, or scalars inside a scan."""

    timestep: Int[Array | np.ndarray, "*steps"]
    data_from_latents: Float[Array | np.ndarray, "*steps"]  # a in the module's formula
    data_from_output: Float[Array | np.ndarray, "*steps"]  # b
    next_from_latents: Float[Array | np.ndarray, "*steps"]  # c
    next_from_output: Float[Array | np.ndarray, "*steps"]  # d
    next_from_data: Float[Array | np.ndarray, "*steps"]  # e
    next_from_previous_data: Float[Array | np.ndarray, "*steps"]  # f
    next_from_noise: Float[Array | np.ndarray, "*steps"]  # g


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class Schedule:
    """All that sampling with a given number of steps needs to know. A pytree whose leaves are the rows.

    Attributes:
        steps: one row per step, first step first; float32 and int32 on the host.
        kind: the sampler.
        clip_range: bound on the magnitude of the predicted data, or None.
        is_stochastic: whether each step adds noise, which its caller must provide.
    """

    steps: StepRow
    kind: Kind = dataclasses.field(metadata={"static": True})
    clip_range: float | None = dataclasses.field(metadata={"static": True})
    is_stochastic: bool = dataclasses.field(metadata={"static": True})

    @property
    def num_steps(self) -> int:
        """Number of steps."""
        return self.steps.timestep.shape[0]

    def rows(self, start: int, stop: int) -> StepRow:
        """The rows of steps ``start`` to ``stop``, the last excluded, for sampling in several scans."""
        return jax.tree.map(lambda array: array[start:stop], self.steps)


class SchedulerState(NamedTuple):
    """What is carried from step to step: float32 latents and, for DPM-Solver++, the data predicted one step before."""

    latents: Float[Array, "*shape"]
    previous_data: Float[Array, "*shape"] | None


def make_schedule(
    config: SchedulerConfig,
    num_inference_steps: int,
    *,
    scheduler: str | None = None,
    timestep_spacing: str | None = None,
    eta: float = 0.0,
    strength: float = 1.0,
) -> Schedule:
    """Compute the timesteps and the coefficients of every step.

    Asking for a sampler that is not the checkpoint's does what ``from_config`` of that scheduler does in diffusers:
    what the JSON says about the noise schedule, the spacing and the offset stays, and defaults fill the rest.

    Args:
        config: the checkpoint's scheduler configuration.
        num_inference_steps: how often the network is called; with ``"uniform"`` at least.
        scheduler: ``"ddim"``, ``"dpm++"`` (multistep, second order), or None for the checkpoint's own.
        timestep_spacing: ``"leading"``, ``"trailing"``, ``"linspace"`` or ``"uniform"``, taken as it is; or None for
            what `choose_spacing` says.
        eta: noise added by DDIM at each step, from 0 (none) to 1 (as much as DDPM).
        strength: share of the steps that are kept, the last ones; see `skipped_steps`.

    Raises:
        ValueError: when the sampler or the spacing is unknown; when the number of steps is not positive or more than
            the schedule can space apart; when `eta` is outside 0 to 1, or not 0 for a sampler that adds no noise.
    """
    asked = config.sampler if scheduler is None else scheduler
    if not isinstance(asked, str):
        raise ValueError(f"scheduler is a {type(asked).__name__}; expected 'ddim' or 'dpm++'")
    if asked not in SAMPLERS.values():
        raise ValueError(f"scheduler = {asked!r} is not supported; expected 'ddim' or 'dpm++'")
    kind = cast(Kind, asked)
    num_inference_steps = operator.index(num_inference_steps)
    if not 1 <= num_inference_steps <= config.num_train_timesteps:
        raise ValueError(
            f"num_inference_steps = {num_inference_steps}; expected 1 to {config.num_train_timesteps}, "
            "the number of timesteps the model was trained with"
        )
    if not 0.0 <= eta <= 1.0:
        raise ValueError(f"eta = {eta}; expected 0 (no added noise) to 1 (as much as DDPM)")
    if timestep_spacing not in (*SPACINGS, None):
        raise ValueError(f"timestep_spacing = {timestep_spacing!r}; expected {', '.join(map(repr, SPACINGS))} or None")
    spacing = cast(Spacing | None, timestep_spacing) or choose_spacing(config, num_inference_steps, kind)
    timesteps = spaced_timesteps(config, spacing, num_inference_steps, kind)
    if timestep_spacing is None and spacing != stored_spacing(config, kind):
        logger.info("%d steps of %s are spaced from the end, to begin at pure noise", num_inference_steps, kind)
    elif not begins_at_noise(config, timesteps):
        logger.warning(
            "timestep_spacing %r of %d steps begins at timestep %d, where the network expects more signal than the "
            "noise holds; the sound may be far off. Leave it out, or take 'trailing'",
            spacing,
            num_inference_steps,
            timesteps[0],
        )
    first = skipped_steps(len(timesteps), strength)
    if kind == "dpm++":
        if eta != 0.0:
            raise ValueError(f"eta = {eta} needs scheduler 'ddim'; 'dpm++' adds no noise, expected 0")
        whole = Schedule(_dpm_rows(config, timesteps, first), "dpm++", clip_range=None, is_stochastic=False)
    else:
        clip_range = config.clip_sample_range if config.clip_sample in (True, None) else None
        rows = _ddim_rows(config, timesteps, following_timesteps(config, spacing, timesteps), eta)
        whole = Schedule(rows, "ddim", clip_range, is_stochastic=eta > 0.0)
    return dataclasses.replace(whole, steps=whole.rows(first, len(timesteps))) if first else whole


def skipped_steps(num_inference_steps: int, strength: float) -> int:
    """How many steps are left out where sampling begins with a sound, as ``get_timesteps`` of diffusers counts them.

    Where any strength is left, so is a step.

    >>> [skipped_steps(50, strength) for strength in (0.0, 0.001, 0.6, 0.99, 1.0)]
    [50, 49, 20, 1, 0]

    Args:
        num_inference_steps: of the whole schedule.
        strength: from 0, which leaves the sound as it is, to 1, which leaves nothing of it.
    """
    if strength <= 0.0:
        return num_inference_steps
    return num_inference_steps - min(max(1, int(num_inference_steps * strength)), num_inference_steps)


def initial_state(schedule: Schedule, latents: Float[Array, "*shape"]) -> SchedulerState:
    """The state before the first step.

    Args:
        schedule: from `make_schedule`.
        latents: standard normal noise; either sampler starts from unit variance.
    """
    latents = jnp.asarray(latents, jnp.float32)
    return SchedulerState(latents, jnp.zeros_like(latents) if schedule.kind == "dpm++" else None)


def step(
    schedule: Schedule,
    row: StepRow,
    state: SchedulerState,
    model_output: Float[Array, "*shape"],
    noise: Float[Array, "*shape"] | None = None,
) -> SchedulerState:
    """Advance the latents by one step, in float32 whatever the network computes in.

    Args:
        schedule: from `make_schedule`; only its static fields are read.
        row: the row of `schedule.steps` for this step, with scalar fields.
        state: the state before this step.
        model_output: what the network returned for `state.latents` at `row.timestep`.
        noise: standard normal noise, needed if `schedule.is_stochastic`.

    Raises:
        ValueError: when noise is needed and not given.
    """
    if schedule.is_stochastic and noise is None:
        raise ValueError("noise = None; expected standard normal noise at each step, because eta is more than 0")
    latents, previous_data = state
    output = model_output.astype(jnp.float32)
    _, a, b, c, d, e, f, g = (jnp.asarray(column) for column in row)  # the letters of the module's formula
    data = a * latents + b * output
    if schedule.clip_range is not None:
        data = jnp.clip(data, -schedule.clip_range, schedule.clip_range)
    latents = c * latents + d * output + e * data
    if previous_data is not None:
        latents = latents + f * previous_data
        previous_data = data
    if schedule.is_stochastic and noise is not None:
        latents = latents + g * noise
    return SchedulerState(latents, previous_data)


def _ddim_rows(config: SchedulerConfig, timesteps: np.ndarray, next_timesteps: np.ndarray, eta: float) -> StepRow:
    """Equations 12 and 16 of Song, Meng and Ermon, "Denoising Diffusion Implicit Models" (arXiv 2010.02502)."""
    table = alphas_cumprod(config).astype(np.float64)
    final_alpha_bar = 1.0 if config.set_alpha_to_one else table[0]
    alpha_bar = table[timesteps]
    next_alpha_bar = np.where(next_timesteps >= 0, table[next_timesteps], final_alpha_bar)
    variance = (1.0 - next_alpha_bar) / (1.0 - alpha_bar) * (1.0 - alpha_bar / next_alpha_bar)  # equation 16, eta = 1
    # The difference of equal numbers may fall below zero by rounding.
    noise = eta * np.sqrt(np.maximum(variance, 0.0))
    direction = np.sqrt(np.maximum(1.0 - next_alpha_bar - noise**2, 0.0))
    signal, spread = np.sqrt(alpha_bar), np.sqrt(1.0 - alpha_bar)
    data_from_latents, data_from_output = _data_coefficients(config, signal, spread)
    # Equation 12 moves along the predicted noise, which is linear in x and output too, and is not clipped.
    is_velocity = config.prediction_type == "v_prediction"
    return _rows(
        timesteps,
        data_from_latents,
        data_from_output,
        next_from_latents=direction * spread if is_velocity else 0.0,
        next_from_output=direction * signal if is_velocity else direction,
        next_from_data=np.sqrt(next_alpha_bar),
        next_from_noise=noise,
    )


def _dpm_rows(config: SchedulerConfig, timesteps: np.ndarray, first: int) -> StepRow:
    """Algorithm 2 of Lu et al., "DPM-Solver++" (arXiv 2211.01095), predicting the data.

    Solver type ``"heun"`` weighs the second-order term by its exact integral, which ``"midpoint"`` approximates.

    Below, sigma is the noise relative to the signal, and lambda = -log(sigma) half the log signal-to-noise ratio.
    """
    num_steps = len(timesteps)
    alpha_bar = alphas_cumprod(config).astype(np.float64)
    sigma_table = np.sqrt((1.0 - alpha_bar) / alpha_bar)
    final_sigma = 0.0 if config.final_sigmas_type == "zero" else sigma_table[0]
    sigma, next_sigma = sigma_table[timesteps], np.append(sigma_table[timesteps[1:]], final_sigma)
    signal, next_signal = 1.0 / np.sqrt(sigma**2 + 1.0), 1.0 / np.sqrt(next_sigma**2 + 1.0)
    ratio = next_sigma / sigma  # exp(-h)
    with np.errstate(divide="ignore"):
        h = -np.log(ratio)  # infinite where the next sigma is zero
    previous_h = np.append(np.inf, h[:-1])

    index = np.arange(num_steps)
    is_few = config.lower_order_final and num_steps < _FEW_STEPS
    ends_in_first_order = config.euler_at_final or is_few or config.final_sigmas_type == "zero"
    # The first step that is run has no past; a step of no length (the final sigma repeated) needs none.
    first_order = (index == first) | (index == 0) | (h == 0.0) | ((index == num_steps - 1) & ends_in_first_order)
    gain = next_signal * (1.0 - ratio)
    slope = _second_order_weight(config.solver_type, next_signal, ratio, h)
    # The derivative is estimated as (data - previous data) / r, where r = previous h / h.
    correction = np.where(first_order, 0.0, slope * np.where(first_order, 0.0, h) / previous_h)
    data_from_latents, data_from_output = _data_coefficients(config, signal, sigma * signal)
    return _rows(
        timesteps,
        data_from_latents,
        data_from_output,
        next_from_latents=ratio * next_signal / signal,
        next_from_data=gain + correction,
        next_from_previous_data=-correction,
    )


def _second_order_weight(solver_type: str, next_signal: np.ndarray, ratio: np.ndarray, h: np.ndarray) -> np.ndarray:
    """How much of the data's estimated derivative, scaled by ``h``, a step adds; ``ratio`` is ``exp(-h)``."""
    if solver_type == "midpoint":
        return 0.5 * next_signal * (1.0 - ratio)
    safe_h = np.where(h == 0.0, 1.0, h)
    return next_signal * (1.0 - (1.0 - ratio) / safe_h)


def _data_coefficients(
    config: SchedulerConfig, signal: np.ndarray, spread: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """How the predicted data depends on latents and network output, where latents = signal * data + spread * noise."""
    if config.prediction_type == "v_prediction":
        return signal, -spread
    return 1.0 / signal, -spread / signal


def _rows(
    timesteps: np.ndarray,
    data_from_latents: np.ndarray,
    data_from_output: np.ndarray,
    *,
    next_from_latents: np.ndarray | float = 0.0,
    next_from_output: np.ndarray | float = 0.0,
    next_from_data: np.ndarray | float = 0.0,
    next_from_previous_data: np.ndarray | float = 0.0,
    next_from_noise: np.ndarray | float = 0.0,
) -> StepRow:
    """Rows in the types the step computes in; a number stands for a column of it."""
    columns = (
        data_from_latents,
        data_from_output,
        next_from_latents,
        next_from_output,
        next_from_data,
        next_from_previous_data,
        next_from_noise,
    )
    shape = timesteps.shape
    return StepRow(timesteps.astype(np.int32), *(np.broadcast_to(c, shape).astype(np.float32) for c in columns))
