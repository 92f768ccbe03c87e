"""What people write who know diffusers, and what they are to write here: one table for each place where it is written.

What can be honoured is; all else is refused in one line that says what to use. An argument with the value that
diffusers has by default asks for nothing, and is let pass.
"""

import difflib
from collections.abc import Iterable, Mapping
from typing import Any

import jax
import numpy as np

from litefocus_jax.models.components import NETWORKS

# Arguments of a call: the values that ask for nothing, and what to use for the others.
_CALL: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "max_new_tokens": ((None,), "the number is the model's own; it stands in language_model/config.json"),
    "cross_attention_kwargs": ((None, {}), "attention is chosen by litefocus, scale_scores and windowed"),
    "guidance_rescale": ((None, 0, 0.0), "guidance is set by guidance_scale alone"),
    "timesteps": ((None,), "timesteps follow from num_inference_steps and timestep_spacing"),
    "sigmas": ((None,), "noise levels follow from num_inference_steps and timestep_spacing"),
    "clip_skip": ((None, 0), "the text encoders are used whole"),
    "device": ((None,), "JAX chooses the device as Python starts: JAX_PLATFORMS=cpu or cuda"),
    "audio_start_in_s": ((None, 0, 0.0), "sound begins at 0 s; its length is audio_length_in_s"),
}

# Other names for arguments of a call: those of other pipelines, and those of the command line.
_OTHER_NAMES = {
    "num_images_per_prompt": "num_waveforms_per_prompt",
    "num_outputs_per_prompt": "num_waveforms_per_prompt",
    "waveforms": "num_waveforms_per_prompt",
    "audio_end_in_s": "audio_length_in_s",
    "duration": "audio_length_in_s",
    "image": "audio",
    "init_audio": "audio",
    "waveform": "audio",
    "initial_audio_waveforms": "audio",
    "initial_audio_sampling_rate": "sampling_rate",
    "sample_rate": "sampling_rate",
    "mask": "fill",
    "mask_image": "fill",
    "prompts": "timeline",
    "seconds": "audio_length_in_s",
    "length": "audio_length_in_s",
    "steps": "num_inference_steps",
    "guidance": "guidance_scale",
    "ddim_steps": "num_inference_steps",
    "ddim_eta": "eta",
    "unconditional_guidance_scale": "guidance_scale",
    "n_candidate_gen_per_text": "num_waveforms_per_prompt",
    "latent_t_per_second": "latent_frames_per_second",
    "cfg_scale": "guidance_scale",
    "negative": "negative_prompt",
    "sampler": "scheduler",
    "spacing": "timestep_spacing",
    "windows": "windowed",
    "text": "prompt",
    "rng": "seed",
    "key": "seed",
    "dtype": "from_pretrained(..., dtype=...)",
    "torch_dtype": "from_pretrained(..., dtype=...)",
    "batch_size": "a list of prompts",
    "show_progress": "progress",
    "verbose": "progress",
}

_CALL_ALONE = (
    "output_type",
    "return_dict",
    "progress",
    "partial_run",
    "check_memory",
    "rank",
    "callback",
    "callback_steps",
)

_PARTS = "AudioLDM2Pipeline(dataclasses.replace(pipe.components, {name}=...)) puts in another part"
_JITTED = "every stage is compiled and runs on JAX's device as it is"
_MEMORY = (
    "memory is saved by dtype='bfloat16', by windowed='swap', and by pipe.tiling, and pipe.estimate(request) tells it"
)

# Arguments of `from_pretrained`, in the same form.
_LOADING: Mapping[str, tuple[tuple[Any, ...], str]] = {
    "use_safetensors": (
        (None, True),
        "weights are read from safetensors; python -m convert makes them of others",
    ),
    "low_cpu_mem_usage": ((None, True, False), ""),
    "disable_mmap": ((None, False), "weights are always read from memory-mapped files"),
    "device_map": ((None,), "JAX chooses the device as Python starts; several share a call by mesh=..."),
    "device": ((None,), "JAX chooses the device as Python starts: JAX_PLATFORMS=cpu or cuda"),
    "max_memory": ((None,), _MEMORY),
    "offload_folder": ((None,), _MEMORY),
    "offload_state_dict": ((None, False), _MEMORY),
    "quantization_config": ((None,), "weights are float32, bfloat16 or float16: dtype=..."),
    "trust_remote_code": ((None, False), "no code of a repository is ever run"),
    "custom_pipeline": ((None,), "no code of a repository is ever run"),
    "custom_revision": ((None,), "no code of a repository is ever run; revision chooses the weights"),
    "output_loading_info": ((None, False), "what does not fit is an error that lists all of it"),
    "load_connected_pipeline": ((None, False), "a checkpoint is whole"),
    "from_flax": ((None, False), "the native format holds Flax's weights, and is known by its model.json"),
    "use_onnx": ((None, False), "weights are read from safetensors alone"),
    "use_flashpack": ((None, False), "weights are read from safetensors alone"),
    "provider": ((None,), "weights are read from safetensors alone"),
    "provider_options": ((None,), "weights are read from safetensors alone"),
    "sess_options": ((None,), "weights are read from safetensors alone"),
    "proxies": ((None,), "set HTTPS_PROXY, which the hub's client reads"),
    "mirror": ((None,), "set HF_ENDPOINT, which the hub's client reads"),
    "resume_download": ((None, True, False), ""),
    "feature_extractor": ((None,), "it serves the ranking of waveforms: rank=True in the call reads the checkpoint's"),
    "scheduler": ((None,), "a sampler is chosen in the call: scheduler='ddim' or 'dpm++'"),
    **{name: ((), _PARTS.format(name=name)) for name in (*NETWORKS, "tokenizer", "tokenizer_2")},
}

