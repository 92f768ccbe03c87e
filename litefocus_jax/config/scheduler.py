"""Configuration of the noise schedule and its samplers, read from the checkpoint's scheduler JSON."""

import dataclasses
from typing import Any, ClassVar

from litefocus_jax.config.reading import ConfigError, JsonConfig

CLASS_NAMES = {"DDIMScheduler": "ddim", "DPMSolverMultistepScheduler": "dpm++"}
BETA_SCHEDULES = ("linear", "scaled_linear", "squaredcos_cap_v2")
SPACINGS = ("leading", "trailing", "linspace")
PREDICTION_TYPES = ("epsilon", "v_prediction")


@dataclasses.dataclass(frozen=True)
class SchedulerConfig(JsonConfig):
    """Fields shared by diffusers' ``DDIMScheduler`` and ``DPMSolverMultistepScheduler``, and those of either alone.

    ``None`` means that the JSON is silent, and the sampler that runs applies diffusers' default for its own class
    (the two classes differ in ``timestep_spacing`` and ``clip_sample``).
    """

    REQUIRED: ClassVar = {
        "trained_betas": (None,),
        "thresholding": (False,),
        "rescale_betas_zero_snr": (False,),
        "solver_order": (2,),
        "algorithm_type": ("dpmsolver++",),
        "use_karras_sigmas": (False, None),
        "use_exponential_sigmas": (False, None),
        "use_beta_sigmas": (False, None),
        "use_lu_lambdas": (False, None),
        "use_flow_sigmas": (False, None),
        "use_dynamic_shifting": (False, None),
        "variance_type": (None,),
        # diffusers writes minus infinity either as the JavaScript number or as a string.
        "lambda_min_clipped": (-float("inf"), "-inf", "-Infinity"),
    }
    # Inert while thresholding, flow sigmas and dynamic shifting are off, which REQUIRED sees to.
    IGNORED = frozenset(
        {"dynamic_thresholding_ratio", "sample_max_value", "flow_shift", "time_shift_type", "skip_prk_steps"}
    )

    class_name: str = "DDIMScheduler"
    num_train_timesteps: int = 1000
    beta_start: float = 0.0001
    beta_end: float = 0.02
    beta_schedule: str = "linear"
    prediction_type: str = "epsilon"
    timestep_spacing: str | None = None
    steps_offset: int = 0
    clip_sample: bool | None = None
    clip_sample_range: float = 1.0
    set_alpha_to_one: bool = True
    solver_type: str = "midpoint"
    lower_order_final: bool = True
    euler_at_final: bool = False
    final_sigmas_type: str = "zero"
