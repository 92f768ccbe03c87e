"""Checkpoints as AudioLDM2's authors publish them, made up: of full size without values, and small ones with some.

The names, shapes and types in ``original_keys`` are those that the authors' classes give their state dictionaries:
audioldm2 0.1.0's, and for ``audioldm-s-full`` audioldm 0.1.1's.
"""

import ast
import functools
import gzip
import re
from pathlib import Path

import numpy as np

from litefocus_jax.checkpoint.original_shapes import CLAP, JOINT, T5
from litefocus_jax.checkpoint.tensors import LazyArray

LISTS = Path(__file__).with_name("original_keys")
FULL, LARGE = "audioldm2-full", "audioldm2-full-large-1150k"
SPEECH = "audioldm2-speech-gigaspeech"
FIRST, OF_48K, OF_T5 = "audioldm-s-full", "audioldm_48k", "audioldm_16k_crossattn_t5"
SCALE_FACTOR = 0.4110932946205139
BETAS = (np.linspace(0.0015**0.5, 0.0195**0.5, 1000) ** 2).astype(np.float32)
ONLY = "cond_stage_models.0.model."  # where the encoder lies, if there is one
COPIES = ((CLAP, "clap.model."), (T5, JOINT + "cond_stage_models.1.model."), (ONLY, "clap.model."))

_UNUSED = re.compile(r"audiomae|mel_transform|audio_branch|audio_projection|\w+_transform|logit_scale")
_DEEP = re.compile(r"(?:text_branch\.encoder\.layer|model\.h|encoder\.block)\.(\d+)\.")
_LAYERS = 2  # of each text encoder that are kept
_KEPT = re.compile(r"relative_attention_bias|position_ids")
_MOMENTS = re.compile(r"first_stage_model\.(?:encoder\.conv_out|quant_conv)\.")  # two for each latent channel
_ROWS_KEPT = re.compile(r"_of_sequence_tokens|position_embeddings")
_OF_SPEECH = re.compile(r"emb_rel_[kv]|text_encoder\.emb\.|\.wpe\.")  # as many symbols, and places for all of them


@functools.cache
def key_list(name: str) -> dict[str, tuple[tuple[int, ...], str]]:
    """Shape and type of every tensor of one of the authors' models."""
    with gzip.open(LISTS / f"keys_{name}.txt.gz", "rt", encoding="utf-8") as file:
        rows = [line.rstrip("\n").split("\t") for line in file]
    return {key: (ast.literal_eval(shape), dtype) for key, shape, dtype in rows}


def full_size(name: str) -> dict[str, LazyArray]:
    """A model of full size that takes no memory: all zeros, but for what is read as a configuration."""
    tensors = {
        key: LazyArray(shape, np.dtype(dtype), functools.partial(_zeros, shape, dtype))
        for key, (shape, dtype) in key_list(name).items()
    }
    constants = {"betas": BETAS, "scale_factor": np.array(SCALE_FACTOR, np.float32)}
    return tensors | {key: LazyArray(value.shape, value.dtype, value.copy) for key, value in constants.items()}


def _zeros(shape: tuple[int, ...], dtype: str) -> np.ndarray:
    return np.broadcast_to(np.zeros((), dtype), shape)


def small(name: str = FULL) -> dict[str, np.ndarray]:
    """A model with the real names and a quarter of the widths, two layers in each text encoder, and random weights."""
    return dict(_small(name))


@functools.cache
def _small(name: str) -> dict[str, np.ndarray]:
    generator = np.random.default_rng(0)
    tensors = {}
    for key, (shape, dtype) in key_list(name).items():
        if (deep := _DEEP.search(key)) and int(deep[1]) >= _LAYERS:
            continue
        is_of_speech = name == SPEECH and _OF_SPEECH.search(key)
        less = (*shape[:-1], shape[-1] // 4) if is_of_speech else _quarter(key, shape)
        shape = (1,) * len(shape) if _UNUSED.search(key) else less
        if dtype != "float32":
            tensors[key] = np.zeros(shape, dtype)
        elif len(shape) < 2:
            tensors[key] = (key.endswith(("weight", "gamma")) + 0.1 * generator.standard_normal(shape)).astype(
                np.float32
            )
        else:
            values = generator.standard_normal(shape, np.float32)
            tensors[key] = values * np.float32(np.prod(shape[1:]) ** -0.5)
    for taken, other in COPIES:
        tensors |= {
            other + key.removeprefix(taken): tensors[key]
            for key in tuple(tensors)
            if key.startswith(taken) and other + key.removeprefix(taken) in tensors
        }
    for copy in (T5, JOINT + "cond_stage_models.1.model.", ONLY):
        if copy + "shared.weight" in tensors:
            tensors[copy + "encoder.embed_tokens.weight"] = tensors[copy + "shared.weight"]
    return tensors | {"betas": BETAS, "scale_factor": np.array(SCALE_FACTOR, np.float32)}


def _quarter(key: str, shape: tuple[int, ...]) -> tuple[int, ...]:
    """A quarter of the widths; few tokens, and of kernels the size that they have."""
    if _KEPT.search(key) or len(shape) == 1 == shape[0]:
        return shape
    widths = [
        size
        if (axis == 0 and _ROWS_KEPT.search(key)) or size < 32 or (size == 32 and _MOMENTS.match(key))
        else 400
        if size > 30_000
        else size // 4
        for axis, size in enumerate(shape[:2])
    ]
    return (*widths, *shape[2:])
