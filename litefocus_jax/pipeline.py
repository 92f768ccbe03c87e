"""From a checkpoint and prompts to sound."""

import dataclasses
from collections.abc import Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jax.stages import Compiled
from jaxtyping import Array, Float

from litefocus_jax import generate
from litefocus_jax.audio import check_writable, save_audio
from litefocus_jax.checkpoint.store import Checkpoint, Components, open_checkpoint, save_native
from litefocus_jax.compilation_cache import use_compilation_cache
from litefocus_jax.devices import check_mesh, replicate
from litefocus_jax.litefocus import LiteFocusConfig
from litefocus_jax.memory import release_unused_memory
from litefocus_jax.memory_needs import estimate_memory, require_memory
from litefocus_jax.models.unet import UNet, check_levels
from litefocus_jax.progress import progress_bar
from litefocus_jax.request import LatentGeometry, Request, make_request
from litefocus_jax.resume import ResumableRun, RunCheckpoint
from litefocus_jax.tokenization import load_tokenizer, tokenize_prompts
from litefocus_jax.windows import WindowedDenoising


class NonFiniteError(ValueError):
    """A stage of the generation returned NaN or infinity."""


class Inputs(NamedTuple):
    """What the programs of a generation take beside models, schedule and guidance.

    Attributes:
        keys: all randomness.
        latents: the noise to begin with.
        tokens: arguments of `generate.encode`.
    """

    keys: generate.RandomKeys
    latents: Float[Array, "sounds time frequency channels"]
    tokens: tuple[Any, ...]


