"""What a user asks for, checked before anything runs, and what runs for it."""

import dataclasses
import logging
from collections.abc import Sequence
from typing import Any, Unpack, get_args

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.audio.levels import LeastLevel
from litefocus_jax.audio.waveforms import STEREO
from litefocus_jax.diffusion.scheduler_config import Spacing
from litefocus_jax.diffusion.schedulers import Schedule, make_schedule
from litefocus_jax.diffusion.timesteps import choose_spacing, spaced_timesteps
from litefocus_jax.diffusion.windows import WindowedDenoising, WindowLayout
from litefocus_jax.generation.attention import attention_layout
from litefocus_jax.generation.authors import with_sampling
from litefocus_jax.generation.checks import finite_number, one_word, positive_count, said, texts_of, truth
from litefocus_jax.generation.edit import Edit, make_edit
from litefocus_jax.generation.embeddings import GivenPrompts, given_prompts
from litefocus_jax.generation.habits import unknown_names
from litefocus_jax.generation.length import sound_length
from litefocus_jax.generation.model_options import check_options_of_model
from litefocus_jax.generation.options import DEFAULTS, RequestOptions
from litefocus_jax.generation.plan import DenoisingPlan, checked_mesh, steps_per_call
from litefocus_jax.generation.speech import Speech, make_speech
from litefocus_jax.generation.timeline import Timeline, make_timeline
from litefocus_jax.generation.waveforms import first_waveforms
from litefocus_jax.generation.words import warn_of_unknown_words
from litefocus_jax.models.components import LatentGeometry, ModelFacts
from litefocus_jax.models.generation_defaults import LARGEST_GUIDANCE, QUALITIES, PromptPadding, Sampling
from litefocus_jax.models.model_type import AUDIOLDM2
from litefocus_jax.models.unet.self_attention import check_layout, frames_at_last_level
from litefocus_jax.parallel.mesh import check_frames
from litefocus_jax.system.platform import current_platform

logger = logging.getLogger(__name__)

_MOST_STEPS = 100_000
_MOST_WAVEFORMS = 10_000


