"""Where the time of a whole generation goes, stage by stage, after Figure 1 of the LiteFocus paper."""

import dataclasses
import functools
import statistics
import time
from collections.abc import Callable, Iterator
from typing import Any

import jax
import numpy as np

from litefocus_jax.benchmark.unet_call import evaluate, random_inputs
from litefocus_jax.benchmark.workload import BATCH_SIZE, PROMPT_TOKENS, Workload
from litefocus_jax.checkpoint.random_model import TYPE_OF_SIZE, random_model, sub_model_configs
from litefocus_jax.checkpoint.store import open_checkpoint
from litefocus_jax.decoding.whole import decode_latents, vocode
from litefocus_jax.generation.sampling import encode
from litefocus_jax.models.class_conditioning import ClapEncoder, ClapTokens
from litefocus_jax.models.encoders import encoders_of
from litefocus_jax.models.projection import ProjectionConfig
from litefocus_jax.models.speech_conditioning import SpeechEncoders, SpeechTokens
from litefocus_jax.models.t5_conditioning import T5TextEncoder, T5Tokens
from litefocus_jax.models.tokenization import PromptTokens
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.heads import Heads
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.unet.self_attention import self_attention_by_place


@dataclasses.dataclass(frozen=True)
class StageTimes:
    """A whole generation, taken apart.

    Attributes:
        variant: ``"dense"``, ``"litefocus"`` or another of our variants.
        duration_in_s: seconds of sound.
        steps: denoising steps.
        seconds: seconds of each stage, in the order in which they run.
    """

    variant: str
    duration_in_s: float
    steps: int
    seconds: dict[str, float]

    @property
    def total(self) -> float:
        """Seconds of the whole generation."""
        return sum(self.seconds.values())


def load_models(size: str | None, model: str | None, dtype: str, heads: Heads | None = None) -> dict[str, Any]:
    """Every sub-model by folder name: a checkpoint's, or one with random weights in a published shape.

    Args:
        size: name of the shape.
        model: folder or hub id of the checkpoint.
        dtype: of the weights.
        heads: of the UNet's attention; None for those that the configuration says.
    """
    if model is not None:
        return open_checkpoint(model).with_heads(heads).load(dtype).modules
    configs = sub_model_configs(size or "audioldm2", heads)
    return {
        name: random_model(network.model_class, configs[name], dtype=network.weights_dtype(np.dtype(dtype)))
        for name, network in TYPE_OF_SIZE[size or "audioldm2"].networks.items()
    }


def measure_stages(
    models: dict[str, Any],
    workloads: list[Workload],
    *,
    steps: int,
    rounds: int,
    on_progress: Callable[[str], None] = lambda description: None,
) -> Iterator[StageTimes]:
    """Time every stage of the workloads, one after another.

    One UNet call is timed whole, and its self-attentions are timed again alone, in their shapes and numbers; what is
    left is "the rest of the UNet". Both are multiplied by the number of steps.

    Args:
        models: from `load_models`.
        workloads: variants and durations.
        steps: denoising steps of the generation.
        rounds: calls of each stage after one to warm up; the median counts.
        on_progress: told what comes next, once per workload.
    """
    encode_in_s = None
    decode_in_s: dict[float, dict[str, float]] = {}
    for workload in workloads:
        on_progress(f"{workload.duration_in_s:g} s: stages of {workload.variant}")
        shape = workload.latent_shape()
        if encode_in_s is None:
            encode_in_s = _median_seconds(functools.partial(_encode, models), rounds)
        if workload.duration_in_s not in decode_in_s:
            decode_in_s[workload.duration_in_s] = _decoder_seconds(models, shape, rounds)
        attention = {
            f"self-attention, level {level}": steps * seconds
            for level, seconds in _self_attention_seconds(models["unet"], workload, shape, rounds).items()
        }
        inputs = random_inputs(models["unet"], workload)
        call = functools.partial(evaluate, models["unet"], inputs, attention=workload.attention)
        whole = steps * _median_seconds(call, rounds)
        yield StageTimes(
            workload.variant,
            workload.duration_in_s,
            steps,
            {
                "text encoders": encode_in_s,
                **attention,
                "rest of the UNet": max(0.0, whole - sum(attention.values())),
                **decode_in_s[workload.duration_in_s],
            },
        )


def _median_seconds(call: Callable[[], Any], rounds: int) -> float:
    jax.block_until_ready(call())
    seconds = []
    for _ in range(rounds):
        started = time.perf_counter()
        jax.block_until_ready(call())
        seconds.append(time.perf_counter() - started)
    return statistics.median(seconds)


def _encode(models: dict[str, Any]) -> Any:
    tokens = np.full((BATCH_SIZE, PROMPT_TOKENS), 5, np.int32)
    mask = np.ones((BATCH_SIZE, PROMPT_TOKENS), bool)
    encoders = encoders_of(models)
    if isinstance(encoders, ClapEncoder):
        return encode(encoders, ClapTokens(tokens, mask))
    if isinstance(encoders, SpeechEncoders):
        return encode(encoders, SpeechTokens(tokens, mask, *_phonemes(models["projection_model"].config)))
    if isinstance(encoders, T5TextEncoder):
        return encode(encoders, T5Tokens(tokens, mask))
    return encode(encoders, PromptTokens(tokens, mask, tokens, mask, np.int32(PROMPT_TOKENS)))


def _phonemes(projection: ProjectionConfig) -> tuple[np.ndarray, np.ndarray]:
    """As many as a model for speech takes, whatever it says."""
    shape = (BATCH_SIZE, projection.max_seq_length or PROMPT_TOKENS)
    return np.full(shape, 5, np.int32), np.ones(shape, bool)


def _self_attention_seconds(unet: UNet, workload: Workload, shape: tuple[int, ...], rounds: int) -> dict[int, float]:
    """Seconds that all self-attentions of each level take in one UNet call, projections not included."""
    config: UNetConfig = unet.config
    seconds = {}
    _, frames, frequencies, _ = shape
    for level, count in enumerate(config.self_attentions_per_level):
        if count:
            seconds[level] = count * _one_attention_seconds(unet, workload, level, frames, frequencies, rounds)
        frames, frequencies = -(-frames // 2), -(-frequencies // 2)
    return seconds


def _one_attention_seconds(
    unet: UNet, workload: Workload, level: int, frames: int, frequencies: int, rounds: int
) -> float:
    heads = unet.config.num_heads_per_level[level]
    tokens = (BATCH_SIZE, frames * frequencies, heads, unet.config.block_out_channels[level] // heads)
    query, key, value = (jax.random.normal(jax.random.key(number), tokens, unet.dtype) for number in range(3))

    @jax.jit
    def attend(query: jax.Array, key: jax.Array, value: jax.Array, key_rng: jax.Array) -> jax.Array:
        attention_at = self_attention_by_place(unet.config, workload.attention, key_rng)
        return attention_at(level).attend(query, key, value, num_frequencies=frequencies)

    return _median_seconds(functools.partial(attend, query, key, value, jax.random.key(3)), rounds)


def _decoder_seconds(models: dict[str, Any], shape: tuple[int, ...], rounds: int) -> dict[str, float]:
    latents = jax.random.normal(jax.random.key(0), (1, *shape[1:]))
    mel = decode_latents(models["vae"], latents)
    return {
        "VAE": _median_seconds(lambda: decode_latents(models["vae"], latents), rounds),
        "vocoder": _median_seconds(lambda: vocode(models["vocoder"], mel), rounds),
    }