_SAMPLER = (
    "a sampler is chosen in the call: scheduler='ddim' or scheduler='dpm++' (DPM-Solver++(2M)), with "
    "num_inference_steps and timestep_spacing; there are no others (Euler, PNDM, UniPC, LMS). The model's noise "
    "schedule is pipe.components.scheduler"
)
_DEVICE = "the model lies where JAX runs, which is chosen as Python starts: JAX_PLATFORMS=cpu or cuda; see pipe.device"
_DTYPE = "the type is chosen as weights are read: from_pretrained(..., dtype='float16')"
_OFFLOADING = f"weights stay on JAX's device; {_MEMORY}"
_SLICING = "long sound is decoded in tiles by itself; pipe.tiling = TilingConfig(...) says how"
_ATTENTION = "the attention of the device is chosen by itself; sparse attention by litefocus in the call"
_ADAPTERS = "load_lora_weights(path, scale=1.0) adds an adapter to the weights; with scale=-1.0 it takes it away"

# Attributes of a pipeline, and what stands for them.
_ATTRIBUTES: Mapping[str, str] = {
    "scheduler": _SAMPLER,
    **dict.fromkeys(("to", "cuda", "cpu", "to_empty", "hf_device_map", "reset_device_map"), _DEVICE),
    **dict.fromkeys(("half", "float", "bfloat16"), _DTYPE),
    "compile": _JITTED,
    **dict.fromkeys(
        (
            "enable_model_cpu_offload",
            "enable_sequential_cpu_offload",
            "enable_group_offload",
            "remove_all_hooks",
            "maybe_free_model_hooks",
        ),
        _OFFLOADING,
    ),
    **dict.fromkeys(("enable_vae_slicing", "disable_vae_slicing", "enable_vae_tiling", "disable_vae_tiling"), _SLICING),
    **dict.fromkeys(
        (
            "enable_attention_slicing",
            "disable_attention_slicing",
            "enable_xformers_memory_efficient_attention",
            "disable_xformers_memory_efficient_attention",
            "set_use_memory_efficient_attention_xformers",
            "set_attention_backend",
            "set_attn_processor",
            "fuse_qkv_projections",
            "unfuse_qkv_projections",
            "enable_freeu",
        ),
        _ATTENTION,
    ),
    **dict.fromkeys(("unload_lora_weights", "fuse_lora", "set_adapters", "load_textual_inversion"), _ADAPTERS),
    "set_progress_bar_config": "bars are left out by progress=False in the call",
    "progress_bar": "bars are drawn by the call, and left out by progress=False",
    "config": "each part has its own, such as pipe.unet.config",
    "feature_extractor": "it is part of pipe.clap, with which rank=True in the call orders the waveforms of a prompt",
    "score_waveforms": "rank=True in the call orders the waveforms of a prompt; their scores are result.scores",
    "prepare_latents": "latents=... in the call, [prompts * waveforms, time, frequency, channel], or seed=...",
    "push_to_hub": "pipe.save_pretrained(folder) writes it, and `hf upload` of the hub's client publishes the folder",
    "register_modules": _PARTS.format(name="unet"),
    "safety_checker": "there is none for sound",
    "vae_scale_factor": "pipe.vae.config.scale_factor",
}


def adopt_call_habits(options: Mapping[str, Any]) -> dict[str, Any]:
    """The options of a request that a call's arguments mean; names that nobody knows stay as they are.

    Args:
        options: arguments of a call, diffusers' own among them.

    Raises:
        ValueError: for an argument of diffusers that cannot be honoured; the message says what to use.
    """
    options = _without_habits(options, _CALL)
    generator = options.pop("generator", None)
    if generator is not None and options.get("seed") is not None:
        raise ValueError("generator and seed are both given; expected one of them")
    for name, value in (("generator", generator), ("seed", options.get("seed"))):
        if value is not None:
            options["seed"] = _seed(name, value)
    return options


def check_loading_habits(options: Mapping[str, Any], known: Iterable[str]) -> None:
    """Look at arguments of `from_pretrained` that are not its own.

    Args:
        options: these arguments.
        known: names of its own.

    Raises:
        TypeError: for a name that diffusers does not know either; the message says which it may have been meant for.
        ValueError: for an argument of diffusers that cannot be honoured; the message says what to use.
    """
    if unknown := _without_habits(options, _LOADING):
        raise TypeError(unknown_names(unknown, known, "argument of from_pretrained"))


