"""From a checkpoint and prompts to sound."""

import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax import generate
from litefocus_jax.audio import check_writable, save_audio
from litefocus_jax.checkpoint.store import Checkpoint, Components, open_checkpoint, save_native
from litefocus_jax.compilation_cache import use_compilation_cache
from litefocus_jax.decoding import DecodingPlan, TilingConfig, plan_decoding, sound_blocks
from litefocus_jax.finite import require_finite
from litefocus_jax.litefocus import LiteFocusConfig
from litefocus_jax.memory import release_unused_memory
from litefocus_jax.models.unet import check_levels
from litefocus_jax.progress import progress_bar
from litefocus_jax.request import LatentGeometry, Request, make_request
from litefocus_jax.tokenization import load_tokenizer, tokenize


@dataclasses.dataclass(frozen=True)
class AudioPipelineOutput:
    """Sounds made by the pipeline.

    Attributes:
        audios: float32 ``[prompts * waveforms, samples]`` in [-1, 1]; the waveforms of one prompt are neighbours. With
            ``output_type="latent"`` the latents instead, ``[prompts * waveforms, time, frequency, channel]``.
        sampling_rate: samples per second.
    """

    audios: np.ndarray
    sampling_rate: int

    def save(self, path: str | Path, *, subtype: str = "PCM_16") -> list[Path]:
        """Write one file per sound, WAV or FLAC by suffix.

        Args:
            path: the file. For several sounds it holds ``{index}`` (as ``rain-{index}.wav``), counted from 0.
            subtype: sample format as soundfile names it.

        Returns:
            The files written.

        Raises:
            ValueError: when there are several sounds and the path has no ``{index}``, or the suffix or the subtype is
                unknown.
            OSError: when a file cannot be written.
        """
        pattern = str(path)
        if len(self.audios) > 1 and "{index}" not in pattern:
            raise ValueError(
                f"path = {pattern!r} names one file for {len(self.audios)} sounds; put {{index}} in it, as in "
                f"{str(Path(pattern).with_stem(Path(pattern).stem + '-{index}'))!r}"
            )
        paths = [Path(pattern.replace("{index}", str(index))) for index in range(len(self.audios))]
        for file in paths:
            check_writable(file, subtype=subtype)
        for file, waveform in zip(paths, self.audios, strict=True):
            save_audio(file, waveform, self.sampling_rate, subtype=subtype)
        return paths


