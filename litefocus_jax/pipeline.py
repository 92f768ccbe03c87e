"""From a checkpoint and prompts to sound."""

import functools
import inspect
import logging
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from typing import Any, ClassVar, Unpack

import jax
import numpy as np
from jax.sharding import Mesh
from jax.stages import Compiled
from jaxtyping import Array, Float

from litefocus_jax.checkpoint.clap import load_clap
from litefocus_jax.checkpoint.fingerprint import model_digest
from litefocus_jax.checkpoint.lora import with_adapter
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.opened import Checkpoint
from litefocus_jax.checkpoint.store import HubOptions, open_checkpoint
from litefocus_jax.decoding.plan import DecodingPlan, TilingConfig
from litefocus_jax.generation import habits
from litefocus_jax.generation.callbacks import step_callbacks
from litefocus_jax.generation.denoising import Denoiser
from litefocus_jax.generation.embeddings import Embeddings
from litefocus_jax.generation.inputs import Inputs, encode_prompts
from litefocus_jax.generation.needs import Estimate
from litefocus_jax.generation.networks import Networks
from litefocus_jax.generation.options import DEFAULTS, RequestOptions
from litefocus_jax.generation.output import AudioPipelineOutput
from litefocus_jax.generation.plan import DenoisingPlan
from litefocus_jax.generation.ranking import ranked, reason_to_rank
from litefocus_jax.generation.recipe import Recipe, recipes_of
from litefocus_jax.generation.request import Request, make_request
from litefocus_jax.generation.run_options import RUN_DEFAULTS, RunOptions, complete_run_options
from litefocus_jax.generation.shares import check_run_over_processes, share_of_process
from litefocus_jax.generation.silence import warn_of_silence
from litefocus_jax.generation.sounding import Decoder, sound_of_request, sounds_of_request
from litefocus_jax.generation.spelt_out import spells_out
from litefocus_jax.models.clap.joint import Clap
from litefocus_jax.models.components import Components
from litefocus_jax.models.description import describe
from litefocus_jax.models.model_type import AUDIOLDM, MUSICLDM, ModelType
from litefocus_jax.models.speech_conditioning import check_lengths
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.models.unet.heads import Heads
from litefocus_jax.parallel.processes import together
from litefocus_jax.system.compilation_cache import use_compilation_cache
from litefocus_jax.system.platform import current_platform
from litefocus_jax.system.waiting import require_finite

logger = logging.getLogger(__name__)


class CallOptions(RequestOptions, RunOptions, total=False):
    """What a call takes beside its prompt."""


