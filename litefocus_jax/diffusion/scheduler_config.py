"""Configuration of the noise schedule and its samplers, read from the checkpoint's scheduler JSON."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Literal, Self, get_args

from litefocus_jax.system.json_config import ConfigError, JsonConfig
from litefocus_jax.system.messages import shown
from litefocus_jax.system.typed_json import Range

Kind = Literal["ddim", "dpm++"]
StoredSpacing = Literal["leading", "trailing", "linspace"]
"""What diffusers' JSON can say of a sampler's timesteps."""
STORED_SPACINGS: tuple[StoredSpacing, ...] = get_args(StoredSpacing)

Spacing = Literal["leading", "trailing", "linspace", "uniform"]
"""What can be asked for: those, and the one of AudioLDM2's own code."""
SPACINGS: tuple[Spacing, ...] = get_args(Spacing)

# The scheduler classes of diffusers that can be run, and the name of our sampler for each.
SAMPLERS: dict[str, Kind] = {"DDIMScheduler": "ddim", "DPMSolverMultistepScheduler": "dpm++"}
Beta = Annotated[float, Range(1e-12, 0.999999)]
"""The variance of the noise of one timestep."""

CLASSES = {sampler: class_name for class_name, sampler in SAMPLERS.items()}

CHOICES = {
    "class_name": tuple(SAMPLERS),
    "beta_schedule": ("linear", "scaled_linear", "squaredcos_cap_v2"),
    "prediction_type": ("epsilon", "v_prediction"),
    "timestep_spacing": (*STORED_SPACINGS, None),
    "solver_type": ("midpoint", "heun"),
    "final_sigmas_type": ("zero", "sigma_min"),
}


@dataclasses.dataclass(frozen=True)
class SchedulerConfig(JsonConfig):
    """Fields of diffusers' ``DDIMScheduler`` and ``DPMSolverMultistepScheduler``, whichever ``class_name`` says.

    One class holds both, because either sampler can run on a checkpoint written for the other. ``None`` in
    ``timestep_spacing`` or ``clip_sample`` means that the JSON is silent: the sampler that runs then takes the
    default of its own class in diffusers, and these two defaults are where the classes differ.
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
        # Minus infinity is written as JavaScript's number or as a string, depending on diffusers' version.
        "lambda_min_clipped": (-float("inf"), "-inf", "-Infinity"),
    }
    # Inert while thresholding, flow sigmas and dynamic shifting are off, which REQUIRED sees to; the last belongs to
    # PNDM and is left behind in files that were converted from it.
    IGNORED = frozenset(
        {"dynamic_thresholding_ratio", "sample_max_value", "flow_shift", "time_shift_type", "skip_prk_steps"}
    )

    class_name: str = "DDIMScheduler"
    num_train_timesteps: Annotated[int, Range(1, 100_000)] = 1000
    beta_start: Beta = 0.0001
    beta_end: Beta = 0.02
    beta_schedule: str = "linear"
    prediction_type: str = "epsilon"
    timestep_spacing: str | None = None
    steps_offset: Annotated[int, Range(0, 100_000)] = 0
    # Read by DDIM only.
    clip_sample: bool | None = None
    clip_sample_range: Annotated[float, Range(1e-6, 1e6)] = 1.0
    set_alpha_to_one: bool = True
    # Read by DPM-Solver++ only.
    solver_type: str = "midpoint"
    lower_order_final: bool = True
    euler_at_final: bool = False
    final_sigmas_type: str = "zero"

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str | Path = "configuration") -> Self:
        """Read the JSON of a diffusers scheduler, whose class is named by ``_class_name``.

        Raises:
            ConfigError: when the class is missing or not supported, or a field is unsupported, unknown or malformed.
        """
        class_name = values.get("_class_name")
        if class_name not in tuple(SAMPLERS):
            raise ConfigError(
                f"{source}: _class_name = {shown(class_name)} is not supported; expected {_listed(SAMPLERS)}"
            )
        for key in ("timestep_spacing", "clip_sample"):
            # Absent means diffusers' default; null would not, and None cannot stand for both.
            if key in values and values[key] is None:
                raise ConfigError(f"{source}: {key} is null; expected a value, or no such key for the default")
        return super().from_dict({**values, "class_name": class_name}, source)

    def to_dict(self) -> dict[str, Any]:
        """The JSON that diffusers' scheduler of ``class_name`` reads, and `from_dict` too."""
        values = {key: value for key, value in super().to_dict().items() if value is not None}
        return {"_class_name": values.pop("class_name"), **values}

    def __post_init__(self) -> None:
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                raise ConfigError(f"{name} = {getattr(self, name)!r} is not supported; expected {_listed(known)}")
        if not 0 < self.beta_start <= self.beta_end < 1:
            raise ConfigError(
                f"beta_start = {self.beta_start} and beta_end = {self.beta_end}; "
                "expected 0 < beta_start <= beta_end < 1"
            )
        if self.steps_offset >= self.num_train_timesteps:
            raise ConfigError(
                f"steps_offset = {self.steps_offset}; expected less than num_train_timesteps = "
                f"{self.num_train_timesteps}"
            )

    @property
    def sampler(self) -> Kind:
        """The sampler the checkpoint asks for."""
        return SAMPLERS[self.class_name]

    @classmethod
    def tiny(cls) -> Self:
        """The schedule AudioLDM2 is published with; a schedule has no size to shrink."""
        return cls(
            beta_start=0.0015,
            beta_end=0.0195,
            beta_schedule="scaled_linear",
            timestep_spacing="leading",
            steps_offset=1,
            clip_sample=False,
            set_alpha_to_one=False,
        )


def _listed(names) -> str:
    return " or ".join(repr(name) for name in names if name is not None)