@dataclasses.dataclass(frozen=True)
class Request:
    """One checked request: all that decides a sound beside the model.

    Attributes:
        prompts: one text per sound.
        negative_prompts: as many texts; empty strings unless given.
        audio_length_in_s: seconds; of a loop, those of its latent frames, and so with ``latent_frames_per_second``.
        guidance_scale: weight of classifier-free guidance; guidance runs when it is above 1.
        num_waveforms_per_prompt: sounds made for every prompt.
        seed: of all randomness.
        first_waveforms: for each prompt, the number of its first waveform.
        eta: DDIM's share of fresh noise.
        schedule: the sampler and its steps.
        timestep_spacing: how those are laid out; not a part of the schedule, whose programs serve any.
        num_inference_steps: steps that were asked for.
        plan: how it is denoised.
        prompt_padding: what a prompt's place in GPT-2 goes by.
        force_zeros_for_empty_prompt: as of `RequestOptions`.
        latent_frames_per_second: by which the frames were counted, or None.
        ranks: whether a run ranks the waveforms unless it is told.
        latents: initial noise instead of the seed's.
        given: prompts that are given as vectors; the texts in their place are empty.
        skipped_steps: of the whole schedule, where it is begun with a sound.
        edit: what is made of a sound that is given, or None.
        timeline: several prompts along the sound, which the one of ``prompts`` stands for, or None.
        speech: what is said, or None where nothing is.
        least_level: how loud each sound is to be at least, by the model's defaults; None where it is left as it is.
    """

    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    audio_length_in_s: float
    guidance_scale: float
    num_waveforms_per_prompt: int
    seed: int
    first_waveforms: tuple[int, ...]
    eta: float
    schedule: Schedule = dataclasses.field(repr=False, compare=False)
    timestep_spacing: Spacing
    num_inference_steps: int
    plan: DenoisingPlan
    prompt_padding: PromptPadding = "batch"
    force_zeros_for_empty_prompt: bool = False
    latent_frames_per_second: float | None = None
    ranks: bool = dataclasses.field(default=False, compare=False)
    latents: Float[Array, "sounds time frequency channels"] | None = dataclasses.field(
        default=None, repr=False, compare=False
    )
    given: GivenPrompts | None = dataclasses.field(default=None, repr=False, compare=False)
    skipped_steps: int = 0
    edit: Edit | None = None
    timeline: Timeline | None = None
    speech: Speech | None = None
    least_level: LeastLevel | None = None

    @property
    def batch_size(self) -> int:
        """Number of sounds."""
        return len(self.prompts) * self.num_waveforms_per_prompt

    @property
    def sides(self) -> int:
        """Of each sound: left and right of stereo, which are denoised next to each other, or one."""
        return STEREO if self.edit is not None and self.edit.stereo else 1

    @property
    def waveforms(self) -> tuple[int, ...]:
        """For each sound, the number of its waveform: with the seed, what one of several is made again by, alone."""
        count = self.num_waveforms_per_prompt
        return tuple(number for first in self.first_waveforms for number in range(first, first + count))

    @property
    def sampling(self) -> Sampling:
        """The sampler, its steps and their spacing."""
        return Sampling(self.schedule.kind, self.schedule.num_steps, self.timestep_spacing)

    @property
    def encoded_prompts(self) -> tuple[tuple[str, ...], tuple[str, ...]]:
        """The texts that are encoded, and as many negative ones: the prompts, or those of the timeline."""
        if self.timeline is None:
            return self.prompts, self.negative_prompts
        return self.timeline.prompts, self.negative_prompts * len(self.timeline.prompts)

    def rounding_of_loop(self, audio_length_in_s: float | None) -> str | None:
        """What became of the length of a loop that was asked for, if anything."""
        if not self.plan.loop or audio_length_in_s in (None, self.audio_length_in_s):
            return None
        return (
            f"The loop is {self.audio_length_in_s:g} s long, {self.plan.frames} latent frames, not "
            f"{audio_length_in_s:g} s: a loop is a whole number of them"
        )

    def notices(self, audio_length_in_s: float | None) -> list[str]:
        """What a user should be told of what became of the request: of the sound that is given, and of a loop's length.

        Args:
            audio_length_in_s: as it was asked for.
        """
        rounded, seconds, per_second = None, self.audio_length_in_s, self.latent_frames_per_second
        if per_second is None:
            rounded = self.rounding_of_loop(audio_length_in_s)
        elif audio_length_in_s not in (None, seconds):
            rounded = (
                f"The sound is {seconds:g} s long, {self.plan.frames} latent frames, not {audio_length_in_s:g} s: "
                f"latent_frames_per_second = {per_second:g}, where a second has {self.plan.frames / seconds:g}"
            )
        return [*(() if self.edit is None else self.edit.notes), *([] if rounded is None else [rounded])]

    def facts(self) -> dict[str, Any]:
        """All that decides the sound but initial latents, as plain values."""
        plan = self.plan
        attention = dataclasses.asdict(plan.attention)
        if attention["sets"] is not None:  # short enough to be shown in an error
            attention["sets"] = {name: value for name, value in attention["sets"].items() if value is not None}
        given = {} if self.given is None else {"digest of the given prompts": self.given.digest}
        edit = {} if self.edit is None else {"audio": self.edit.facts()}
        timeline = {} if self.timeline is None else {"timeline": self.timeline.pairs}
        speech = {} if self.speech is None else {"phonemes": self.speech.phonemes}
        return {
            **given,
            **edit,
            **timeline,
            **speech,
            "prompt": self.prompts,
            "negative_prompt": self.negative_prompts,
            "audio_length_in_s": self.audio_length_in_s,
            "num_inference_steps": self.num_inference_steps,
            "guidance_scale": self.guidance_scale,
            "num_waveforms_per_prompt": self.num_waveforms_per_prompt,
            "eta": self.eta,
            "seed": self.seed,
            "waveforms": self.waveforms,
            "scheduler": self.schedule.kind,
            "timestep_spacing": self.timestep_spacing,
            "force_zeros_for_empty_prompt": self.force_zeros_for_empty_prompt,
            "prompt_padding": self.prompt_padding,
            "loop": plan.loop,
            "attention": attention,
            "windows": plan.windows and dataclasses.asdict(plan.windows),
            "mesh": plan.mesh and dict(plan.mesh.shape),
        }


