"""From options of the command line to how sounds are sampled."""

import dataclasses
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

from litefocus_jax.generation.authors import SamplingChoice, authors_waveforms

if TYPE_CHECKING:
    from litefocus_jax.checkpoint.opened import Checkpoint
    from litefocus_jax.diffusion.scheduler_config import Kind, Spacing
    from litefocus_jax.generation.options import RequestOptions


@dataclasses.dataclass(frozen=True)
class SamplingOptions:
    """What a command was told of sampling; None stands for options that are not given.

    Attributes:
        way: all of them together.
        quality: scheduler, steps and spacing together.
        steps: denoising steps.
        guidance: how closely to follow the prompt.
        scheduler: the sampler.
        spacing: of its timesteps.
        eta: noise that DDIM adds.
        zero_negative: whether GPT-2's vectors of an empty negative prompt are zeros.
        frames_per_second: by which latent frames are counted.
        prompt_padding: what a prompt's place in GPT-2 goes by.
    """

    way: SamplingChoice | None = None
    quality: Literal["fast", "good", "reference"] | None = None
    steps: int | None = None
    guidance: float | None = None
    scheduler: "Kind | None" = None
    spacing: "Spacing | None" = None
    eta: float | None = None
    zero_negative: bool | None = None
    frames_per_second: float | None = None
    prompt_padding: Literal["batch", "alone"] | None = None

    def request_options(self) -> "RequestOptions":
        """The options of a request."""
        return {
            "sampling": self.way,
            "quality": self.quality,
            "num_inference_steps": self.steps,
            "guidance_scale": self.guidance,
            "scheduler": self.scheduler,
            "timestep_spacing": self.spacing,
            "eta": self.eta,
            "force_zeros_for_empty_prompt": self.zero_negative,
            "latent_frames_per_second": self.frames_per_second,
            "prompt_padding": self.prompt_padding,
        }

    def has_candidates(self, waveforms: int | None, *, one_is_named: bool) -> bool:
        """Whether as many sounds are made for each prompt and seed as the model's authors make.

        Args:
            waveforms: as the command says, if it does.
            one_is_named: whether it says which one is made, by its number or by its recipe.
        """
        return self.way == "authors" and waveforms is None and not one_is_named

    def waveforms(self, given: int | None, *, one_is_named: bool, opened: "Callable[[], Checkpoint]") -> int:
        """How many sounds are made for each prompt and seed.

        Args:
            given: as the command says, if it does.
            one_is_named: see `has_candidates`.
            opened: opens the model, whose authors may say it.
        """
        if self.has_candidates(given, one_is_named=one_is_named):
            return authors_waveforms(opened().facts)
        return 1 if given is None else given

    def ranks(self, given: bool | None, waveforms: int | None, *, one_is_named: bool) -> bool:
        """Whether the sounds of a prompt are ranked.

        Args:
            given: as the command says, if it does.
            waveforms: likewise how many there are.
            one_is_named: see `has_candidates`.
        """
        if given is not None:
            return given
        several = waveforms is not None and waveforms > 1
        return self.way == "authors" and (several or self.has_candidates(waveforms, one_is_named=one_is_named))
