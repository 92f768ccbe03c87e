"""What a user asks for, checked before anything runs, and what runs for it."""

import dataclasses
import inspect
import math
from collections.abc import Callable, Sequence
from typing import Any, Literal, TypedDict, TypeVar, Unpack, get_type_hints

import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Shaped

from litefocus_jax.diffusion.scheduler_config import Kind, Spacing
from litefocus_jax.diffusion.schedulers import Schedule, make_schedule
from litefocus_jax.diffusion.timesteps import choose_spacing
from litefocus_jax.diffusion.windows import WindowedDenoising, WindowLayout
from litefocus_jax.generation.embeddings import GivenPrompts, given_prompts
from litefocus_jax.generation.habits import unknown_names
from litefocus_jax.generation.plan import DenoisingPlan, steps_per_call
from litefocus_jax.models.components import LatentGeometry, ModelFacts
from litefocus_jax.models.unet.self_attention import check_layout, frames_at_last_level
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.parallel.mesh import check_frames, check_mesh
from litefocus_jax.system.platform import current_platform

LiteFocusChoice = LiteFocusConfig | Literal["auto", "on", "linear", "off"] | None


class RequestOptions(TypedDict, total=False):
    """What can be said of a sound beside its prompt; `DEFAULTS` has what holds where nothing is said.

    Attributes:
        negative_prompt: what to steer away from: one for all prompts, or one for each.
        audio_length_in_s: seconds of sound; the length the model was trained on unless given.
        num_inference_steps: denoising steps.
        guidance_scale: how closely to follow the prompt; at 1 or below, guidance is off.
        num_waveforms_per_prompt: sounds made for each prompt.
        eta: DDIM's share of fresh noise, from 0 to 1.
        seed: of all randomness; the same seed starts every prompt from the same noise.
        latents: initial noise instead of the seed's, ``[prompts * waveforms, time, frequency, channel]``.
        scheduler: ``"ddim"``, ``"dpm++"`` or None for the checkpoint's own.
        timestep_spacing: ``"leading"``, ``"trailing"`` or ``"linspace"``, or None for the checkpoint's own; None takes
            ``"trailing"`` for those numbers of steps that would begin below pure noise, which spoils the sound.
        litefocus: sparse attention: a `LiteFocusConfig`, ``"on"`` for the one of the paper, ``"linear"`` for
            `LiteFocusConfig.linear`, ``"off"`` or None for dense attention, or ``"auto"``, which goes by the length in
            training lengths, follows the paper, and beyond its lengths takes linear cost
            (`LiteFocusConfig.for_duration`).
        scale_scores: scale attention scores by the logarithm of what a token sees against training
            (arXiv 2306.08645).
        windowed: denoise long sound in overlapping windows: a `WindowedDenoising`, or its method, ``"swap"`` or
            ``"average"``; sound of one window's length is not changed by it.
        mesh: devices of this process that share the denoising: the sounds along its axis ``"data"``, the frames of
            each sound along ``"time"``; see docs/devices.md. It changes the sound by rounding alone.
        prompt_embeds: prompts as vectors of Flan-T5, from `AudioLDM2Pipeline.encode_prompt`, ``[prompts, tokens,
            features]``; with ``generated_prompt_embeds``, and in the place of ``prompt``.
        attention_mask: true, or not 0, on those vectors that are no padding, ``[prompts, tokens]``; all unless given.
        generated_prompt_embeds: the same prompts as vectors of GPT-2, ``[prompts, vectors, features]``.
        negative_prompt_embeds: in the place of ``negative_prompt``; and so the other two.
        negative_attention_mask: as ``attention_mask``.
        negative_generated_prompt_embeds: as ``generated_prompt_embeds``.
    """

    negative_prompt: str | Sequence[str] | None
    audio_length_in_s: float | None
    num_inference_steps: int
    guidance_scale: float
    num_waveforms_per_prompt: int
    eta: float
    seed: int
    latents: Float[Array | np.ndarray, "sounds time frequency channels"] | None
    scheduler: Kind | None
    timestep_spacing: Spacing | None
    litefocus: LiteFocusChoice
    scale_scores: bool
    windowed: WindowedDenoising | Literal["swap", "average"] | None
    mesh: Mesh | None
    prompt_embeds: Float[Array | np.ndarray, "prompts tokens features"] | None
    attention_mask: Shaped[Array | np.ndarray, "prompts tokens"] | None
    generated_prompt_embeds: Float[Array | np.ndarray, "prompts vectors features"] | None
    negative_prompt_embeds: Float[Array | np.ndarray, "prompts tokens features"] | None
    negative_attention_mask: Shaped[Array | np.ndarray, "prompts tokens"] | None
    negative_generated_prompt_embeds: Float[Array | np.ndarray, "prompts vectors features"] | None


