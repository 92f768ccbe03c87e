"""Models with random weights in any published shape: for trying the tools out, for benchmarks and for tests."""

import dataclasses
import hashlib
import string
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np
from flax import nnx
from tokenizers import pre_tokenizers

from litefocus_jax.checkpoint.native import MANIFEST, save_native
from litefocus_jax.checkpoint.tokenizer_files import (
    save_byte_pair_tokenizer,
    save_phoneme_tokenizer,
    save_piece_tokenizer,
)
from litefocus_jax.checkpoint.weights import abstract, fill, leaves
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.components import components_of
from litefocus_jax.models.model_type import AUDIOLDM, AUDIOLDM2, AUDIOLDM2_SPEECH, AUDIOLDM_T5, MUSICLDM, ModelType
from litefocus_jax.models.projection import ProjectionConfig
from litefocus_jax.models.t5 import T5Config
from litefocus_jax.models.unet.config import ClassConditionedAudioLDM2UNetConfig, UNetConfig
from litefocus_jax.models.unet.heads import Heads, with_heads
from litefocus_jax.models.vae import VAEConfig
from litefocus_jax.models.vocoder import VocoderConfig
from litefocus_jax.system.files import check_destination
from litefocus_jax.system.interruption import raise_if_interrupted
from litefocus_jax.system.json_config import read_json

Model = TypeVar("Model", bound=nnx.Module)

PUBLISHED_CONFIGS = Path(__file__).parents[1] / "assets" / "configs"
TYPE_OF_SIZE: Mapping[str, ModelType] = {
    "tiny": AUDIOLDM2,
    "audioldm2": AUDIOLDM2,
    "audioldm2-large": AUDIOLDM2,
    "tiny-speech": AUDIOLDM2_SPEECH,
    "audioldm2-gigaspeech": AUDIOLDM2_SPEECH,
    "tiny-audioldm": AUDIOLDM,
    "audioldm": AUDIOLDM,
    "audioldm-m-full": AUDIOLDM,
    "audioldm-l-full": AUDIOLDM,
    "tiny-musicldm": MUSICLDM,
    "musicldm": MUSICLDM,
    "tiny-audioldm_48k": AUDIOLDM,
    "audioldm_48k": AUDIOLDM,
    "tiny-audioldm_16k_crossattn_t5": AUDIOLDM_T5,
    "audioldm_16k_crossattn_t5": AUDIOLDM_T5,
}
"""Which of the family each size is of."""

SIZES = tuple(TYPE_OF_SIZE)
_SHARED = {
    AUDIOLDM2: "audioldm2",
    AUDIOLDM2_SPEECH: "audioldm2",
    AUDIOLDM: "audioldm",
    MUSICLDM: "audioldm",
    AUDIOLDM_T5: "audioldm2",
}
"""The folder of published configurations that the sizes of a type share where they have none of their own."""