def make_request(
    model: ModelFacts, prompt: str | Sequence[str] | None = None, **options: Unpack[RequestOptions]
) -> Request:
    """Check what is asked for against what is known of a model, and decide what runs.

    What is not said of sampling is said by the model's own defaults. A single negative prompt serves every prompt.
    Without ``audio_length_in_s`` the clip is as long as those the model was trained on. What LiteFocus does if left to
    choose goes by the length of what the network sees, the sound or a window of it, in training lengths.

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
    geometry, defaults = model.geometry, model.defaults
    check_options_of_model(model.model_type, options)
    asked = with_sampling(options, model)
    asked: Any = {**DEFAULTS, **asked}
    timeline = make_timeline(asked["timeline"])
    if timeline is not None:
        # Its own text stands for it where a prompt is wanted, as in a recipe.
        if prompt is not None and texts_of("prompt", prompt) != (str(timeline),):
            raise ValueError("prompt and timeline are both given; expected one of them")
        prompt = str(timeline) if len(timeline.prompts) > 1 else timeline.prompts
    given = given_prompts(
        asked, model.model_type, model.unet, None if prompt is None else len(texts_of("prompt", prompt))
    )
    if timeline is not None and given is not None:
        raise ValueError("timeline is given beside prompts as vectors; expected one of them")
    prompts = ("",) * len(given.positive[0]) if given and given.positive else said("prompt", prompt)
    negative_prompts = _negative_prompts(asked["negative_prompt"], len(prompts))
    warn_of_unknown_words(model.vocabulary, (*(timeline.prompts if timeline else prompts), *negative_prompts))
    # Prompts that are vectors are not compared: each counts as another one.
    is_text = given is None or given.positive is None
    speech = make_speech(model.model_type, asked["transcription"], asked["phonemes"], len(prompts), is_text=is_text)
    if speech is not None and timeline is not None:
        raise ValueError("timeline is for models that do not speak; expected a prompt and a transcription")
    told = prompts if speech is None else list(zip(prompts, speech.phonemes, strict=True))
    texts = list(zip(told if is_text else range(len(prompts)), negative_prompts, strict=True))
    loop = truth("loop", asked["loop"])
    edit = make_edit(asked, geometry)
    seconds, frames, frames_per_second = sound_length(
        asked["audio_length_in_s"], asked["latent_frames_per_second"], geometry, edit, loop=loop
    )
    waveforms = positive_count("num_waveforms_per_prompt", asked["num_waveforms_per_prompt"], _MOST_WAVEFORMS)
    guidance_scale = asked["guidance_scale"]
    guidance_scale = finite_number(
        "guidance_scale", defaults.guidance_scale if guidance_scale is None else guidance_scale
    )
    _check_guidance(guidance_scale, negative_prompts)
    schedule, timestep_spacing, steps, skipped = _schedule(model, asked, 1.0 if edit is None else edit.strength)
    zeros = asked["force_zeros_for_empty_prompt"]
    zeros = zeros is not None and truth("force_zeros_for_empty_prompt", zeros)
    prompt_padding = one_word("prompt_padding", asked["prompt_padding"], get_args(PromptPadding))
    if model.model_type is not AUDIOLDM2:
        prompt_padding = "alone"  # whatever a file's defaults say: neighbours change nothing
    seed = asked["seed"]
    if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or not 0 <= seed < 2**32:
        raise ValueError(f"seed = {seed!r}; expected a whole number from 0 to 2**32 - 1")
    windows = _windows(asked["windowed"], frames, geometry, loop=loop)
    if timeline is not None:
        windows = timeline.layout(windows, frames, geometry)
        windows = windows and dataclasses.replace(windows, loop=loop)
    seen_in_s = seconds if windows is None else windows.window * geometry.frame_in_s
    attention = attention_layout(
        asked["litefocus"],
        geometry,
        seen_in_s,
        by_length=model.defaults.litefocus_by_length,
        scale_scores=asked["scale_scores"],
        token_merging=asked["token_merging"],
    )
    check_layout(model.unet, attention)
    mesh = asked["mesh"]
    if mesh is not None:
        named = {"timeline": timeline is not None, "token_merging": attention.merging is not None}
        whole_frames = [name for name, asks in named.items() if asks]
        mesh = checked_mesh(mesh, windows, guided=guidance_scale > 1.0, whole_frames=whole_frames)
        check_frames(mesh, frames_at_last_level(model.unet, frames))
    return Request(
        prompts=prompts,
        negative_prompts=negative_prompts,
        audio_length_in_s=seconds,
        guidance_scale=guidance_scale,
        num_waveforms_per_prompt=waveforms,
        seed=int(seed),
        first_waveforms=first_waveforms(asked["first_waveform"], texts, waveforms),
        eta=float(asked["eta"] or 0.0),
        schedule=schedule,
        timestep_spacing=timestep_spacing,
        num_inference_steps=steps,
        plan=DenoisingPlan(
            frames=frames,
            steps_per_call=steps_per_call(schedule.num_steps, current_platform().longest_call_in_steps),
            guided=guidance_scale > 1.0,
            attention=attention,
            windows=windows,
            mesh=mesh,
            loop=loop,
            holds=edit is not None and bool(edit.spans),
        ),
        prompt_padding=prompt_padding or defaults.prompt_padding,
        force_zeros_for_empty_prompt=zeros,
        latent_frames_per_second=frames_per_second,
        ranks=asked["sampling"] is not None and waveforms > 1,
        latents=_latents(asked["latents"], (len(prompts) * waveforms, frames, geometry.frequencies, geometry.channels)),
        given=given,
        skipped_steps=skipped,
        edit=edit,
        timeline=timeline if timeline is not None and len(timeline.prompts) > 1 else None,
        speech=speech,
        least_level=_least_level(defaults.least_level_in_dbfs, geometry) if edit is None else None,
    )


def _least_level(in_dbfs: float | None, geometry: LatentGeometry) -> LeastLevel | None:
    return None if in_dbfs is None else LeastLevel(in_dbfs, geometry.sampling_rate)


def _schedule(model: ModelFacts, asked: RequestOptions, strength: float) -> tuple[Schedule, Spacing, int, int]:
    """The sampler and its steps, with the spacing that they have, how many were asked for, and how many are skipped.

    A spacing that the caller asks for is taken as it is; a default gives way where it would begin below pure noise.
    """
    way = model.defaults.way(one_word("quality", asked.get("quality"), QUALITIES))
    steps, spacing = asked.get("num_inference_steps"), asked.get("timestep_spacing")
    num_steps = positive_count("num_inference_steps", way.num_inference_steps if steps is None else steps, _MOST_STEPS)
    scheduler = asked.get("scheduler")
    if scheduler is None:
        scheduler = way.scheduler or model.scheduler.sampler
    if spacing is None and way.timestep_spacing is not None:
        spacing = choose_spacing(model.scheduler, num_steps, scheduler, preferred=way.timestep_spacing)
    eta = asked.get("eta")
    eta = 0.0 if eta is None else finite_number("eta", eta)
    schedule = make_schedule(
        model.scheduler, num_steps, scheduler=scheduler, timestep_spacing=spacing, eta=eta, strength=strength
    )
    spacing = spacing or choose_spacing(model.scheduler, num_steps, schedule.kind)
    whole = len(spaced_timesteps(model.scheduler, spacing, num_steps, schedule.kind))
    return schedule, spacing, num_steps, whole - schedule.num_steps


def _windows(windowed: Any, frames: int, geometry: LatentGeometry, *, loop: bool) -> WindowLayout | None:
    if windowed is None:
        return None
    if isinstance(windowed, str):
        windowed = WindowedDenoising(windowed)  # pyright: ignore[reportArgumentType]
    if not isinstance(windowed, WindowedDenoising):
        raise TypeError(
            f"windowed is a {type(windowed).__name__}; expected None, 'swap', 'average' or a WindowedDenoising"
        )
    layout = windowed.layout(frames, frame_in_s=geometry.frame_in_s, training_frames=geometry.training_frames)
    return layout and dataclasses.replace(layout, loop=loop)


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
    texts = texts_of("negative_prompt", negative_prompt)
    if len(texts) == 1:
        texts *= count
    if len(texts) != count:
        raise ValueError(
            f"negative_prompt has {len(texts)} texts for {count} prompts; expected one for all, or one for each"
        )
    return texts


def _check_guidance(guidance_scale: float, negative_prompts: tuple[str, ...]) -> None:
    if not 0 <= guidance_scale <= LARGEST_GUIDANCE:
        raise ValueError(
            f"guidance_scale = {guidance_scale:g}; expected 0 or more, more than 1 for any guidance, and at most "
            f"{LARGEST_GUIDANCE:g}"
        )
    if guidance_scale <= 1 and any(negative_prompts):
        logger.warning(
            "The negative prompt (negative_prompt, --negative) does nothing: guidance is off at %g; expected a "
            "guidance_scale (--guidance) of more than 1",
            guidance_scale,
        )