DEFAULTS: RequestOptions = {
    "negative_prompt": None,
    "audio_length_in_s": None,
    "num_inference_steps": 200,
    "guidance_scale": 3.5,
    "num_waveforms_per_prompt": 1,
    "eta": 0.0,
    "seed": 0,
    "latents": None,
    "scheduler": None,
    "timestep_spacing": None,
    "litefocus": "auto",
    "scale_scores": False,
    "windowed": None,
    "mesh": None,
    "prompt_embeds": None,
    "attention_mask": None,
    "generated_prompt_embeds": None,
    "negative_prompt_embeds": None,
    "negative_attention_mask": None,
    "negative_generated_prompt_embeds": None,
}

Function = TypeVar("Function", bound=Callable[..., Any])


def takes_request_options(function: Function) -> Function:
    """Show the request options of a function as its own: in its signature, and in its docstring for ``{options}``.

    They are written once, in `RequestOptions`, and `Unpack` tells them to type checkers; this tells them to `help` and
    to editors that ask a running program.
    """
    signature, hints = inspect.signature(function), get_type_hints(RequestOptions)
    options = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=default, annotation=hints[name])
        for name, default in DEFAULTS.items()
    ]
    own = [each for each in signature.parameters.values() if each.kind is not inspect.Parameter.VAR_KEYWORD]
    function.__signature__ = signature.replace(parameters=[*own, *options])  # pyright: ignore[reportFunctionMemberAccess]
    described = inspect.cleandoc(RequestOptions.__doc__ or "").partition("Attributes:\n")[2]
    lines = [" " * 8 + line if line else line for line in described.rstrip().splitlines()]
    function.__doc__ = (function.__doc__ or "").replace("            {options}", "\n".join(lines))
    return function


@dataclasses.dataclass(frozen=True)
class Request:
    """One checked request: all that decides a sound beside the model.

    Attributes:
        prompts: one text per sound.
        negative_prompts: as many texts; empty strings unless given.
        audio_length_in_s: seconds.
        guidance_scale: weight of classifier-free guidance; guidance runs when it is above 1.
        num_waveforms_per_prompt: sounds made for every prompt.
        seed: of all randomness.
        eta: DDIM's share of fresh noise.
        schedule: the sampler and its steps.
        timestep_spacing: how those are laid out; not a part of the schedule, whose programs serve any.
        plan: how it is denoised.
        latents: initial noise instead of the seed's.
        given: prompts that are given as vectors; the texts in their place are empty.
    """

    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    audio_length_in_s: float
    guidance_scale: float
    num_waveforms_per_prompt: int
    seed: int
    eta: float
    schedule: Schedule = dataclasses.field(repr=False, compare=False)
    timestep_spacing: Spacing
    plan: DenoisingPlan
    latents: Float[Array, "sounds time frequency channels"] | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    given: GivenPrompts | None = dataclasses.field(default=None, repr=False, compare=False)

    @property
    def batch_size(self) -> int:
        """Number of sounds."""
        return len(self.prompts) * self.num_waveforms_per_prompt

    def facts(self) -> dict[str, Any]:
        """All that decides the sound but initial latents, as plain values."""
        plan = self.plan
        given = {} if self.given is None else {"digest of the given prompts": self.given.digest}
        return {
            **given,
            "prompt": self.prompts,
            "negative_prompt": self.negative_prompts,
            "audio_length_in_s": self.audio_length_in_s,
            "num_inference_steps": self.schedule.num_steps,
            "guidance_scale": self.guidance_scale,
            "num_waveforms_per_prompt": self.num_waveforms_per_prompt,
            "eta": self.eta,
            "seed": self.seed,
            "scheduler": self.schedule.kind,
            "timestep_spacing": self.timestep_spacing,
            "attention": dataclasses.asdict(plan.attention),
            "windows": plan.windows and dataclasses.asdict(plan.windows),
            "mesh": plan.mesh and dict(plan.mesh.shape),
        }