def random_weights(module: nnx.Module, seed: int = 0) -> dict[str, np.ndarray]:
    """Float32 weights for every leaf of an abstract module, each drawn from the seed and its own name.

    Kernels are normal with variance one over fan-in, so that activations keep their size through the network; norms
    are the identity and biases zero.
    """
    weights = {}
    for path, leaf in leaves(module).items():
        kind = path.rsplit(".", 1)[-1]
        digest = hashlib.sha256(f"{seed}/{path}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "little"))
        if kind == "scale":
            weights[path] = np.ones(leaf.shape, np.float32)
        elif kind == "bias" or leaf.ndim == 0:
            weights[path] = np.zeros(leaf.shape, np.float32)
        else:
            fan_in = leaf.shape[-1] if kind == "embedding" else max(1, int(np.prod(leaf.shape[:-1])))
            weights[path] = generator.standard_normal(leaf.shape, np.float32) * np.float32(fan_in**-0.5)
    return weights


def random_model(model_class: type[Model], model_config: Any, seed: int = 0, dtype: Any = jnp.float32) -> Model:
    """A module of the given class with random weights."""
    module = abstract(model_class, model_config)
    return fill(module, random_weights(module, seed), dtype)


def published_config(name: str, sub_model: str) -> dict[str, Any]:
    """The published JSON of a sub-model (``"unet"``, ``"vae"``, ...); variants share what they do not override.

    What AudioLDM and MusicLDM share with AudioLDM2 stands there alone.

    Raises:
        ValueError: when there is no such published configuration.
    """
    file = "scheduler_config.json" if sub_model == "scheduler" else "config.json"
    shared = _SHARED.get(TYPE_OF_SIZE.get(name, AUDIOLDM2), "audioldm2")
    parts = [(each, sub_model) for each in (name, shared, "audioldm2")]
    if (name, sub_model) == ("audioldm_16k_crossattn_t5", "text_encoder"):
        parts = [("audioldm2", "text_encoder_2")]
    for folder in (PUBLISHED_CONFIGS / each / part for each, part in parts):
        if (PUBLISHED_CONFIGS / name).is_dir() and (folder / file).exists():
            return read_json(folder / file)
    known = ", ".join(sorted(path.name for path in PUBLISHED_CONFIGS.iterdir()))
    raise ValueError(f"no published configuration {name!r} with a {sub_model!r}; the published ones are {known}")


def save_character_tokenizers(folder: Path) -> tuple[Path, Path]:
    """Write a CLAP-like and a T5-like tokenizer that need no vocabulary file, for models with random weights.

    Returns the two folders, ``tokenizer`` (one token per byte) and ``tokenizer_2`` (one token per character).
    """
    alphabet = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocabulary = {token: index for index, token in enumerate(["<s>", "<pad>", "</s>", "<unk>", *alphabet, "<mask>"])}
    pieces = [("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0), ("▁", -2.0)]
    pieces += [(character, -3.0) for character in string.printable.strip()]
    save_byte_pair_tokenizer(folder / "tokenizer", vocabulary, [], model_max_length=36)
    save_piece_tokenizer(folder / "tokenizer_2", pieces, model_max_length=64)
    return folder / "tokenizer", folder / "tokenizer_2"


def sub_model_configs(size: str, heads: Heads | None = None) -> dict[str, Any]:
    """The configuration of every sub-model of a size, by folder name.

    Args:
        size: one of `SIZES`.
        heads: of the UNet's attention; None for those that the configuration says.

    Raises:
        ValueError: when the size is not one of `SIZES`, or the UNet cannot have the heads.
    """
    if size not in SIZES:
        raise ValueError(f"size = {size!r}; expected one of {', '.join(SIZES)}")
    networks = TYPE_OF_SIZE[size].networks
    is_tiny = size.startswith("tiny")
    own = _TINY.get(size, dict)()
    configs: dict[str, Any] = {
        name: own.get(name)
        or (network.config_class.tiny() if is_tiny else network.config_class.from_dict(published_config(size, name)))
        for name, network in networks.items()
    }
    return configs if heads is None else {**configs, "unet": with_heads(configs["unet"], heads)}


def _tiny_speech() -> dict[str, Any]:
    """As `audioldm2-gigaspeech` is, a few channels wide: GPT-2's vectors alone are read, and phonemes have places."""
    unet = UNetConfig.tiny()
    joint = dataclasses.replace(ProjectionConfig.tiny(), use_learned_position_embedding=True, max_seq_length=40)
    dims = tuple(each[:2] for each in unet.cross_attention_dim_per_level)
    return {"unet": dataclasses.replace(unet, cross_attention_dim=dims), "projection_model": joint}


def _tiny_48k() -> dict[str, Any]:
    """As `audioldm_48k` is, a few channels wide: 48 kHz, hop 480, four levels of the VAE, and 12.5 latent frames/s."""
    unet, vae, vocoder = ClassConditionedAudioLDM2UNetConfig.tiny(), VAEConfig.tiny(), VocoderConfig.tiny()
    latents = {"in_channels": 16, "out_channels": 16}
    return {
        "unet": dataclasses.replace(unet, **latents),
        "vae": dataclasses.replace(
            vae,
            latent_channels=16,
            down_block_types=("DownEncoderBlock2D",) * 4,
            up_block_types=("UpDecoderBlock2D",) * 4,
            block_out_channels=(8, 8, 16, 16),
        ),
        "vocoder": dataclasses.replace(
            vocoder,
            model_in_dim=64,
            sampling_rate=48000,
            upsample_rates=(6, 5, 4, 2, 2),
            upsample_kernel_sizes=(12, 10, 8, 4, 4),
            n_fft=2048,
            fmin=20.0,
            fmax=24000.0,
        ),
    }


def _tiny_t5() -> dict[str, Any]:
    """As ``audioldm_16k_crossattn_t5`` is: after each resnet a transformer for the sound, and one for T5's states."""
    unet = UNetConfig.tiny()
    dims = ((None, T5Config.tiny().d_model),) * len(unet.block_out_channels)
    return {"unet": dataclasses.replace(unet, cross_attention_dim=dims)}


_TINY: Mapping[str, Callable[[], dict[str, Any]]] = {
    "tiny-speech": _tiny_speech,
    "tiny-audioldm_48k": _tiny_48k,
    "tiny-audioldm_16k_crossattn_t5": _tiny_t5,
}
"""What tiny models have of their own, beside the tiny networks of their type."""


def save_random_model(folder: str | Path, *, size: str = "tiny", seed: int = 0, overwrite: bool = False) -> None:
    """Write a native folder with random weights: it makes noise, but takes every path a real model takes.

    Args:
        folder: destination.
        size: one of `SIZES`.
        seed: seed of the weights.
        overwrite: replace an earlier native folder.

    Raises:
        ValueError: when the size is unknown.
        FileExistsError: when the destination exists and ``overwrite`` is false, or is no native folder.
    """
    configs = sub_model_configs(size)
    check_destination(Path(folder), overwrite=overwrite, marker=MANIFEST)
    with tempfile.TemporaryDirectory() as scratch:
        model_type = TYPE_OF_SIZE[size]
        tokenizers = {place.name: place for place in save_character_tokenizers(Path(scratch))}
        if model_type.speaks:
            tokenizers["tokenizer_2"] = Path(scratch) / "phonemes" / "tokenizer_2"
            save_phoneme_tokenizer(
                tokenizers["tokenizer_2"], model_max_length=configs["projection_model"].max_seq_length
            )
        models: dict[str, Any] = {}
        for name, network in model_type.networks.items():
            raise_if_interrupted()
            models[name] = random_model(network.model_class, configs[name], seed)
        components = components_of(
            model_type,
            **models,
            **{name: tokenizers[name] for name in model_type.tokenizers},
            scheduler=SchedulerConfig.from_dict(published_config("audioldm2", "scheduler")),
            dtype="float32",
            defaults=model_type.defaults,
        )
        save_native(components, folder, overwrite=overwrite)
