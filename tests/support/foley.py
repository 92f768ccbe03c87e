"""What tests of the foley recipe share: small parts, sounds for them, and results to be written down."""

import dataclasses
import functools
import tempfile
from pathlib import Path
from typing import Any

import jax
import numpy as np
from flax import nnx

from examples.foley.judges.clap import ClapConfig
from examples.foley.judges.listening import EarConfig
from examples.foley.measure.measures import Spread
from examples.foley.measure.summaries import LENGTH_FIGURES
from examples.foley.measure.variants import DENSE
from examples.foley.parts.budgets import DecoderBudget
from examples.foley.parts.learner import Learner, begin, update_of
from examples.foley.parts.optimiser import optimiser
from examples.foley.world.corpus import Corpus, make_corpus
from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.models.clap.text import ClapTextConfig

RATE = 16000
CLIPS = 4
BUDGET = DecoderBudget(
    autoencoder_steps=10,
    autoencoder_batch=2,
    autoencoder_frames=8,
    vocoder_steps=4,
    adversarial_steps=2,
    vocoder_batch=2,
    vocoder_frames=10,
)
SMALL_TEXT = dataclasses.replace(ClapTextConfig.tiny(), num_hidden_layers=1)  # half as much to compile
SMALL_CLAP = ClapConfig(text=SMALL_TEXT, ear=dataclasses.replace(EarConfig.tiny(), features=SMALL_TEXT.projection_dim))


@functools.cache
def small_corpus() -> Corpus:
    return make_corpus(Path(tempfile.mkdtemp(prefix="litefocus-jax-")), "training", CLIPS, workers=1, progress=False)


def noise(*shape: int, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def tone(frequency: float, seconds: float = 2.0) -> np.ndarray:
    return 0.3 * np.sin(2.0 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


def clips(count: int = 3, frames: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """16-bit sounds and their log-mels, as a corpus holds them."""
    waveforms = noise(count, 160 * frames)
    mels = np.stack([log_mel_spectrogram(waveform, RATE)[:frames] for waveform in waveforms])
    return np.round(32767 * waveforms).astype(np.int16), mels.astype(np.float16)


def shown_again_and_again(
    loss: Any, module: nnx.Module, batch: Any, *, updates: int, learning_rate: float = 3e-3, steps: int = 100
) -> tuple[Learner, list[float]]:
    """What a module has learnt from one batch, and its losses on the way."""
    graph, weights, fixed = nnx.split(module, nnx.Param, ...)
    transformation = optimiser(steps, learning_rate)
    update = jax.jit(update_of(graph, fixed, loss, transformation))
    learner, losses = begin(weights, transformation), []
    for _ in range(updates):
        learner, figures = update(learner, batch, jax.random.key(0))
        losses.append(float(figures["loss"]))
    return learner, losses


def results_of(variants: tuple[str, ...] = ("synthesised", "dense")) -> dict[str, Any]:
    """What an evaluation found, or might have."""
    spread = dataclasses.asdict(Spread.of([0.5, 0.7]))
    return {
        "unseen": {"right": 0.96, "right_of_one": 0.99, "right_of_two": None, "kinds": 0.97},
        "lengths": [
            {"variant": variant, "multiple": multiple, **dict.fromkeys(LENGTH_FIGURES, spread)}
            | ({"frechet": None} if multiple == 2 and variant != DENSE else {})
            for multiple in (1, 2)
            for variant in variants
        ],
    }