def dtype_name(dtype: Any) -> Any:
    """The name of a floating-point type that may be PyTorch's; anything else as it is.

    PyTorch is not imported: its types are known by how they are printed.
    """
    name = str(dtype)
    if type(dtype).__module__.partition(".")[0] == "torch" or (isinstance(dtype, str) and name.startswith("torch.")):
        return name.removeprefix("torch.").replace("half", "float16")
    return None if name == "auto" else dtype


def answer(attribute: str, attributes: Iterable[str], pipeline: str = "AudioLDM2Pipeline") -> str:
    """What to say of an attribute that a pipeline does not have.

    Args:
        attribute: its name.
        attributes: names of those that it has.
        pipeline: the name of its class.
    """
    if attribute in _ATTRIBUTES:
        return f"pipe.{attribute}: {_ATTRIBUTES[attribute]}"
    public = [name for name in attributes if not name.startswith("_")]
    near = difflib.get_close_matches(attribute, public, n=1)
    return f"{pipeline} has no attribute {attribute!r}" + (f"; did you mean {near[0]!r}?" if near else "")


def answer_to_setting(attribute: str) -> str | None:
    """What to say where an attribute is set that is not for setting; None where it may be."""
    if attribute in _ATTRIBUTES:
        return answer(attribute, ())
    if attribute in NETWORKS:
        return f"pipe.{attribute} is not set: {_JITTED}; {_PARTS.format(name=attribute)}"
    return None


def unknown_names(names: Iterable[str], known: Iterable[str], what: str) -> str:
    """An error about names that are not known, with the nearest of those that are.

    Args:
        names: the unknown ones.
        known: the others.
        what: they might have been, as "option of a request".
    """
    names, known = tuple(names), tuple(known)
    spellings = (*known, *_CALL_ALONE, *_OTHER_NAMES)
    hints = []
    for name in names:
        near = [name] if name in _OTHER_NAMES else difflib.get_close_matches(name, spellings, n=1)
        hints += [_OTHER_NAMES.get(spelling, spelling) for spelling in near]
    meant = f"did you mean {', '.join(dict.fromkeys(hints))}?" if hints else f"expected some of {', '.join(known)}"
    return f"{', '.join(names)}: no such {what}; {meant}"


def _without_habits(options: Mapping[str, Any], habits: Mapping[str, tuple[tuple[Any, ...], str]]) -> dict[str, Any]:
    """The options without those of diffusers that ask for nothing.

    Raises:
        ValueError: for one of diffusers that asks for something.
    """
    for name in options.keys() & habits.keys():
        neutral, instead = habits[name]
        if not _asks_for_nothing(options[name], neutral):
            raise ValueError(f"{name} is not taken here: {instead}")
    return {name: value for name, value in options.items() if name not in habits}


def _asks_for_nothing(value: Any, neutral: tuple[Any, ...]) -> bool:
    return any(type(value) is type(each) and value == each for each in neutral)


def _seed(name: str, value: Any) -> Any:
    """The seed that a number or a key of JAX stands for; a list of them where a list is given.

    ``jax.random.key(7)`` is seed 7. From a key that was split or folded from another a seed is drawn.

    Raises:
        ValueError: for a generator of PyTorch or NumPy.
    """
    if isinstance(value, list | tuple):
        seeds = [_seed(name, each) for each in value]
        return seeds[0] if name == "generator" and len(seeds) == 1 else seeds
    if isinstance(value, jax.Array):
        return _seed_of_key(name, value)
    if isinstance(value, bool | int | np.integer | str) or value is None:
        return value
    kind = f"{type(value).__module__}.{type(value).__qualname__}"
    raise ValueError(
        f"{name} is a {kind}; expected a number, as in seed=0, or a key, as in seed=jax.random.key(0): the noise of "
        "other libraries cannot be drawn here"
    )


def _seed_of_key(name: str, key: jax.Array) -> int:
    is_key = jax.dtypes.issubdtype(key.dtype, jax.dtypes.prng_key)
    if not is_key and key.shape == () and jax.numpy.issubdtype(key.dtype, jax.numpy.integer):
        return int(key)
    is_raw_key = key.shape == (2,) and key.dtype == jax.numpy.uint32  # as jax.random.PRNGKey makes them
    if not (is_raw_key or (is_key and key.shape == ())):
        kind = f"key of shape {key.shape}" if is_key else f"JAX array of shape {key.shape}"
        raise ValueError(f"{name} is a {kind}; expected one number or one key, as in seed=jax.random.key(0)")
    words = np.asarray(jax.random.key_data(key) if is_key else key)
    if len(words) == 2 and words[0] == 0:
        return int(words[1])
    return int(jax.random.bits(key, dtype=jax.numpy.uint32))
