"""What a sound was made of: all that is needed to make the same bytes again, alone.

A recipe holds what ran, and not what was left to choose: where a request said "auto", the recipe says what that came
to, so that another version's choices do not change the sound. It travels with the sound as JSON.
"""

import dataclasses
import json
from collections.abc import Mapping
from typing import Any, Self

import jax

import litefocus_jax
from litefocus_jax.audio.finish import NO_FINISH, Finish
from litefocus_jax.decoding.plan import TilingConfig
from litefocus_jax.diffusion.scheduler_config import Kind, Spacing
from litefocus_jax.diffusion.windows import WindowedDenoising
from litefocus_jax.generation.length import seconds_that_ask_for
from litefocus_jax.generation.options import RequestOptions
from litefocus_jax.generation.recipe_parts import GivenSound, Neighbours
from litefocus_jax.generation.request import Request
from litefocus_jax.models.generation_defaults import PromptPadding
from litefocus_jax.models.unet.heads import Heads
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.ops.token_merging import TokenMerging
from litefocus_jax.system.messages import plain
from litefocus_jax.system.platform import current_platform
from litefocus_jax.system.typed_json import from_plain, parse_object, to_plain

FORMAT = "litefocus-jax recipe"
FORMAT_VERSION = 1

_LATER = frozenset(
    {"audio", "timeline", "heads", "token_merging", "force_zeros_for_empty_prompt", "latent_frames_per_second"}
    | {"transcription", "phonemes"}
)
_LATER_OF_LITEFOCUS = frozenset({"transformers", "transformer_blocks"})


class RecipeError(ValueError):
    """A file holds no recipe, or one that cannot be read or followed."""

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


_NO_SOUND: RequestOptions = {
    "audio": None,
    "strength": None,
    "fill": None,
    "continue_for_s": None,
    "lead_in_for_s": None,
    "stereo": False,
}