@dataclasses.dataclass(frozen=True)
class AudioPipelineOutput:
    """Sounds made by the pipeline.

    Attributes:
        audios: float32 ``[prompts * waveforms, samples]`` in [-1, 1]; the waveforms of one prompt are neighbours.
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

    Raises:
        ValueError: when the sub-models or the tokenizers do not belong together.
    """

    def __init__(self, components: Components) -> None:
        self.components = components
        self.geometry = LatentGeometry.from_configs(
            unet=components.unet.config, vae=components.vae.config, vocoder=components.vocoder.config
        )
        self.tokenizer = load_tokenizer(components.tokenizer, components.text_encoder.config.vocab_size)
        self._unet_copies: tuple[Mesh, UNet] | None = None
        self.tokenizer_2 = load_tokenizer(components.tokenizer_2, components.text_encoder_2.config.vocab_size)

    @classmethod
    def from_pretrained(
        cls, pretrained_model_name_or_path: str | Path, *, dtype: Any = None, revision: str | None = None
    ) -> "AudioLDM2Pipeline":
        """Load a checkpoint.

        Compiled programs are kept in the user's cache folder from here on, see `use_compilation_cache`.

        Args:
            pretrained_model_name_or_path: a native folder, a diffusers folder with safetensors weights, a
                Hugging Face hub id such as ``"cvssp/audioldm2"``, which is downloaded, or ``"foley"``, the small model
                that comes with the package.
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
        windowed: WindowedDenoising | None = None,
        run_checkpoint: RunCheckpoint | None = None,
        mesh: Mesh | None = None,
        check_memory: bool = True,
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
            litefocus: ``"auto"`` follows the paper, and beyond its lengths takes linear cost
                (`LiteFocusConfig.for_duration`); None is dense attention.
            windowed: denoise long sound in overlapping windows; sound of one window's length is not changed by it.
            run_checkpoint: keep the run on disk, and go on with one that was ended.
            mesh: devices to spread the sounds over while they are denoised, of this process, with the axes ``"data"``
                and ``"time"``; see docs/long_audio.md. The number of devices changes the sound by rounding alone.
            check_memory: find out before sampling whether it can fit in memory.
            progress: draw a progress bar, where there is a terminal.

        Raises:
            TypeError: for an argument of a wrong type.
            ValueError: for an argument that cannot be honoured.
            InsufficientMemoryError: when it cannot fit in the device's memory; the message says what to change.
            ResumeError: when ``run_checkpoint`` is of another request or model.
            FileExistsError: when ``run_checkpoint`` exists and is not to be resumed.
            NonFiniteError: when a stage returns NaN or infinity; the message names the stage.
        """
        mesh = mesh if mesh is None else check_mesh(mesh)
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
            windowed=windowed,
        )
        keys, latents, tokens = inputs = self.inputs(request, latents)
        models = self.components
        run = None if run_checkpoint is None else ResumableRun(run_checkpoint, request, models, latents, mesh=mesh)

        compiled = self.compile_ahead(request, inputs, length=run and run.length, mesh=mesh)
        conditioning = generate.encode(*tokens)
        _require_finite("text encoders", conditioning)
        context = generate.project_context(models.unet, conditioning, request.num_waveforms_per_prompt)
        # This waits; what goes wrong there goes wrong again below, where it is raised.
        if compiled.exception() is None and check_memory:
            # The decoder of a sound of usual length is not worth the wait for its compilation.
            is_long = latents.shape[1] > (self.geometry.training_frames or 0)
            needs = estimate_memory(models, request, compiled.result(), self.geometry, decoder=is_long)
            require_memory(needs, request, models.dtype, self.geometry)
        release_unused_memory()
        with progress_bar("Denoising", request.schedule.num_steps, enabled=progress) as on_progress:
            latents = generate.sample(
                self._unet_on(mesh),
                context,
                request.schedule,
                latents,
                request.guidance_scale,
                keys,
                guided=request.guided,
                litefocus=request.litefocus,
                windows=request.windows,
                length=run and run.length,
                mesh=mesh,
                resumed=run and run.partial,
                on_progress=on_progress,
                on_call=run and run.after_call,
            )
        _require_finite("UNet", latents)
        audios = np.stack([self._decode(latents[index : index + 1]) for index in range(request.batch_size)])
        if run is not None:
            run.finish()
        return AudioPipelineOutput(
            audios[:, : self.geometry.samples(request.audio_length_in_s)], self.geometry.sampling_rate
        )

    def inputs(self, request: Request, latents: Array | np.ndarray | None = None) -> Inputs:
        """What the programs take for a request.

        Args:
            request: what is to be made.
            latents: initial noise instead of the seed's.

        Raises:
            TypeError: when ``latents`` are no numbers.
            ValueError: when ``latents`` are misshapen, or LiteFocus is to be where the UNet has no attention.
        """
        check_levels(self.components.unet.config, request.litefocus)
        keys = generate.random_keys(request.seed, len(request.prompts), request.num_waveforms_per_prompt)
        return Inputs(keys, self._prepare_latents(request, keys, latents), self._encode_arguments(request))

    def compile_ahead(
        self, request: Request, inputs: Inputs, *, length: int | None = None, mesh: Mesh | None = None
    ) -> Future[Compiled]:
        """Compile the denoising loop of a request in another thread; see `generate.compile_ahead`."""
        return generate.compile_ahead(
            self._unet_on(mesh),
            inputs.tokens,
            request.schedule,
            inputs.latents,
            inputs.keys,
            num_waveforms_per_prompt=request.num_waveforms_per_prompt,
            guided=request.guided,
            litefocus=request.litefocus,
            windows=request.windows,
            length=length,
            mesh=mesh,
        )

    def _unet_on(self, mesh: Mesh | None) -> UNet:
        """The UNet on all devices of a mesh; the copies are kept until there is another mesh."""
        if mesh is None:
            return self.components.unet
        if self._unet_copies is None or self._unet_copies[0] != mesh:
            self._unet_copies = (mesh, replicate(mesh, self.components.unet))
        return self._unet_copies[1]

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
        encoders = (models.text_encoder, models.text_encoder_2, models.projection_model, models.language_model)
        negative = request.negative_prompts if request.guided else ()
        return *encoders, *tokenize_prompts(self.tokenizer, self.tokenizer_2, request.prompts, negative)

    def _decode(self, latents: Float[Array, "1 time frequency channels"]) -> np.ndarray:
        """One sound at a time: its memory does not grow with the batch, and one program serves any batch."""
        models = self.components
        mel = generate.decode_latents(models.vae, latents, jnp.float32(models.vae.config.scaling_factor))
        _require_finite("VAE", mel)
        waveform = generate.vocode(models.vocoder, mel)
        _require_finite("vocoder", waveform)
        return np.asarray(waveform[0], np.float32)


def _require_finite(stage: str, arrays: Any) -> None:
    for array in jax.tree.leaves(arrays):
        generate.wait_for(array)  # reading a value would wait too, but not for Ctrl-C
    finite = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(arrays) if leaf.dtype != bool)
    if not finite:
        raise NonFiniteError(
            f"the {stage} returned NaN or infinity. In float16 values overflow easily: try dtype 'bfloat16' or "
            "'float32', or fewer extremes of guidance_scale"
        )