class AudioLDM2Pipeline:
    """AudioLDM2 with its tokenizers: prompts in, sound out.

    Args:
        components: the models and their configurations.

    Attributes:
        tiling: how long sounds are decoded; may be set to another one.

    Raises:
        ValueError: when the sub-models or the tokenizers do not belong together.
    """

    def __init__(self, components: Components) -> None:
        self.components = components
        self.tiling = TilingConfig()
        self.geometry = LatentGeometry.from_configs(
            unet=components.unet.config, vae=components.vae.config, vocoder=components.vocoder.config
        )
        self.tokenizer = load_tokenizer(components.tokenizer, components.text_encoder.config.vocab_size)
        self.tokenizer_2 = load_tokenizer(components.tokenizer_2, components.text_encoder_2.config.vocab_size)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, dtype: Any = None, revision: str | None = None
    ) -> "AudioLDM2Pipeline":
        """Load a checkpoint.

        Compiled programs are kept in the user's cache folder from here on, see `use_compilation_cache`.

        Args:
            pretrained_model_name_or_path: a native folder, a diffusers folder with safetensors weights, or a
                Hugging Face hub id such as ``"cvssp/audioldm2"``, which is downloaded.
            dtype: of the UNet and the text encoders, ``"float32"``, ``"bfloat16"`` or ``"float16"``; without it
                bfloat16 on GPUs and TPUs and float32 on CPUs. The VAE and the vocoder always compute in float32:
                they are a small part of the time, and eight bits of mantissa are audible.
            revision: branch, tag or commit on the hub.

        Raises:
            CheckpointError: naming every tensor that is missing, unknown, misshapen, damaged or not finite.
            ConfigError: when ``model_index.json`` or ``model.json`` is malformed.
            ValueError: when ``dtype`` is not supported, the tokenizers cannot be read, or the parts do not belong
                together.
        """
        return cls.from_checkpoint(open_checkpoint(pretrained_model_name_or_path, revision=revision), dtype=dtype)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, *, dtype: Any = None) -> "AudioLDM2Pipeline":
        """Load a checkpoint that is already open: its names and shapes are checked, its weights still on disk.

        Takes and raises what `from_pretrained` does.
        """
        use_compilation_cache()
        if dtype is None:
            dtype = "float32" if jax.default_backend() == "cpu" else "bfloat16"
        return cls(checkpoint.load(dtype))

    def save_pretrained(self, save_directory: str | Path, *, overwrite: bool = False) -> None:
        """Write the native format: safetensors and JSON, complete or not at all.

        Args:
            save_directory: the folder to write; its weights have the type the model was loaded in.
            overwrite: replace an earlier native folder, once the new one is complete.

        Raises:
            FileExistsError: when the folder exists and ``overwrite`` is false, or is no native folder.
            OSError: when it cannot be written.
        """
        save_native(self.components, save_directory, overwrite=overwrite)

    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        negative_prompt: str | Sequence[str] | None = None,
        audio_length_in_s: float | None = None,
        num_inference_steps: int = 200,
        guidance_scale: float = 3.5,
        num_waveforms_per_prompt: int = 1,
        eta: float = 0.0,
        seed: int = 0,
        latents: Float[Array | np.ndarray, "sounds time frequency channels"] | None = None,
        scheduler: Literal["ddim", "dpm++"] | None = None,
        litefocus: LiteFocusConfig | Literal["auto"] | None = "auto",
        output_type: Literal["audio", "latent"] = "audio",
        progress: bool = True,
    ) -> AudioPipelineOutput:
        """Make sound from text.

        The same arguments give the same bytes on the same machine. A prompt's sound does not depend on its neighbours
        in the batch, except as in diffusers through padding: a longer neighbour moves the positions of the vectors
        GPT-2 generates, and the negative prompt is cut to the token length of the longest prompt. With several
        waveforms per prompt they come in the order made; they are not ranked.

        Args:
            prompt: one text, or one for each sound.
            negative_prompt: what to steer away from: one for all prompts, or one for each.
            audio_length_in_s: seconds of sound; the length the model was trained on unless given.
            num_inference_steps: denoising steps.
            guidance_scale: how closely to follow the prompt; at 1 or below, guidance is off.
            num_waveforms_per_prompt: sounds made for each prompt.
            eta: DDIM's share of fresh noise, from 0 to 1.
            seed: of all randomness; the same seed starts every prompt from the same noise.
            latents: initial noise instead of the seed's, ``[prompts * waveforms, time, frequency, channel]``.
            scheduler: ``"ddim"``, ``"dpm++"`` or None for the checkpoint's own.
            litefocus: ``"auto"`` follows the paper (`LiteFocusConfig.for_duration`), None is dense attention.
            output_type: ``"latent"`` returns the latents, for `decode_blocks` to make sound of.
            progress: draw progress bars, where there is a terminal.

        Raises:
            TypeError: for an argument of a wrong type.
            ValueError: for an argument that cannot be honoured.
            NonFiniteError: when a stage returns NaN or infinity; the message names the stage.
        """
        request = make_request(
            self.geometry,
            self.components.scheduler,
            prompt=prompt,
            negative_prompt=negative_prompt,
            audio_length_in_s=audio_length_in_s,
            num_inference_steps=num_inference_steps,
            guidance_scale=guidance_scale,
            num_waveforms_per_prompt=num_waveforms_per_prompt,
            eta=eta,
            seed=seed,
            scheduler=scheduler,
            litefocus=litefocus,
        )
        if output_type not in ("audio", "latent"):
            raise ValueError(f"output_type = {output_type!r}; expected 'audio' or 'latent'")
        check_levels(self.components.unet.config, request.litefocus)
        keys = generate.random_keys(request.seed, len(request.prompts), request.num_waveforms_per_prompt)
        latents = self._prepare_latents(request, keys, latents)
        models = self.components

        tokens = self._encode_arguments(request)
        compiled = generate.compile_ahead(
            models.unet,
            tokens,
            request.schedule,
            latents,
            keys,
            num_waveforms_per_prompt=request.num_waveforms_per_prompt,
            guided=request.guided,
            litefocus=request.litefocus,
        )
        conditioning = generate.encode(*tokens)
        require_finite("text encoders", conditioning)
        context = generate.project_context(models.unet, conditioning, request.num_waveforms_per_prompt)
        compiled.exception()  # waits; what goes wrong there goes wrong again below, where it is raised
        release_unused_memory()
        with progress_bar("Denoising", request.schedule.num_steps, enabled=progress) as on_progress:
            latents = generate.sample(
                models.unet,
                context,
                request.schedule,
                latents,
                request.guidance_scale,
                keys,
                guided=request.guided,
                litefocus=request.litefocus,
                on_progress=on_progress,
            )
        require_finite("UNet", latents)
        if output_type == "latent":
            return AudioPipelineOutput(np.asarray(latents), self.geometry.sampling_rate)
        # One sound at a time: its memory does not grow with the batch, and the same programs serve any batch.
        sounds = (self.decode_blocks(sound, request.audio_length_in_s, progress=progress) for sound in latents)
        audios = np.stack([np.concatenate([*blocks]) for blocks in sounds])
        return AudioPipelineOutput(audios, self.geometry.sampling_rate)

    def decode_blocks(
        self,
        latents: Float[Array | np.ndarray, "time frequency channels"],
        audio_length_in_s: float | None = None,
        *,
        progress: bool = True,
    ) -> Iterator[Float[np.ndarray, " samples"]]:
        """Decode one sound block by block; `litefocus_jax.audio.save_audio_blocks` writes them to a file.

        Beyond ``tiling.whole_up_to_in_s`` each block is a tile, and the memory in use does not grow with the sound.

        Args:
            latents: of one sound, as ``output_type="latent"`` returns them.
            audio_length_in_s: seconds of sound; all that the latents hold unless given.
            progress: draw a progress bar for a long sound, where there is a terminal.

        Returns:
            Float32 samples in [-1, 1]; the blocks one after another are the sound.

        Raises:
            ValueError: when ``latents`` are not of this model, or the sound is to be longer than they are.
            NonFiniteError: when a stage returns NaN or infinity, not before its block is made; the message names it.
        """
        geometry = self.geometry
        expected = (geometry.frequencies, geometry.channels)
        if latents.ndim != 3 or latents.shape[1:] != expected or not len(latents):
            raise ValueError(f"latents has shape {latents.shape}; expected [time, {expected[0]}, {expected[1]}]")
        longest = len(latents) * geometry.samples_per_latent_frame
        samples = longest if audio_length_in_s is None else geometry.samples(audio_length_in_s)
        if not 0 < samples <= longest:
            raise ValueError(
                f"audio_length_in_s = {audio_length_in_s}; expected at most the {longest / geometry.sampling_rate:g} s "
                "that the latents hold, and more than none"
            )
        models = self.components
        plan = plan_decoding(models.vae.config, models.vocoder.config, len(latents), self.tiling)
        return self._decode(latents, plan, samples, progress)

    def _decode(
        self, latents: Array | np.ndarray, plan: DecodingPlan, samples: int, progress: bool
    ) -> Iterator[Float[np.ndarray, " samples"]]:
        models = self.components
        with progress_bar("Decoding", plan.steps, enabled=progress and not plan.is_whole) as on_progress:
            for block in sound_blocks(models.vae, models.vocoder, latents, plan, on_progress):
                if samples > 0:
                    yield block[:samples]
                samples -= len(block)

    def _prepare_latents(
        self, request: Request, keys: generate.RandomKeys, latents: Array | np.ndarray | None
    ) -> Float[Array, "sounds time frequency channels"]:
        geometry = self.geometry
        shape = (geometry.latent_frames(request.audio_length_in_s), geometry.frequencies, geometry.channels)
        if latents is None:
            return generate.initial_latents(keys.latents, shape)
        try:
            latents = jnp.asarray(latents, jnp.float32)
        except (TypeError, ValueError) as error:
            raise TypeError(f"latents is a {type(latents).__name__}; expected an array of numbers") from error
        if latents.shape != (request.batch_size, *shape):
            raise ValueError(
                f"latents has shape {latents.shape}; expected {(request.batch_size, *shape)}, "
                "[prompts * waveforms, time, frequency, channel]"
            )
        return latents

    def _encode_arguments(self, request: Request) -> tuple[Any, ...]:
        """What `generate.encode` takes, for the negative prompts (under guidance) followed by the prompts."""
        models = self.components
        prompts = tokenize(self.tokenizer_2, request.prompts)
        texts = request.prompts
        input_ids, mask = prompts.input_ids, prompts.attention_mask
        if request.guided:
            # As in diffusers, a negative prompt longer than the longest prompt is cut to its length.
            negative = tokenize(
                self.tokenizer_2,
                request.negative_prompts,
                max_length=prompts.length,
                reason="as many as the longest prompt has",
            )
            texts = request.negative_prompts + texts
            input_ids = np.concatenate(
                [_pad_to(negative.input_ids, input_ids, self.tokenizer_2.pad_token_id), input_ids]
            )
            mask = np.concatenate([_pad_to(negative.attention_mask, mask, False), mask])
        clap = tokenize(self.tokenizer, texts)
        return (
            models.text_encoder,
            models.text_encoder_2,
            models.projection_model,
            models.language_model,
            clap.input_ids,
            clap.attention_mask,
            input_ids,
            mask,
            np.int32(prompts.length),
        )


def _pad_to(array: np.ndarray, like: np.ndarray, value: Any) -> np.ndarray:
    """Pad rows on the right to the length of another batch's."""
    return np.pad(array, ((0, 0), (0, like.shape[1] - array.shape[1])), constant_values=value)
