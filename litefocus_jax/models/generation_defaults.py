"""How a model is sampled where a request does not say: its own defaults, which travel with it in ``model.json``."""

import dataclasses
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, Self, get_args

from litefocus_jax.diffusion.scheduler_config import SAMPLERS, SPACINGS, Kind, SchedulerConfig, Spacing
from litefocus_jax.ops.litefocus.settings import PAPER_BY_LENGTH, FromLength
from litefocus_jax.system.json_config import ConfigError, JsonConfig
from litefocus_jax.system.typed_json import Range, read_as

Quality = Literal["fast", "good", "reference"]
QUALITIES: tuple[Quality, ...] = get_args(Quality)

PromptPadding = Literal["batch", "alone"]
"""What a prompt's place in GPT-2 goes by: the longest prompt of its batch, as in diffusers, or itself alone."""

LARGEST_GUIDANCE = 1_000.0
"""Beyond it there is nothing but noise or silence."""

GuidanceScale = Annotated[float, Range(0.0, LARGEST_GUIDANCE)]
Steps = Annotated[int, Range(1, 100_000)]


def _check_word(name: str, value: Any, known: tuple[Any, ...]) -> None:
    if not isinstance(value, str | None) or value not in known:
        raise ConfigError(
            f"{name} = {value!r}; expected {' or '.join('null' if each is None else repr(each) for each in known)}"
        )


@dataclasses.dataclass(frozen=True)
class Sampling(JsonConfig):
    """One way to sample.

    Attributes:
        scheduler: the sampler; None for the one that the scheduler's configuration names.
        num_inference_steps: denoising steps.
        timestep_spacing: how they are laid out; None for what the scheduler's configuration says.

    Raises:
        ConfigError: naming the field, for a value that is none.
    """

    scheduler: Kind | None = None
    num_inference_steps: Steps = 200
    timestep_spacing: Spacing | None = None

    def __post_init__(self) -> None:
        steps = self.num_inference_steps
        if isinstance(steps, bool) or not isinstance(steps, int) or steps < 1:
            raise ConfigError(f"num_inference_steps = {steps!r}; expected a whole number from 1")
        _check_word("scheduler", self.scheduler, (*SAMPLERS.values(), None))
        _check_word("timestep_spacing", self.timestep_spacing, (*SPACINGS, None))

    def describe(self) -> str:
        """In a few words."""
        steps = "1 step" if self.num_inference_steps == 1 else f"{self.num_inference_steps} steps"
        spacing = f", {self.timestep_spacing} spacing" if self.timestep_spacing else ""
        return f"{steps} of {self.scheduler or 'its own scheduler'}{spacing}"


@dataclasses.dataclass(frozen=True)
class GenerationDefaults(Sampling):
    """What holds for a model where a request says nothing, and what a quality means for it.

    The defaults here are those of the published checkpoints: 200 steps of DDIM with a guidance of 3.5, as in diffusers.

    Attributes:
        guidance_scale: how closely to follow the prompt.
        prompt_padding: see `PromptPadding`.
        litefocus_by_length: what ``litefocus="auto"`` chooses from which length on, in ascending order; shorter sound
            has dense attention. As in the paper unless a model's own sounds say otherwise.
        least_level_in_dbfs: a sound whose loudest half second is softer is made louder, to this level, as far as its
            peaks leave room; None where sounds are left as they are. What lies more than 40 dB below is no soft sound
            but none, and stays as it is, and so do edits, and sound so long that it is decoded in tiles.
        fast: the way to sample for a first impression.
        good: the way to sample for use.
        reference: the way to sample where time does not matter.

    Raises:
        ConfigError: naming the field, for a value that is none.
    """

    guidance_scale: GuidanceScale = 3.5
    prompt_padding: PromptPadding = "batch"
    litefocus_by_length: tuple[FromLength, ...] = PAPER_BY_LENGTH
    least_level_in_dbfs: Annotated[float, Range(-120.0, 0.0)] | None = None
    fast: Sampling = Sampling("dpm++", 25, "trailing")
    good: Sampling = Sampling("dpm++", 50, "trailing")
    reference: Sampling = Sampling("ddim", 200, "trailing")

    @classmethod
    def from_dict(
        cls,
        values: Mapping[str, Any],
        source: str | Path = "configuration",
        otherwise: "GenerationDefaults | None" = None,
    ) -> Self:
        """Read the object that `to_dict` writes; what it does not name holds as for published checkpoints.

        Args:
            values: the object.
            source: where it came from, for errors.
            otherwise: what holds where it does not say, in the place of AudioLDM2's defaults.

        Raises:
            ConfigError: naming every field that is unknown, or the first that is malformed.
        """
        if not isinstance(values, Mapping):
            raise ConfigError(f"{source} is a JSON {type(values).__name__}; expected an object")
        ways: dict[str, Any] = {}
        for quality in QUALITIES:
            if quality in values:
                where = f"{source}: {quality}"
                if not isinstance(values[quality], Mapping):
                    raise ConfigError(f"{where} = {values[quality]!r}; expected an object")
                ways[quality] = Sampling.from_dict(values[quality], where)
        if "litefocus_by_length" in values:
            try:
                steps = read_as(tuple[FromLength, ...], values["litefocus_by_length"], "litefocus_by_length")
            except ValueError as error:
                raise ConfigError(f"{source}: {error}") from None
            ways["litefocus_by_length"] = steps
        fields = {} if otherwise is None else {name: getattr(otherwise, name) for name in otherwise.to_dict()}
        return super().from_dict({**fields, **values, **ways}, source)

    def __post_init__(self) -> None:
        super().__post_init__()
        scale = self.guidance_scale
        if isinstance(scale, bool) or not isinstance(scale, int | float) or not 0 <= scale < math.inf:
            raise ConfigError(f"guidance_scale = {scale!r}; expected a finite number from 0")
        _check_word("prompt_padding", self.prompt_padding, get_args(PromptPadding))
        lengths = [step.training_lengths for step in self.litefocus_by_length]
        if lengths != sorted(set(lengths)):
            shown_lengths = ", ".join(f"{length:g}" for length in lengths)
            raise ConfigError(
                f"litefocus_by_length begins at {shown_lengths} training lengths; expected ascending ones"
            )

    def way(self, quality: Quality | None) -> Sampling:
        """How to sample for a quality, or for none in particular."""
        if quality is None:
            return Sampling(self.scheduler, self.num_inference_steps, self.timestep_spacing)
        return getattr(self, quality)

    def check(self, scheduler: SchedulerConfig, source: str) -> None:
        """Find out whether a noise schedule has as many timesteps as there are to be steps.

        Args:
            scheduler: of the model.
            source: where the defaults came from, for the error.

        Raises:
            ConfigError: naming the first way to sample for which it has not.
        """
        for name, way in (("", self), *((f"{quality}: ", self.way(quality)) for quality in QUALITIES)):
            if way.num_inference_steps > scheduler.num_train_timesteps:
                raise ConfigError(
                    f"{source}: {name}num_inference_steps = {way.num_inference_steps}; expected at most "
                    f"{scheduler.num_train_timesteps}, the timesteps that the model was trained with"
                )


PUBLISHED = GenerationDefaults()
"""What holds for the published checkpoints, and for files that say nothing."""
