"""At which timesteps a sampler calls the network.

Table 2 of Lin et al., "Common Diffusion Noise Schedules and Sample Steps Are Flawed" (arXiv 2305.08891), as in
diffusers; but no sampler begins where the network expects more signal than noise alone can hold, unless it is asked to.
Beside these there is ``"uniform"``, as in the code of AudioLDM2's authors (``make_ddim_timesteps`` of audioldm2 0.1.0):
strides as in ``leading``, but up to the end, however many they are.
"""

from typing import cast

import numpy as np

from litefocus_jax.diffusion.noise import alphas_cumprod
from litefocus_jax.diffusion.scheduler_config import Kind, SchedulerConfig, Spacing

# What holds where the checkpoint's JSON is silent: the defaults of the samplers' classes in diffusers.
_UNLESS_STORED: dict[Kind, Spacing] = {"ddim": "leading", "dpm++": "linspace"}

# Most signal, as a share of the latents, that the network may be told of in the noise that sampling begins with; of
# AudioLDM2's schedule, sampling begins at 945 of 999 or later. Where the steps are so long that two of them reach the
# end, a little more does no harm, down to 899: there, what the number of steps costs is far more.
_MOST_SIGNAL = 0.02
_MOST_SIGNAL_OF_LONG_STEPS = 0.03


def stored_spacing(config: SchedulerConfig, kind: Kind) -> Spacing:
    """The spacing that the checkpoint asks for, by its JSON or by the default of the sampler's class in diffusers."""
    return cast(Spacing | None, config.timestep_spacing) or _UNLESS_STORED[kind]


def choose_spacing(
    config: SchedulerConfig, num_inference_steps: int, kind: Kind, *, preferred: Spacing | None = None
) -> Spacing:
    """The preferred spacing, or the checkpoint's, where it begins at noise alone, and ``"trailing"`` where not.

    ``leading`` counts up in strides of ``1000 // steps``, so that its last timestep, where sampling begins, lies far
    below the end for many numbers of steps: at 801 for 200 steps of DPM-Solver++. The network is then told of a signal
    that is not there. ``trailing`` counts down from the end.
    """
    spacing = preferred or stored_spacing(config, kind)
    try:
        timesteps = spaced_timesteps(config, spacing, num_inference_steps, kind)
    except ValueError:  # they cannot be kept apart
        return "trailing"
    return spacing if begins_at_noise(config, timesteps) else "trailing"


def begins_at_noise(config: SchedulerConfig, timesteps: np.ndarray) -> bool:
    """Whether the first of some falling timesteps is one whose latents hold next to nothing but noise."""
    end = config.num_train_timesteps - 1
    are_long = len(timesteps) > 1 and end - timesteps[0] <= 2 * (timesteps[0] - timesteps[1])
    signal, least = np.sqrt(alphas_cumprod(config)[[timesteps[0], end]])
    # No first timestep comes nearer to noise than the last trained one.
    return bool(signal <= max(_MOST_SIGNAL_OF_LONG_STEPS if are_long else _MOST_SIGNAL, least))


def spaced_timesteps(config: SchedulerConfig, spacing: Spacing, num_steps: int, kind: Kind) -> np.ndarray:
    """The timesteps of a sampler's steps, falling; int64. With ``"uniform"`` they may be more than were asked for.

    Raises:
        ValueError: when they cannot be kept apart, or the offset pushes the first past the end; or when ``"uniform"``
            is asked for with another sampler than DDIM.
    """
    if spacing == "uniform":
        return _uniform_timesteps(config.num_train_timesteps, num_steps, kind)
    # DPM-Solver++ lays out one point more and leaves out the last, nearest to clean, unless they are trailing.
    points = num_steps + 1 if kind == "dpm++" and spacing != "trailing" else num_steps
    trained = config.num_train_timesteps
    if spacing == "linspace":
        timesteps = np.linspace(0, trained - 1, points).round()[::-1]
    elif spacing == "leading":
        timesteps = np.arange(points)[::-1] * (trained // points) + config.steps_offset
    else:
        # Cut, because rounding errors of the stride can leave one point too many.
        timesteps = np.arange(trained, 0, -trained / points)[:points].round() - 1
    timesteps = timesteps.astype(np.int64)
    if timesteps[0] >= trained or np.any(np.diff(timesteps) >= 0):
        raise ValueError(
            f"num_inference_steps is too large for timestep_spacing {spacing!r} with steps_offset "
            f"{config.steps_offset}: the timesteps, from {timesteps[0]} to {timesteps[-1]}, repeat or pass "
            f"{trained - 1}, the last trained one; use fewer steps"
        )
    return timesteps[:num_steps]


def following_timesteps(config: SchedulerConfig, spacing: Spacing, timesteps: np.ndarray) -> np.ndarray:
    """The timestep that each of DDIM's steps arrives at; below zero for clean latents.

    diffusers goes on by the stride rounded down, whatever the spacing put there. With ``"trailing"`` and a number of
    steps that does not divide the trained ones, less noise would then be removed than the next step is told of; there
    we arrive where the next step begins.
    """
    if spacing in ("trailing", "uniform"):
        return np.append(timesteps[1:], -1)
    return timesteps - config.num_train_timesteps // len(timesteps)


def _uniform_timesteps(trained: int, num_steps: int, kind: Kind) -> np.ndarray:
    """Every so many of the trained timesteps, and one on: 167 of them where 150 are asked for."""
    if kind != "ddim":
        raise ValueError(
            f"timestep_spacing = 'uniform' needs scheduler 'ddim', not {kind!r}: it is that of its authors"
        )
    timesteps = np.arange(0, trained, trained // num_steps)[::-1] + 1
    if timesteps[0] >= trained:
        fitting = next(steps for steps in range(num_steps, 0, -1) if (trained - 1) % (trained // steps))
        raise ValueError(
            f"num_inference_steps = {num_steps} with timestep_spacing 'uniform' begins at timestep {timesteps[0]}, "
            f"past {trained - 1}, the last trained one, where the authors' code fails; expected another number, such "
            f"as {fitting}"
        )
    return timesteps