class AudioLDM2Pipeline:
    """AudioLDM2, or another of its family (AudioLDM, MusicLDM), with its tokenizers: prompts in, sound out.

    Args:
        components: the models and their configurations.

    Attributes:
        tiling: how long sounds are decoded; may be set to another one.
        clap: both towers of CLAP, for ``rank=True``; read from the checkpoint, if it holds them, when first wanted. For
            others it may be set to what `litefocus_jax.load_clap` reads from a checkpoint that does.

    Each network and each tokenizer is an attribute by its name in `Components`, such as ``pipe.unet``. What else
    diffusers' pipeline has is answered by what there is in its place.

    Raises:
        ValueError: when the networks or the tokenizers do not belong together, or are of a model of another type.
    """

    _model_type: ClassVar[ModelType | None] = None  # that it is for; None for any of the family
    _interrupt = False  # set by a callback, ends the call that is running; diffusers' name

    clap: Clap | None = None

    def __init__(self, components: Components) -> None:
        _check_type(type(self), components.model_type, "the model")
        self.components = components
        self.tiling = TilingConfig()
        self.facts = components.facts
        self.geometry = self.facts.geometry
        sizes = components.vocabulary_sizes
        self._tokenizers = {name: load_tokenizer(place, sizes[name]) for name, place in components.tokenizers.items()}
        if components.model_type.speaks:
            own = components.modules
            check_lengths(self._tokenizers["tokenizer_2"], own["projection_model"].config, own["language_model"].config)  # pyright: ignore[reportArgumentType]
        self._checkpoint: Checkpoint | None = None
        self._folder: Path | None = None
        self._heads: Heads | None = None
        self._prepare()

    def _prepare(self) -> None:
        self._networks = Networks(self.components)
        self._denoiser = Denoiser(self.components, self._networks, tuple(self._tokenizers.values()))
        self._decoder = Decoder(self.components, self._networks)

    def __repr__(self) -> str:
        return f"<{type(self).__name__}: {describe(self.components)}>"

    def __getattr__(self, name: str) -> Any:
        components = self.__dict__.get("components")
        if components is not None and name in components.model_type.networks:
            return getattr(components, name)
        if name in self.__dict__.get("_tokenizers", {}):
            return self._tokenizers[name]
        raise AttributeError(habits.answer(name, dir(type(self)), type(self).__name__), name=name, obj=self)

    def __setattr__(self, name: str, value: Any) -> None:
        if (answer := habits.answer_to_setting(name)) is not None:
            raise AttributeError(answer)
        super().__setattr__(name, value)

    @property
    def device(self) -> jax.Device:
        """Where the weights lie; JAX chooses it as Python starts."""
        return next(iter(self.components.unet.conv_in.kernel.get_value().devices()))

    @property
    def dtype(self) -> str:
        """Floating-point type of the UNet and the text encoders."""
        return self.components.dtype

    @classmethod
    def from_pretrained(
        cls,
        pretrained_model_name_or_path: str | Path,
        *,
        dtype: Any = None,
        torch_dtype: Any = None,
        subfolder: str | None = None,
        variant: str | None = None,
        heads: Heads | None = None,
        revision: str | None = None,
        cache_dir: str | Path | None = None,
        token: str | bool | None = None,
        local_files_only: bool = False,
        force_download: bool = False,
        **others: Any,
    ) -> "AudioLDM2Pipeline":
        """Load a checkpoint of AudioLDM2 or of another of its family, which is told from the checkpoint.

        Compiled programs are kept in the user's cache folder from here on, see `use_compilation_cache`.

        Args:
            pretrained_model_name_or_path: a native folder, a diffusers folder with safetensors weights, a
                Hugging Face hub id such as ``"cvssp/audioldm2"`` or ``"cvssp/audioldm-s-full-v2"``, which is
                downloaded, or ``"foley"``, the small model that comes with the package.
            dtype: of the UNet and the text encoders, ``"float32"``, ``"bfloat16"`` or ``"float16"``, PyTorch's objects
                of these names included; without it bfloat16 on GPUs and TPUs and float32 on CPUs. The VAE and the
                vocoder always compute in float32: they are a small part of the time, and eight bits of mantissa are
                audible. A half-precision type makes another take of the same prompt: on the bundled model bfloat16 is
                20 dB from float32, and float16 38 dB.
            torch_dtype: diffusers' name for ``dtype``.
            subfolder: where in the folder, or on the hub, the checkpoint lies.
            variant: of the weight files of a diffusers folder, such as ``"fp16"``.
            heads: of the UNet's attention, where a folder as diffusers converts it says 8 at every level:
                ``"trained"`` takes heads of 32 channels, as the authors' network has them (4, 8, 12 and 20), and
                ``"stored"`` those of the file. Without it they are the file's too, and a warning says what is known.
            revision: branch, tag or commit on the hub.
            cache_dir: folder that downloads are kept in; the one of the hub's client unless given.
            token: of an account on the hub; True for the one that is logged in.
            local_files_only: ask nothing of the hub.
            force_download: download what is in the cache already.
            others: arguments of diffusers that are not taken here; the error says what to use.

        Raises:
            CheckpointError: naming every tensor that is missing, unknown, misshapen, damaged or not finite.
            ConfigError: when ``model_index.json`` or ``model.json`` is malformed.
            TypeError: for an unknown argument.
            ValueError: when ``dtype`` or ``heads`` is not supported, the tokenizers cannot be read, the parts do not
                belong together, or an argument cannot be honoured.
        """
        habits.check_loading_habits(others, inspect.signature(cls.from_pretrained).parameters)
        asked = [name for name in map(habits.dtype_name, (dtype, torch_dtype)) if name is not None]
        if len(asked) == 2 and asked[0] != asked[1]:
            raise ValueError(f"dtype = {dtype!r} and torch_dtype = {torch_dtype!r}; expected one of them")
        hub: HubOptions = {
            "revision": revision,
            "cache_dir": cache_dir,
            "token": token,
            "local_files_only": bool(local_files_only),
            "force_download": bool(force_download),
        }
        checkpoint = open_checkpoint(pretrained_model_name_or_path, subfolder=subfolder, variant=variant, **hub)
        return cls.from_checkpoint(checkpoint.with_heads(heads), dtype=asked[0] if asked else None)

    @classmethod
    def from_checkpoint(cls, checkpoint: Checkpoint, *, dtype: Any = None) -> "AudioLDM2Pipeline":
        """Load a checkpoint that is already open: its names and shapes are checked, its weights still on disk.

        Takes and raises what `from_pretrained` does.

        Returns:
            A pipeline of the model's own type, such as an `AudioLDMPipeline`.
        """
        _check_type(cls, checkpoint.model_type, str(checkpoint.folder))
        own = {AUDIOLDM: AudioLDMPipeline, MUSICLDM: MusicLDMPipeline}.get(checkpoint.model_type, cls)
        use_compilation_cache()
        dtype = habits.dtype_name(dtype)
        if dtype is None:
            dtype = current_platform().default_dtype
        pipe = (own if issubclass(own, cls) else cls)(checkpoint.load(dtype))
        pipe._checkpoint, pipe._folder, pipe._heads = checkpoint, checkpoint.folder, checkpoint.heads
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
        self._prepare()
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

    @spells_out((RequestOptions, DEFAULTS), (RunOptions, RUN_DEFAULTS))
    def __call__(
        self, prompt: str | Sequence[str] | None = None, *, return_dict: bool = True, **options: Unpack[CallOptions]
    ) -> AudioPipelineOutput:
        """Make sound from text, or of a sound that is given: `request`, then `run`.

        The same arguments give the same bytes on the same machine. A prompt's sound does not depend on its neighbours
        in the batch, except with ``prompt_padding`` of ``"batch"``, as in diffusers: a longer neighbour moves the
        positions of the vectors GPT-2 generates, and the negative prompt is cut to the token length of the longest
        prompt. With several waveforms per prompt they come in the order made, unless they are ranked.

        Args:
            prompt: one text, or one for each sound; None where ``timeline`` has them.
            return_dict: False for the tuple ``(audios,)``, as in diffusers.
            {RequestOptions}
            {RunOptions}

        Returns:
            An `AudioPipelineOutput`, or a tuple where ``return_dict`` is false.

        Raises:
            TypeError: for an argument of a wrong type, or an unknown one.
            ValueError: for an argument that cannot be honoured.
            InsufficientMemoryError: as `run`; and so the others.
            ResumeError: when ``partial_run`` is of another request or model.
            FileExistsError: when ``partial_run`` exists and is not to be resumed.
            NonFiniteError: when a stage returns NaN or infinity; the message names the stage.
        """
        of_run: Any = {name: options.pop(name) for name in RUN_DEFAULTS if name in options}
        of_request: Any = options
        mesh = of_request.get("mesh")
        with together(mesh if isinstance(mesh, Mesh) else None, "checking the request"):
            request = self.request(prompt, **of_request)
        result = self.run(request, **of_run)
        return result if return_dict else (result.audios,)  # pyright: ignore[reportReturnType]

    @spells_out((RequestOptions, DEFAULTS))
    def request(self, prompt: str | Sequence[str] | None = None, **options: Unpack[RequestOptions]) -> Request:
        """Check what is asked for, and decide what runs; nothing is computed.

        Args:
            prompt: one text, or one for each sound.
            {RequestOptions}

        Raises:
            TypeError: for an argument of a wrong type, or an unknown one.
            ValueError: for an argument that cannot be honoured.
        """
        asked: Any = dict(options)
        language_model: Any = self.components.modules.get("language_model")
        if language_model is not None and asked.get("max_new_tokens") == language_model.config.max_new_tokens:
            del asked["max_new_tokens"]  # as diffusers wants it for speech
        adopted: Any = habits.adopt_call_habits(asked)
        request = make_request(self.facts, prompt, **adopted)
        for notice in request.notices(adopted.get("audio_length_in_s")):
            logger.warning(notice)
        return request

    @spells_out((RunOptions, RUN_DEFAULTS))
    def run(self, request: Request, **options: Unpack[RunOptions]) -> AudioPipelineOutput:
        """Make the sound of a request.

        A callback ends denoising by raising `StopGeneration`, by returning False (``callback``), or by
        ``pipe._interrupt = True``. The latents of that step are decoded, so that the sound is as far as it has come:
        noisy, early on. The partial run is kept. With a callback, the device stands still between two calls of it.

        Args:
            request: from `request`.
            {RunOptions}

        A sound that is next to silent as a whole, below -60 dBFS, is warned of (`SilenceWarning`); where the model has
        a least level (`GenerationDefaults`), softer sound has been made louder before.

        Raises:
            TypeError: when a callback cannot be called, or for an unknown option.
            ValueError: when ``output_type`` is unknown, callbacks ask for what there is not, ``rank`` is asked for
                without prompts in words, or without a CLAP that hears, or several processes cannot do it.
            ProcessesError: in all processes of a mesh, when one failed before denoising, or asks for something else.
            InsufficientMemoryError: when it cannot fit in the device's memory; the message says what to change.
            ResumeError: when ``partial_run`` is of another request or model.
            FileExistsError: when ``partial_run`` exists and is not to be resumed.
            NonFiniteError: when a stage returns NaN or infinity; the message names the stage.
        """
        asked = complete_run_options(options)
        check_run_over_processes(request.plan.mesh, asked)
        makes_sound = asked["output_type"] != "latent"
        why_ranked = reason_to_rank(request, asked["rank"], asked["output_type"])
        if why_ranked is not None:
            self.clap = self.clap or self._read_clap(why_ranked)
        on_step_end = asked["callback_on_step_end"] and functools.partial(asked["callback_on_step_end"], self)
        callbacks = step_callbacks(
            asked["callback"],
            asked["callback_steps"],
            on_step_end,
            asked["callback_on_step_end_tensor_inputs"],
            lambda: self._interrupt,
        )
        self._interrupt = False
        # The decoder of a sound of usual length is not worth the wait for its compilation.
        plan, num_steps = request.plan, request.schedule.num_steps
        is_long = plan.frames > (self.geometry.training_frames or 0)
        latents, steps_done, run = self._denoiser.denoise(
            request,
            callbacks,
            self.plan_decoding(plan.frames, loop=plan.loop) if is_long else None,
            partial_run=asked["partial_run"],
            check_memory=asked["check_memory"],
            progress=asked["progress"],
        )
        if request.sides > 1:
            latents = latents.reshape(request.batch_size, request.sides, *latents.shape[1:])
        gather = asked["gather"]
        numbers = share_of_process(plan.mesh, request.batch_size, gather=gather).numbers
        latents = latents[numbers.start : numbers.stop]
        if makes_sound:
            sounds = self.decode_sounds(request, latents, gather=gather, progress=asked["progress"])
            audios = [np.concatenate([*blocks]) for blocks in sounds]
            audios = np.stack(audios) if audios else np.zeros((0, 0), np.float32)
        else:
            audios = np.asarray(latents)
        if run is not None and steps_done == num_steps:
            run.finish()
        recipes = self.recipes(request)[numbers.start : numbers.stop]
        if makes_sound:
            warn_of_silence(recipes, audios)
        if steps_done < num_steps or on_step_end is not None:
            recipes = ()  # what a callback ended, or may have changed, is not made again by its request
        output = AudioPipelineOutput(audios, self.geometry.sampling_rate, recipes, request, steps_done, tuple(numbers))
        return ranked(output, self.clap) if why_ranked is not None and self.clap is not None else output

    def _read_clap(self, reason: str) -> Clap:
        try:
            if self._folder is None:
                raise ValueError("the model was not read from a checkpoint")
            return load_clap(self._folder)
        except ValueError as error:
            raise ValueError(
                f"{reason.rstrip(',')}: {error}. Or set pipe.clap = litefocus_jax.load_clap(folder)"
            ) from error

    def recipes(self, request: Request) -> tuple[Recipe, ...]:
        """What each sound of a request is made of: all that is needed to make the same bytes again, alone."""
        return recipes_of(
            request,
            self.geometry.frame_in_s,
            self.tiling,
            model=self._checkpoint and self._checkpoint.source,
            model_digest=self.model_digest,
            heads=self._heads,
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
        return self._denoiser.estimate(request, self.plan_decoding(request.plan.frames, loop=request.plan.loop))

    def encode_prompt(
        self,
        prompt: str | Sequence[str],
        device: None = None,
        num_waveforms_per_prompt: int = 1,
        do_classifier_free_guidance: bool = False,
        negative_prompt: str | Sequence[str] | None = None,
        **others: Any,
    ) -> Embeddings:
        """Prompts as the network reads them, to look at, to weigh, and to give to a call in the place of ``prompt``.

        ``pipe(**pipe.encode_prompt("rain")._asdict())`` is ``pipe("rain")``, but for rounding. A call pads negative
        prompts to the length of the prompts, so that what is encoded in one call belongs together.

        Args:
            prompt: one text, or one for each sound.
            device: diffusers' argument, which is not taken: arrays lie where JAX runs.
            num_waveforms_per_prompt: how often each is repeated.
            do_classifier_free_guidance: put the negative prompts before the prompts, in one batch of twice the size, as
                diffusers does.
            negative_prompt: one for all prompts, or one for each; ``""`` unless given.
            others: arguments of diffusers that are not taken here; the error says what to use.

        Raises:
            TypeError: for an argument of a wrong type, or an unknown one.
            ValueError: for an argument that cannot be honoured.
        """
        request = self.request(
            prompt,
            negative_prompt=negative_prompt,
            audio_length_in_s=self.geometry.frame_in_s,
            num_waveforms_per_prompt=num_waveforms_per_prompt,
            guidance_scale=2.0 if do_classifier_free_guidance else 1.0,
            **({"device": device} | others),  # pyright: ignore[reportArgumentType]
        )
        embeddings = encode_prompts(self.components, tuple(self._tokenizers.values()), request)
        require_finite("text encoders", embeddings)
        return embeddings

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
        What a request asks for beside latents is not known here: an edit's own sound, and the model's least level.

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
        return self._decoder.blocks(latents, audio_length_in_s, self.tiling, loop=loop, progress=progress)

    def decode_sounds(
        self,
        request: Request,
        latents: Float[Array | np.ndarray, "sounds *sides time frequency channels"],
        *,
        gather: bool = True,
        progress: bool = True,
    ) -> Iterator[Iterator[Float[np.ndarray, "samples ..."]]]:
        """Decode sounds of a request block by block, with the devices of its mesh; one after another is to be taken.

        On a mesh of several processes and with ``gather``, all of them have to take every block of every sound.

        Args:
            request: whose sounds they are.
            latents: of all of them or of some, as `run` returns them with ``output_type="latent"``.
            gather: as it was for `run`.
            progress: draw progress bars, where there is a terminal.

        Returns:
            For each sound its blocks, see `decode_blocks`; what was given of it is in its place.

        Raises:
            ValueError: when ``latents`` are not of this model.
            NonFiniteError: as for `decode_blocks`.
        """
        mesh = share_of_process(request.plan.mesh, request.batch_size, gather=gather).mesh
        if mesh is None:
            # One sound at a time: its memory does not grow with the batch, and the same programs serve any batch.
            return (sound_of_request(request, sound, self.decode_blocks, progress=progress) for sound in latents)
        return sounds_of_request(request, latents, self._decoder, self.tiling, mesh=mesh, progress=progress)

    def plan_decoding(self, frames: int, *, loop: bool = False) -> DecodingPlan:
        """How sound of some latent frames is decoded, by ``tiling``."""
        return self._decoder.plan(frames, self.tiling, loop=loop)

    def inputs(self, request: Request) -> Inputs:
        """What the programs take for a request."""
        return self._denoiser.inputs(request)

    def compile_ahead(self, request: Request, inputs: Inputs, plan: DenoisingPlan) -> Future[Compiled]:
        """Compile the denoising loop of a request in another thread; see `sampling.compile_ahead`."""
        return self._denoiser.compile_ahead(request, inputs, plan)


class AudioLDMPipeline(AudioLDM2Pipeline):
    """AudioLDM (Liu et al., arXiv 2301.12503), under diffusers' name: `AudioLDM2Pipeline`, for nothing else."""

    _model_type = AUDIOLDM


class MusicLDMPipeline(AudioLDM2Pipeline):
    """MusicLDM (Chen et al., arXiv 2308.01546), under diffusers' name: `AudioLDM2Pipeline`, for nothing else."""

    _model_type = MUSICLDM


def _check_type(pipeline: type[AudioLDM2Pipeline], found: ModelType, source: str) -> None:
    """Refuse a model of another type than a pipeline is for."""
    wanted = pipeline._model_type
    if wanted not in (None, found):
        own = "" if found.pipeline_class is None else f"litefocus_jax.{found.pipeline_class}, or "
        raise ValueError(
            f"{source} is {found.described}, and {pipeline.__name__} is for {wanted.described}; expected "
            f"{own}AudioLDM2Pipeline, which takes any of the family"
        )
