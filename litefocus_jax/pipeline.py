"""From a checkpoint and prompts to sound."""

import functools
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, Literal, NamedTuple, Unpack

import numpy as np
from jax.stages import Compiled
from jaxtyping import Array, Float

from litefocus_jax.checkpoint.fingerprint import model_digest
from litefocus_jax.checkpoint.lora import with_adapter
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.opened import Checkpoint
from litefocus_jax.checkpoint.store import open_checkpoint
from litefocus_jax.decoding.loop import frames_beyond, loop_blocks
from litefocus_jax.decoding.plan import DecodingPlan, TilingConfig, plan_decoding
from litefocus_jax.decoding.sound import sound_blocks
from litefocus_jax.diffusion.schedulers import initial_state
from litefocus_jax.generation import sampling
from litefocus_jax.generation.needs import Estimate, estimate_memory, estimate_time, require_memory
from litefocus_jax.generation.networks import Networks
from litefocus_jax.generation.options import RequestOptions, takes_request_options
from litefocus_jax.generation.output import AudioPipelineOutput
from litefocus_jax.generation.plan import DenoisingPlan
from litefocus_jax.generation.recipe import Recipe, recipes_of
from litefocus_jax.generation.request import Request, make_request
from litefocus_jax.generation.resume import PartialRun, ResumableRun
from litefocus_jax.generation.silence import warn_of_silence
from litefocus_jax.models.components import Components
from litefocus_jax.models.tokenization import load_tokenizer, tokenize_prompts
from litefocus_jax.system.compilation_cache import use_compilation_cache
from litefocus_jax.system.platform import current_platform, release_unused_memory
from litefocus_jax.system.progress import busy, progress_bar
from litefocus_jax.system.waiting import require_finite

logger = logging.getLogger(__name__)


class Inputs(NamedTuple):
    """What the programs of a generation take beside models, schedule and guidance.

    Attributes:
        keys: all randomness.
        latents: the noise to begin with.
        tokens: arguments of `sampling.encode`.
    """

    keys: sampling.RandomKeys
    latents: Float[Array, "sounds time frequency channels"]
    tokens: tuple[Any, ...]