def make_request(
    model: ModelFacts, prompt: str | Sequence[str] | None = None, **options: Unpack[RequestOptions]
) -> Request:
    """Check what is asked for against what is known of a model, and decide what runs.

    A single negative prompt serves every prompt. Without ``audio_length_in_s`` the clip is as long as those the
    model was trained on. What LiteFocus does if left to choose goes by the length of what the network sees, the sound
    or a window of it, in training lengths.

    Args:
        model: what is known of it before its weights are read.
        prompt: one text, or one for each sound; None where it is given as vectors.
        options: see `RequestOptions`.

    Raises:
        TypeError: for an unknown option, or a value of a wrong type.
        ValueError: for a value that cannot be honoured; the message names it and what is expected.
    """
    if unknown := [name for name in options if name not in DEFAULTS]:
        raise TypeError(unknown_names(unknown, DEFAULTS, "option of a request"))
    asked: Any = {**DEFAULTS, **options}
    geometry = model.geometry
    given = given_prompts(asked, model.unet, None if prompt is None else len(_texts("prompt", prompt)))
    prompts = ("",) * len(given.positive[0]) if given and given.positive else _said("prompt", prompt)
    negative_prompts = _negative_prompts(asked["negative_prompt"], len(prompts))
    seconds = _length(asked["audio_length_in_s"], geometry)
    frames = geometry.latent_frames(seconds)
    waveforms = _count("num_waveforms_per_prompt", asked["num_waveforms_per_prompt"])
    guidance_scale, eta = _number("guidance_scale", asked["guidance_scale"]), _number("eta", asked["eta"])
    num_steps = _count("num_inference_steps", asked["num_inference_steps"])
    seed = asked["seed"]
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed = {seed!r}; expected a whole number from 0 to 2**32 - 1")
    windows = _windows(asked["windowed"], frames, geometry)
    seen_in_s = seconds if windows is None else windows.window * geometry.frame_in_s
    attention = attention_layout(asked["litefocus"], geometry, seen_in_s, scale_scores=asked["scale_scores"])
    check_layout(model.unet, attention)
    mesh = asked["mesh"]
    if mesh is not None:
        mesh = check_mesh(mesh, windowed=windows is not None)
        check_frames(mesh, frames_at_last_level(model.unet, frames))
    schedule = make_schedule(
        model.scheduler,
        num_steps,
        scheduler=asked["scheduler"],
        timestep_spacing=asked["timestep_spacing"],
        eta=eta,
    )
    return Request(
        prompts=prompts,
        negative_prompts=negative_prompts,
        audio_length_in_s=seconds,
        guidance_scale=guidance_scale,
        num_waveforms_per_prompt=waveforms,
        seed=int(seed),
        eta=eta,
        schedule=schedule,
        timestep_spacing=asked["timestep_spacing"] or choose_spacing(model.scheduler, num_steps, schedule.kind),
        plan=DenoisingPlan(
            frames=frames,
            steps_per_call=steps_per_call(num_steps, current_platform().longest_call_in_steps),
            guided=guidance_scale > 1.0,
            attention=attention,
            windows=windows,
            mesh=mesh,
        ),
        latents=_latents(asked["latents"], (len(prompts) * waveforms, frames, geometry.frequencies, geometry.channels)),
        given=given,
    )


def attention_layout(
    litefocus: LiteFocusChoice, geometry: LatentGeometry, seen_in_s: float, *, scale_scores: bool = False
) -> AttentionLayout:
    """The attention that a choice comes to.

    Args:
        litefocus: see `RequestOptions`.
        geometry: of the model.
        seen_in_s: seconds of sound that the network sees at a time.
        scale_scores: see `AttentionLayout`.

    Raises:
        TypeError: for a choice of a wrong type.
        ValueError: for an unknown word.
    """
    if not isinstance(scale_scores, bool):
        raise TypeError(f"scale_scores = {scale_scores!r}; expected True or False")
    config = chosen_litefocus(litefocus, geometry, seen_in_s)
    if config is None:
        return dataclasses.replace(DENSE, scale_scores=scale_scores)
    return config.layout(geometry.frame_in_s, scale_scores=scale_scores)