@dataclasses.dataclass(frozen=True, kw_only=True)
class Recipe:
    """One sound: what was asked for, what made it, and what was done to it then.

    Attributes:
        prompt: what to hear.
        negative_prompt: what not to hear.
        seed: of all randomness.
        waveform: number of the sound among those of its prompt and seed.
        audio_length_in_s: seconds of sound, before it is finished; with ``latent_frames_per_second`` those that ask for
            it.
        num_inference_steps: denoising steps.
        guidance_scale: as of `RequestOptions`, and so the next ones; what was left to choose is said as it was chosen.
        scheduler: the sampler.
        timestep_spacing: of its steps.
        eta: DDIM's share of fresh noise.
        litefocus: sparse attention, or None for dense.
        scale_scores: whether attention scores are scaled.
        windowed: windows of denoising, or None where the network sees the whole.
        loop: whether its end runs on into its beginning.
        prompt_padding: what the prompt's place in GPT-2 goes by.
        tiling: how a long sound is decoded.
        neighbours: its batch, or None where it was made alone.
        given: arrays that the caller gave in the place of noise or text, which no file holds.
        mesh: devices along each axis that shared the work, or None for one.
        model: the folder or the id of the model, as it was asked for, or None where it was made in memory.
        model_digest: of configurations, tokenizers and weights; see `checkpoint.fingerprint`.
        dtype: floating-point type that the network computed in.
        platform: of the device: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        library_version: of litefocus-jax.
        jax_version: of JAX.
        finish: what was done to the sound.
        subtype: sample format of its file, or None where it was not written.
        audio: the sound that it was made of, or None.
        timeline: seconds and prompts along it, which ``prompt`` says in one line, or None.
        heads: of the UNet, as the model was loaded with them; None where nobody said.
        token_merging: tokens that attended as one, or None.
        force_zeros_for_empty_prompt: as of `RequestOptions`, and so the next one.
        latent_frames_per_second: None where the seconds are true ones.
        transcription: what is said, as it is written; None where phonemes alone were given, or nothing is said.
        phonemes: what is said, or None.
    """

    prompt: str
    negative_prompt: str
    seed: int
    waveform: int
    audio_length_in_s: float
    num_inference_steps: int
    guidance_scale: float
    scheduler: Kind
    timestep_spacing: Spacing
    eta: float
    litefocus: LiteFocusConfig | None
    scale_scores: bool
    windowed: WindowedDenoising | None
    loop: bool
    prompt_padding: PromptPadding
    tiling: TilingConfig
    neighbours: Neighbours | None
    given: tuple[str, ...]
    mesh: tuple[tuple[str, int], ...] | None
    model: str | None
    model_digest: str
    dtype: str
    platform: str
    library_version: str
    jax_version: str
    finish: Finish = NO_FINISH
    subtype: str | None = None
    audio: GivenSound | None = None
    timeline: tuple[tuple[float, str], ...] | None = None
    heads: Heads | None = None
    token_merging: TokenMerging | None = None
    force_zeros_for_empty_prompt: bool = False
    latent_frames_per_second: float | None = None
    transcription: str | None = None
    phonemes: str | None = None

    @property
    def row(self) -> int:
        """Number of the sound in the batch that `request_options` ask for."""
        return 0 if self.neighbours is None else self.neighbours.row

    def request_options(self) -> tuple[tuple[str, ...], RequestOptions]:
        """Prompts and options of the request that makes the sound, in its batch.

        Raises:
            RecipeError: when it was made of arrays that no file holds.
        """
        if self.given:
            raise RecipeError(f"the sound cannot be made again from its recipe: {', '.join(self.given)} were arrays")
        batch = self.neighbours or Neighbours((self.prompt,), (self.negative_prompt,), (self.waveform,), 1, 0)
        spoken = self.phonemes if batch.phonemes is None else batch.phonemes
        return batch.prompts, {
            "negative_prompt": batch.negative_prompts,
            "audio_length_in_s": self.audio_length_in_s,
            "num_inference_steps": self.num_inference_steps,
            "guidance_scale": self.guidance_scale,
            "num_waveforms_per_prompt": batch.num_waveforms_per_prompt,
            "eta": self.eta,
            "seed": self.seed,
            "first_waveform": batch.first_waveforms,
            "scheduler": self.scheduler,
            "timestep_spacing": self.timestep_spacing,
            "force_zeros_for_empty_prompt": self.force_zeros_for_empty_prompt,
            "latent_frames_per_second": self.latent_frames_per_second,
            "litefocus": self.litefocus,
            "scale_scores": self.scale_scores,
            "token_merging": self.token_merging,
            "windowed": self.windowed,
            "loop": self.loop,
            "prompt_padding": self.prompt_padding,
            "timeline": self.timeline,
            "transcription": self.transcription,
            "phonemes": spoken,
            **(_NO_SOUND if self.audio is None else self.audio.request_options()),
        }

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `from_dict` reads back to an equal recipe."""
        plain: dict[str, Any] = to_plain(self)
        # What came later is left out where it says nothing, so that the files of other sounds stay as they were.
        plain = {name: value for name, value in plain.items() if value not in (None, False) or name not in _LATER}
        if plain["litefocus"] is not None:
            for name in _LATER_OF_LITEFOCUS:
                if plain["litefocus"][name] is None:
                    del plain["litefocus"][name]
        if plain["neighbours"] is not None and plain["neighbours"]["phonemes"] is None:
            del plain["neighbours"]["phonemes"]
        return {"format": FORMAT, "format_version": FORMAT_VERSION, **plain}

    def to_json(self) -> str:
        """`to_dict` on one line, in ASCII, for a comment in a file."""
        return json.dumps(self.to_dict(), separators=(",", ":"), allow_nan=False)

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], source: str = "recipe") -> Self:
        """Read a recipe; every value is checked.

        Raises:
            RecipeError: when it is none, is of another version, or a value is missing, unknown or wrong.
        """
        values = dict(values)
        if values.pop("format", None) != FORMAT:
            raise RecipeError(f"{source} holds no recipe of a sound: expected format = {FORMAT!r}")
        version = values.pop("format_version", None)
        if type(version) is not int or version != FORMAT_VERSION:
            raise RecipeError(
                f"{source}: format_version = {version!r}, written by litefocus-jax {values.get('library_version')}; "
                f"this version, {litefocus_jax.__version__}, reads {FORMAT_VERSION}"
            )
        try:
            return from_plain(cls, values, source)
        except ValueError as error:
            raise RecipeError(str(error)) from None

    @classmethod
    def from_json(cls, text: str, source: str = "recipe") -> Self:
        """Read what `to_json` wrote.

        Raises:
            RecipeError: as `from_dict`, or when it is no JSON object.
        """
        try:
            values = parse_object(text, source)
        except ValueError as error:
            raise RecipeError(f"{source} holds no recipe of a sound: {error}") from None
        return cls.from_dict(values, source)

    def changes_here(self) -> list[str]:
        """What is other on this machine than where the sound was made, and may change it by rounding, in words."""
        here = {
            "library_version": ("litefocus-jax", litefocus_jax.__version__),
            "jax_version": ("JAX", jax.__version__),
            "platform": ("the device", current_platform().name),
        }
        changes = [
            f"{name} was {getattr(self, field)} and is {now}"
            for field, (name, now) in here.items()
            if getattr(self, field) != now
        ]
        if self.mesh is not None:
            changes.append("several devices shared the work")
        return changes


def recipes_of(
    request: Request,
    frame_in_s: float,
    tiling: TilingConfig,
    *,
    model: str | None,
    model_digest: str,
    dtype: str,
    heads: Heads | None = None,
) -> tuple[Recipe, ...]:
    """The recipe of each sound of a request.

    Args:
        request: what is made.
        frame_in_s: seconds in a latent frame of the model.
        tiling: how it is decoded.
        model: see `Recipe`, and so the others.
        model_digest: of the model.
        dtype: of the network.
        heads: of the UNet.
    """
    plan, waveforms = request.plan, request.num_waveforms_per_prompt
    per_second = request.latent_frames_per_second
    attention, windows = plan.attention, plan.windows
    litefocus = attention.sets and LiteFocusConfig(
        **{field.name: getattr(attention.sets, field.name) for field in dataclasses.fields(attention.sets)},
        reach_in_s=None if attention.reach is None else attention.reach * frame_in_s,
    )
    windowed = None
    if windows is not None and not windows.is_whole:
        windowed = WindowedDenoising(
            windows.method, windows.window * frame_in_s, windows.overlap * frame_in_s, windows.windows_per_call
        )
    shared = Recipe(
        prompt="",
        negative_prompt="",
        seed=request.seed,
        waveform=0,
        audio_length_in_s=request.audio_length_in_s
        if per_second is None
        else seconds_that_ask_for(plan.frames, per_second),
        num_inference_steps=request.num_inference_steps,
        guidance_scale=request.guidance_scale,
        scheduler=request.schedule.kind,
        timestep_spacing=request.timestep_spacing,
        eta=request.eta,
        litefocus=litefocus,
        scale_scores=attention.scale_scores,
        windowed=windowed,
        loop=plan.loop,
        prompt_padding=request.prompt_padding,
        tiling=tiling,
        neighbours=None,
        given=_given(request),
        mesh=None if plan.mesh is None else tuple(plan.mesh.shape.items()),
        model=model,
        model_digest=model_digest,
        dtype=dtype,
        platform=current_platform().name,
        library_version=litefocus_jax.__version__,
        jax_version=jax.__version__,
        audio=request.edit
        and GivenSound(**{field.name: getattr(request.edit, field.name) for field in dataclasses.fields(GivenSound)}),
        timeline=request.timeline and request.timeline.pairs,
        heads=heads,
        token_merging=attention.merging,
        force_zeros_for_empty_prompt=request.force_zeros_for_empty_prompt,
        latent_frames_per_second=per_second,
    )
    speech = request.speech
    return tuple(
        dataclasses.replace(
            shared,
            prompt=request.prompts[row // waveforms],
            negative_prompt=request.negative_prompts[row // waveforms],
            waveform=request.waveforms[row],
            neighbours=Neighbours(
                request.prompts,
                request.negative_prompts,
                request.first_waveforms,
                waveforms,
                row,
                speech and speech.phonemes,
            )
            if request.batch_size > 1
            else None,
            transcription=speech and speech.transcriptions and speech.transcriptions[row // waveforms],
            phonemes=speech and speech.phonemes[row // waveforms],
        )
        for row in range(request.batch_size)
    )


def _given(request: Request) -> tuple[str, ...]:
    """Names of the options of a request that are arrays."""
    vectors = request.given
    arrays = {
        "audio": request.edit if request.edit is not None and request.edit.path is None else None,
        "latents": request.latents,
        "prompt_embeds": vectors and vectors.positive,
        "negative_prompt_embeds": vectors and vectors.negative,
    }
    return tuple(name for name, array in arrays.items() if array is not None)