class AudioLDM2Pipeline:
    """AudioLDM2 with its tokenizers: prompts in, sound out.

    Args:
        components: the models and their configurations.

    Attributes:
        tiling: how long sounds are decoded; may be set to another one.

    Raises:
        ValueError: when the networks or the tokenizers do not belong together.
    """

    def __init__(self, components: Components) -> None:
        self.components = components
        self.tiling = TilingConfig()
        self.facts = components.facts
        self.geometry = self.facts.geometry
        self.tokenizer = load_tokenizer(components.tokenizer, components.text_encoder.config.vocab_size)
        self.tokenizer_2 = load_tokenizer(components.tokenizer_2, components.text_encoder_2.config.vocab_size)
        self._networks = Networks(components)
        self._checkpoint: Checkpoint | None = None

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
            dtype = current_platform().default_dtype
        pipe = cls(checkpoint.load(dtype))
        pipe._checkpoint = checkpoint
        return pipe

    def load_lora_weights(self, pretrained_model_name_or_path: str | Path, *, scale: float = 1.0) -> None:
        """Add a low-rank adapter to the UNet's weights, for good; several can be added one after the other.

        Args:
            pretrained_model_name_or_path: a folder as ``finetune --lora`` writes it, or a file of safetensors with the
                keys of PEFT or diffusers.
            scale: how much of it is added; minus the same takes it away again, but for rounding.

        Raises:
            CheckpointError: naming all that is no part of an adapter of this UNet.
            ValueError: when ``scale`` is not finite.
        """
        self.components = with_adapter(self.components, pretrained_model_name_or_path, scale)
        self._networks = Networks(self.components)
        self._checkpoint = None  # sounds are no longer those of its model
        self.__dict__.pop("model_digest", None)

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

    @takes_request_options
    def __call__(
        self,
        prompt: str | Sequence[str],
        *,
        partial_run: PartialRun | None = None,
        check_memory: bool = True,
        output_type: Literal["audio", "latent"] = "audio",
        progress: bool = True,
        **options: Unpack[RequestOptions],
    ) -> AudioPipelineOutput:
        """Make sound from text: `request`, then `run`.

        The same arguments give the same bytes on the same machine. A prompt's sound does not depend on its neighbours
        in the batch, except with ``prompt_padding`` of ``"batch"``, as in diffusers: a longer neighbour moves the
        positions of the vectors GPT-2 generates, and the negative prompt is cut to the token length of the longest
        prompt. With several
        waveforms per prompt they come in the order made; they are not ranked.

        Args:
            prompt: one text, or one for each sound.
            partial_run: as for `run`.
            check_memory: as for `run`.
            output_type: as for `run`.
            progress: as for `run`.
            {options}

        Raises:
            TypeError: for an argument of a wrong type.
            ValueError: for an argument that cannot be honoured.
            InsufficientMemoryError: as `run`; and so the others.
            ResumeError: when ``partial_run`` is of another request or model.
            FileExistsError: when ``partial_run`` exists and is not to be resumed.
            NonFiniteError: when a stage returns NaN or infinity; the message names the stage.
        """
        return self.run(
            self.request(prompt, **options),
            partial_run=partial_run,
            check_memory=check_memory,
            output_type=output_type,
            progress=progress,
        )

    @takes_request_options
    def request(self, prompt: str | Sequence[str], **options: Unpack[RequestOptions]) -> Request:
        """Check what is asked for, and decide what runs; nothing is computed.

        Args:
            prompt: one text, or one for each sound.
            {options}

        Raises:
            TypeError: for an argument of a wrong type.
            ValueError: for an argument that cannot be honoured.
        """
        request = make_request(self.facts, prompt, **options)
        if rounded := request.rounding_of_loop(options.get("audio_length_in_s")):
            logger.warning(rounded)
        return request

    def run(
        self,
        request: Request,
        *,
        partial_run: PartialRun | None = None,
        check_memory: bool = True,
        output_type: Literal["audio", "latent"] = "audio",
        progress: bool = True,
    ) -> AudioPipelineOutput:
        """Make the sound of a request.

        Args:
            request: from `request`.
            partial_run: keep the run on disk, and go on with one that was ended.
            check_memory: find out before sampling whether it can fit in memory.
            output_type: ``"latent"`` returns the latents, for `decode_blocks` to make sound of.
            progress: draw progress bars, where there is a terminal.

        A sound that is next to silent as a whole, below -60 dBFS, is warned of (`SilenceWarning`).

        Raises:
            ValueError: when ``output_type`` is unknown.
            InsufficientMemoryError: when it cannot fit in the device's memory; the message says what to change.
            ResumeError: when ``partial_run`` is of another request or model.
            FileExistsError: when ``partial_run`` exists and is not to be resumed.
            NonFiniteError: when a stage returns NaN or infinity; the message names the stage.
        """
        if output_type not in ("audio", "latent"):
            raise ValueError(f"output_type = {output_type!r}; expected 'audio' or 'latent'")
        inputs = self.inputs(request)
        run = None if partial_run is None else ResumableRun(partial_run, request, self.components, inputs.latents)
        plan = request.plan if run is None else run.plan

        with busy("Encoding the prompts, compiling the UNet", enabled=progress):
            compiled = self.compile_ahead(request, inputs, plan)
            arguments = self._arguments(request, inputs, plan)
        with busy("Compiling the UNet", enabled=progress):
            is_compiled = compiled.exception() is None  # else it goes wrong again below, where it is raised
        if is_compiled and check_memory:
            # The decoder of a sound of usual length is not worth the wait for its compilation.
            is_long = plan.frames > (self.geometry.training_frames or 0)
            decoding = self.plan_decoding(plan.frames, loop=plan.loop) if is_long else None
            with busy("Compiling the decoder", enabled=progress and is_long):
                needs = estimate_memory(self.components, compiled.result(), decoding)
            require_memory(needs, request, self.components)
        release_unused_memory()
        earlier = run and run.earlier
        with progress_bar("Denoising", request.schedule.num_steps, enabled=progress) as on_progress:
            latents = sampling.sample(
                arguments if earlier is None else arguments._replace(state=earlier.state),
                request.schedule,
                request.guidance_scale,
                plan,
                first_step=0 if earlier is None else earlier.steps_done,
                on_progress=on_progress,
                on_call=run and run.after_call,
            )
        require_finite("UNet", latents)
        if output_type == "latent":
            audios = np.asarray(latents)
        else:
            # One sound at a time: its memory does not grow with the batch, and the same programs serve any batch.
            sounds = (
                self.decode_blocks(sound, request.audio_length_in_s, loop=plan.loop, progress=progress)
                for sound in latents
            )
            audios = np.stack([np.concatenate([*blocks]) for blocks in sounds])
        if run is not None:
            run.finish()
        recipes = self.recipes(request)
        if output_type == "audio":
            warn_of_silence(recipes, audios)
        return AudioPipelineOutput(audios, self.geometry.sampling_rate, recipes)

    def recipes(self, request: Request) -> tuple[Recipe, ...]:
        """What each sound of a request is made of: all that is needed to make the same bytes again, alone."""
        return recipes_of(
            request,
            self.geometry.frame_in_s,
            self.tiling,
            model=self._checkpoint and self._checkpoint.source,
            model_digest=self.model_digest,
            dtype=self.components.dtype,
        )

    @functools.cached_property
    def model_digest(self) -> str:
        """A digest of the model; see `litefocus_jax.checkpoint.fingerprint.model_digest`."""
        return model_digest(self._checkpoint or self.components)

    def estimate(self, request: Request) -> Estimate:
        """What a request will take on this device: memory from its compiled programs, time by doing a little of it.

        Where the memory does not suffice, nothing is run.

        Args:
            request: from `request`.
        """
        inputs = self.inputs(request)
        decoding = self.plan_decoding(request.plan.frames, loop=request.plan.loop)
        compiled = self.compile_ahead(request, inputs, request.plan).result()
        memory = estimate_memory(self.components, compiled, decoding)
        if not memory.suffices:
            return Estimate(memory, None)
        arguments = self._arguments(request, inputs, request.plan)
        return Estimate(memory, estimate_time(arguments, request, self.components, decoding))

    def decode_blocks(
        self,
        latents: Float[Array | np.ndarray, "time frequency channels"],
        audio_length_in_s: float | None = None,
        *,
        loop: bool = False,
        progress: bool = True,
    ) -> Iterator[Float[np.ndarray, " samples"]]:
        """Decode one sound block by block; `litefocus_jax.audio.save_audio_blocks` writes them to a file.

        Beyond ``tiling.whole_up_to_in_s`` each block is a tile, and the memory in use does not grow with the sound.

        Args:
            latents: of one sound, as ``output_type="latent"`` returns them.
            audio_length_in_s: seconds of sound; all that the latents hold unless given, and for a loop.
            loop: let the end of the sound run on into its beginning; for latents of a request with ``loop``.
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
        samples = longest if loop or audio_length_in_s is None else geometry.samples(audio_length_in_s)
        if not 0 < samples <= longest:
            raise ValueError(
                f"audio_length_in_s = {audio_length_in_s}; expected at most the {longest / geometry.sampling_rate:g} s "
                "that the latents hold, and more than none"
            )
        return self._decode(latents, self.plan_decoding(len(latents), loop=loop), samples, loop, progress)

    def plan_decoding(self, frames: int, *, loop: bool = False) -> DecodingPlan:
        """How sound of some latent frames is decoded, by ``tiling``; of a loop with its ends, see `loop_blocks`."""
        vae, vocoder = self.components.vae.config, self.components.vocoder.config
        plan = plan_decoding(vae, vocoder, frames, self.tiling)
        if plan.is_whole or not loop:
            return plan
        return plan_decoding(vae, vocoder, frames + 2 * frames_beyond(vae, vocoder, frames), self.tiling)

    def _decode(
        self, latents: Array | np.ndarray, plan: DecodingPlan, samples: int, loop: bool, progress: bool
    ) -> Iterator[Float[np.ndarray, " samples"]]:
        decoders, decode = self._networks.decoders(loop=loop and plan.is_whole), loop_blocks if loop else sound_blocks
        note = busy("Decoding (at first, compiling VAE and vocoder)", enabled=progress and plan.is_whole)
        with note, progress_bar("Decoding", plan.steps, enabled=progress and not plan.is_whole) as on_progress:
            for block in decode(*decoders, latents, plan, on_progress):
                if samples > 0:
                    yield block[:samples]
                samples -= len(block)

    def inputs(self, request: Request) -> Inputs:
        """What the programs take for a request."""
        keys = sampling.random_keys(request.seed, request.waveforms)
        latents = request.latents
        if latents is None:
            geometry = self.geometry
            latents = sampling.initial_latents(
                keys.latents, (request.plan.frames, geometry.frequencies, geometry.channels)
            )
        return Inputs(keys, latents, self._encode_arguments(request))

    def compile_ahead(self, request: Request, inputs: Inputs, plan: DenoisingPlan) -> Future[Compiled]:
        """Compile the denoising loop of a request in another thread; see `sampling.compile_ahead`."""
        return sampling.compile_ahead(
            self._networks.unet(plan),
            inputs.tokens,
            inputs.latents,
            inputs.keys,
            request.num_waveforms_per_prompt,
            request.schedule,
            plan,
        )

    def _arguments(self, request: Request, inputs: Inputs, plan: DenoisingPlan) -> sampling.Arguments:
        """What denoising takes before its first step: the prompts are encoded."""
        conditioning = sampling.encode(*inputs.tokens)
        require_finite("text encoders", conditioning)
        context = sampling.project_context(self.components.unet, conditioning, request.num_waveforms_per_prompt)
        state = initial_state(request.schedule, inputs.latents)
        return sampling.Arguments(self._networks.unet(plan), context, state, inputs.keys)

    def _encode_arguments(self, request: Request) -> tuple[Any, ...]:
        """What `sampling.encode` takes, for the negative prompts (under guidance) followed by the prompts."""
        models = self.components
        encoders = (models.text_encoder, models.text_encoder_2, models.projection_model, models.language_model)
        negative = request.negative_prompts if request.plan.guided else ()
        tokens = tokenize_prompts(
            self.tokenizer, self.tokenizer_2, request.prompts, negative, padding=request.prompt_padding
        )
        return *encoders, tokens