def chosen_litefocus(litefocus: LiteFocusChoice, geometry: LatentGeometry, seen_in_s: float) -> LiteFocusConfig | None:
    """The setting that a choice means, None being dense attention.

    Takes and raises what `attention_layout` does.
    """
    if litefocus is None or isinstance(litefocus, LiteFocusConfig):
        return litefocus
    if not isinstance(litefocus, str):
        raise TypeError(f"litefocus is a {type(litefocus).__name__}; expected 'auto', None or a LiteFocusConfig")
    training_length = geometry.training_length_in_s
    words: dict[str, Callable[[], LiteFocusConfig | None]] = {
        "auto": lambda: LiteFocusConfig.for_duration(seen_in_s, training_length),
        "on": LiteFocusConfig,
        "linear": lambda: LiteFocusConfig.linear(training_length),
        "off": lambda: None,
    }
    if litefocus not in words:
        raise ValueError(
            f"litefocus = {litefocus!r}; expected {', '.join(map(repr, words))}, None or a LiteFocusConfig"
        )
    return words[litefocus]()


def _windows(windowed: Any, frames: int, geometry: LatentGeometry) -> WindowLayout | None:
    if windowed is None:
        return None
    if isinstance(windowed, str):
        windowed = WindowedDenoising(windowed)  # pyright: ignore[reportArgumentType]
    if not isinstance(windowed, WindowedDenoising):
        raise TypeError(
            f"windowed is a {type(windowed).__name__}; expected None, 'swap', 'average' or a WindowedDenoising"
        )
    return windowed.layout(frames, frame_in_s=geometry.frame_in_s, training_frames=geometry.training_frames)


def _latents(latents: Any, shape: tuple[int, ...]) -> Array | None:
    if latents is None:
        return None
    try:
        latents = jnp.asarray(latents, jnp.float32)
    except (TypeError, ValueError) as error:
        raise TypeError(f"latents is a {type(latents).__name__}; expected an array of numbers") from error
    if latents.shape != shape:
        raise ValueError(
            f"latents has shape {latents.shape}; expected {shape}, [prompts * waveforms, time, frequency, channel]"
        )
    return latents


def _negative_prompts(negative_prompt: Any, count: int) -> tuple[str, ...]:
    if negative_prompt is None:
        return ("",) * count
    texts = _texts("negative_prompt", negative_prompt)
    if len(texts) == 1:
        texts *= count
    if len(texts) != count:
        raise ValueError(
            f"negative_prompt has {len(texts)} texts for {count} prompts; expected one for all, or one for each"
        )
    return texts


def _length(audio_length_in_s: Any, geometry: LatentGeometry) -> float:
    if audio_length_in_s is None:
        audio_length_in_s = geometry.training_length_in_s
        if audio_length_in_s is None:
            raise ValueError("audio_length_in_s is not given, and the UNet's sample_size does not say a default")
    seconds = _number("audio_length_in_s", audio_length_in_s)
    if seconds < geometry.frame_in_s:
        raise ValueError(
            f"audio_length_in_s = {seconds:g} is too short; expected at least one latent frame, "
            f"{geometry.frame_in_s:g} s"
        )
    return seconds


def _texts(name: str, value: Any) -> tuple[str, ...]:
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


def _said(name: str, value: Any) -> tuple[str, ...]:
    texts = _texts(name, value)
    if not all(text.strip() for text in texts):
        raise ValueError(f"{name} is empty; expected what is to be heard, in words")
    return texts


def _number(name: str, value: Any) -> float:
    try:
        if isinstance(value, bool | str):  # which float() would take
            raise TypeError
        number = float(value)
    except (TypeError, ValueError):
        raise TypeError(f"{name} = {value!r}; expected a number") from None
    if not math.isfinite(number):
        raise ValueError(f"{name} = {number}; expected a finite number")
    return number


def _count(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer):
        raise TypeError(f"{name} = {value!r}; expected a whole number")
    if value < 1:
        raise ValueError(f"{name} = {value}; expected at least 1")
    return int(value)
