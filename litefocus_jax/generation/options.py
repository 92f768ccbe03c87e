"""What can be asked for beside a prompt, and what holds where nothing is said."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float, Shaped

from litefocus_jax.diffusion.scheduler_config import Kind, Spacing
from litefocus_jax.diffusion.windows import WindowedDenoising
from litefocus_jax.generation.authors import SamplingChoice
from litefocus_jax.models.generation_defaults import PromptPadding, Quality
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.ops.token_merging import TokenMerging

LiteFocusChoice = LiteFocusConfig | Literal["auto", "on", "linear", "authors", "off"] | None


class RequestOptions(TypedDict, total=False):
    """What can be said of a sound beside its prompt; `DEFAULTS` has what holds where nothing is said.

    Attributes:
        negative_prompt: what to steer away from: one for all prompts, or one for each.
        transcription: what a model for speech is to say, in English: one text for all prompts, or one for each. The
            prompt says who speaks and how. It takes the extra ``speech``, which turns it into phonemes.
        phonemes: the same in the phonetic alphabet, as espeak writes it (``"həlˈoʊ"``); what is said where both are
            given.
        audio_length_in_s: seconds of sound; the length the model was trained on unless given.
        quality: ``"fast"``, ``"good"`` or ``"reference"``: scheduler, steps and spacing that the model recommends for
            it, or else this library. What is given beside it holds instead.
        sampling: ``"authors"`` samples as AudioLDM2's authors do: 200 steps of DDIM with ``eta=1``, their
            ``timestep_spacing="uniform"``, a guidance of 3.5, ``force_zeros_for_empty_prompt=True``,
            ``latent_frames_per_second=25.6``, ``prompt_padding="alone"``, ``num_waveforms_per_prompt=3`` ranked by CLAP
            (``rank`` of a run), and dense attention where ``litefocus`` is ``"auto"``. What is given beside it holds
            instead; see docs/sampling.md.
        num_inference_steps: denoising steps; None for the model's own default, as in all of these.
        guidance_scale: how closely to follow the prompt; at 1 or below, guidance is off.
        num_waveforms_per_prompt: sounds made for each prompt.
        eta: DDIM's share of fresh noise, from 0 to 1; none unless given.
        seed: of all randomness; the same seed starts every prompt from the same noise, so that the events of all
            prompts of one seed tend to fall on the same instants.
        first_waveform: number of the first waveform that is made of each prompt: ``first_waveform=2`` alone makes the
            third of those that ``num_waveforms_per_prompt=3`` makes. One for all prompts, or one for each. Without one
            for each, a prompt that is given several times goes on counting where it stopped, so that
            ``["rain", "rain"]`` makes waveforms 0 and 1 of it.
        latents: initial noise instead of the seed's, ``[prompts * waveforms, time, frequency, channel]``.
        scheduler: ``"ddim"``, ``"dpm++"`` or None for the model's own.
        timestep_spacing: ``"leading"``, ``"trailing"`` or ``"linspace"``, or None for the model's own; None takes
            ``"trailing"`` for those numbers of steps that would begin below pure noise, which spoils the sound.
            ``"uniform"`` is that of AudioLDM2's authors, for DDIM: strides of ``1000 // steps`` up to the end, however
            many they are, so that 150 asked for are 167.
        force_zeros_for_empty_prompt: where there is no negative prompt, guide away from zeros in the place of GPT-2's
            vectors, as AudioLDM2's authors do; Flan-T5's are those of "" in any case. The name is that of diffusers'
            Stable Diffusion XL.
        latent_frames_per_second: count the latent frames of ``audio_length_in_s`` by this number and not by those that
            a second has, 25 in AudioLDM2: ``25.6``, as its authors do, makes 10.24 s where 10 are asked for.
        litefocus: sparse attention: a `LiteFocusConfig`, ``"on"`` for the one of the paper, ``"linear"`` for
            `LiteFocusConfig.linear`, ``"authors"`` for `LiteFocusConfig.authors`, ``"off"`` or None for dense
            attention, or ``"auto"``, which goes by the length in training lengths, follows the paper, and beyond its
            lengths takes linear cost (`LiteFocusConfig.for_duration`).
        scale_scores: scale attention scores by the logarithm of what a token sees against training
            (arXiv 2306.08645).
        token_merging: the share of tokens that attend as one with others, such as 0.5, or a `TokenMerging`; the paper's
            baseline (docs/paper.md). Attention is dense but for that, so that it stands alone: not beside ``litefocus``
            or ``scale_scores``.
        windowed: denoise long sound in overlapping windows: a `WindowedDenoising`, or its method, ``"swap"`` or
            ``"average"``; sound of one window's length is not changed by it.
        loop: make sound that runs on into its own beginning: time is a circle for every network. The length is rounded
            to latent frames. Within ``windowed``, the windows go round; a reach of LiteFocus does not.
        audio: a sound to begin with, as the path of a file or as an array, for all prompts: it is varied, or with one
            of the options below filled or continued. The sound that is made is as long, unless it is continued.
        sampling_rate: samples per second of ``audio``, where that is an array.
        strength: how much of ``audio`` is made anew: 0 gives what the VAE makes of it, 1 nothing of it. Where it is
            filled or continued 1, which is the best there, and 0.6 otherwise.
        fill: spans of ``audio`` to make anew, as pairs of seconds, ``[(3.0, 7.0)]``; all else of it stays as it is.
        keep: the spans that stay, in the place of ``fill``.
        continue_for_s: seconds to make after ``audio``.
        lead_in_for_s: seconds to make before it.
        stereo: make left and right of the two channels of ``audio``, each by itself of the same noise, in the place of
            one sound of their mean. The model knows nothing of two sides: they agree as far as what is given does.
        timeline: several prompts along the sound in the place of ``prompt``, as pairs of the second that each begins at
            and its text, ``[(0.0, "rain"), (20.0, "birds")]``.
        prompt_padding: what a prompt's place in GPT-2 goes by: ``"batch"``, the longest prompt of the batch, as in
            diffusers, so that neighbours change a sound; or ``"alone"``, itself; None for the model's own.
        mesh: devices that share the work, of one process or of several: the sounds along its axis ``"data"``, the
            frames of each sound along ``"time"``; see docs/devices.md. It changes the sound by rounding alone.
        prompt_embeds: prompts as vectors of Flan-T5, from `AudioLDM2Pipeline.encode_prompt`, ``[prompts, tokens,
            features]``; with ``generated_prompt_embeds``, and in the place of ``prompt``. For an AudioLDM or a
            MusicLDM vectors of CLAP, ``[prompts, features]``, alone.
        attention_mask: true, or not 0, on those vectors that are no padding, ``[prompts, tokens]``; all unless given.
        generated_prompt_embeds: the same prompts as vectors of GPT-2, ``[prompts, vectors, features]``.
        negative_prompt_embeds: in the place of ``negative_prompt``; and so the other two.
        negative_attention_mask: as ``attention_mask``.
        negative_generated_prompt_embeds: as ``generated_prompt_embeds``.
    """

    negative_prompt: str | Sequence[str] | None
    transcription: str | Sequence[str] | None
    phonemes: str | Sequence[str] | None
    audio_length_in_s: float | None
    quality: Quality | None
    sampling: SamplingChoice | None
    num_inference_steps: int | None
    guidance_scale: float | None
    num_waveforms_per_prompt: int
    eta: float | None
    seed: int
    first_waveform: int | Sequence[int]
    latents: Float[Array | np.ndarray, "sounds time frequency channels"] | None
    scheduler: Kind | None
    timestep_spacing: Spacing | None
    force_zeros_for_empty_prompt: bool | None
    latent_frames_per_second: float | None
    litefocus: LiteFocusChoice
    scale_scores: bool
    token_merging: float | TokenMerging | None
    windowed: WindowedDenoising | Literal["swap", "average"] | None
    loop: bool
    audio: Any
    sampling_rate: int | None
    strength: float | None
    fill: Sequence[tuple[float | None, float | None]] | None
    keep: Sequence[tuple[float | None, float | None]] | None
    continue_for_s: float | None
    lead_in_for_s: float | None
    stereo: bool
    timeline: Sequence[tuple[float, str]] | None
    prompt_padding: PromptPadding | None
    mesh: Mesh | None
    prompt_embeds: Float[Array | np.ndarray, "prompts tokens features"] | None
    attention_mask: Shaped[Array | np.ndarray, "prompts tokens"] | None
    generated_prompt_embeds: Float[Array | np.ndarray, "prompts vectors features"] | None
    negative_prompt_embeds: Float[Array | np.ndarray, "prompts tokens features"] | None
    negative_attention_mask: Shaped[Array | np.ndarray, "prompts tokens"] | None
    negative_generated_prompt_embeds: Float[Array | np.ndarray, "prompts vectors features"] | None


DEFAULTS: RequestOptions = {
    "negative_prompt": None,
    "transcription": None,
    "phonemes": None,
    "audio_length_in_s": None,
    "quality": None,
    "sampling": None,
    "num_inference_steps": None,
    "guidance_scale": None,
    "num_waveforms_per_prompt": 1,
    "eta": None,
    "seed": 0,
    "first_waveform": 0,
    "latents": None,
    "scheduler": None,
    "timestep_spacing": None,
    "force_zeros_for_empty_prompt": None,
    "latent_frames_per_second": None,
    "litefocus": "auto",
    "scale_scores": False,
    "token_merging": None,
    "windowed": None,
    "loop": False,
    "audio": None,
    "sampling_rate": None,
    "strength": None,
    "fill": None,
    "keep": None,
    "continue_for_s": None,
    "lead_in_for_s": None,
    "stereo": False,
    "timeline": None,
    "prompt_padding": None,
    "mesh": None,
    "prompt_embeds": None,
    "attention_mask": None,
    "generated_prompt_embeds": None,
    "negative_prompt_embeds": None,
    "negative_attention_mask": None,
    "negative_generated_prompt_embeds": None,
}
