"""What a user asks for, checked before anything runs."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Literal

import numpy as np

from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import Schedule, make_schedule
from litefocus_jax.diffusion.windows import WindowedDenoising, WindowLayout
from litefocus_jax.models.components import LatentGeometry
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig


@dataclasses.dataclass(frozen=True)
class Request:
    """One checked call of the pipeline.

    Attributes:
        prompts: one text per sound.
        negative_prompts: as many texts; empty strings unless given.
        audio_length_in_s: seconds.
        guidance_scale: weight of classifier-free guidance; guidance runs when it is above 1.
        num_waveforms_per_prompt: sounds made for every prompt.
        seed: of all randomness.
        eta: DDIM's share of fresh noise.
        schedule: the sampler and its steps.
        litefocus: sparse attention with its window, if any, in latent frames; or None for dense.
        windows: of the latents, or None where the network sees them whole.
    """

    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    audio_length_in_s: float
    guidance_scale: float
    num_waveforms_per_prompt: int
    seed: int
    eta: float
    schedule: Schedule
    litefocus: LiteFocusConfig | None
    windows: WindowLayout | None

    @property
    def guided(self) -> bool:
        """Whether classifier-free guidance runs."""
        return self.guidance_scale > 1.0

    @property
    def batch_size(self) -> int:
        """Number of sounds."""
        return len(self.prompts) * self.num_waveforms_per_prompt


def make_request(
    geometry: LatentGeometry,
    scheduler_config: SchedulerConfig,
    *,
    prompt: str | Sequence[str],
    negative_prompt: str | Sequence[str] | None,
    audio_length_in_s: float | None,
    num_inference_steps: int,
    guidance_scale: float,
    num_waveforms_per_prompt: int,
    eta: float,
    seed: int,
    scheduler: str | None,
    litefocus: LiteFocusConfig | Literal["auto"] | None,
    windowed: WindowedDenoising | None = None,
) -> Request:
    """Check the arguments of a pipeline call and fill in the defaults.

    A single negative prompt serves every prompt. Without ``audio_length_in_s`` the clip is as long as those the
    model was trained on. What LiteFocus does if left to choose goes by the length of what the network sees, the sound
    or a window of it, in training lengths.

    Raises:
        TypeError: for an argument of a wrong type.
        ValueError: for a value that cannot be honoured; the message names it and what is expected.
    """
    prompts = _texts("prompt", prompt)
    negative_prompts = ("",) * len(prompts) if negative_prompt is None else _texts("negative_prompt", negative_prompt)
    if len(negative_prompts) == 1:
        negative_prompts *= len(prompts)
    if len(negative_prompts) != len(prompts):
        raise ValueError(
            f"negative_prompt has {len(negative_prompts)} texts for {len(prompts)} prompts; "
            "expected one for all, or one for each"
        )
    if audio_length_in_s is None:
        audio_length_in_s = geometry.training_length_in_s
        if audio_length_in_s is None:
            raise ValueError("audio_length_in_s is not given, and the UNet's sample_size does not say a default")
    seconds = _number("audio_length_in_s", audio_length_in_s)
    if seconds < geometry.shortest_in_s:
        raise ValueError(
            f"audio_length_in_s = {seconds:g} is too short; expected at least one latent frame, "
            f"{geometry.shortest_in_s:g} s"
        )
    _count("num_inference_steps", num_inference_steps)
    _count("num_waveforms_per_prompt", num_waveforms_per_prompt)
    eta = _number("eta", eta)
    schedule = make_schedule(scheduler_config, num_inference_steps, scheduler=scheduler, eta=eta)
    if windowed is not None and not isinstance(windowed, WindowedDenoising):
        raise TypeError(f"windowed is a {type(windowed).__name__}; expected None or a WindowedDenoising")
    windows = windowed and windowed.layout(
        geometry.latent_frames(seconds),
        seconds_per_frame=geometry.shortest_in_s,
        training_frames=geometry.training_frames,
    )
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed = {seed!r}; expected a whole number from 0 to 2**32 - 1")
    if isinstance(litefocus, str):
        if litefocus != "auto":
            raise ValueError(f"litefocus = {litefocus!r}; expected 'auto', None or a LiteFocusConfig")
        seen_in_s = seconds if windows is None else windows.window * geometry.shortest_in_s
        litefocus = LiteFocusConfig.for_duration(seen_in_s, geometry.training_length_in_s)
    elif litefocus is not None and not isinstance(litefocus, LiteFocusConfig):
        raise TypeError(f"litefocus is a {type(litefocus).__name__}; expected 'auto', None or a LiteFocusConfig")
    return Request(
        prompts=prompts,
        negative_prompts=negative_prompts,
        audio_length_in_s=seconds,
        guidance_scale=_number("guidance_scale", guidance_scale),
        num_waveforms_per_prompt=int(num_waveforms_per_prompt),
        seed=int(seed),
        eta=eta,
        schedule=schedule,
        litefocus=None if litefocus is None else litefocus.in_frames(geometry.shortest_in_s),
        windows=windows,
    )


def _texts(name: str, value: str | Sequence[str]) -> tuple[str, ...]:
    if not isinstance(value, Sequence) or isinstance(value, bytes):
        raise TypeError(f"{name} is a {type(value).__name__}; expected a string or a list of strings")
    texts = (value,) if isinstance(value, str) else tuple(value)
    for text in texts:
        if not isinstance(text, str):
            raise TypeError(f"{name} holds a {type(text).__name__}, {text!r}; expected a string or a list of strings")
        if any("\ud800" <= character <= "\udfff" for character in text):
            # As Python reads an argument of the command line whose bytes are not text.
            raise ValueError(f"{name} {text!r} holds half of a surrogate pair; expected Unicode text")
    if not texts:
        raise ValueError(f"{name} is an empty list; expected at least one text")
    return texts


def _number(name: str, value: float) -> float:
    try:
        if isinstance(value, bool | str):  # which float() would take
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} = {value!r}; expected a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} = {number}; expected a finite number")
    return number


def _count(name: str, value: int) -> None:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} = {value!r}; expected a whole number")
    if value < 1:
        raise ValueError(f"{name} = {value}; expected at least 1")
