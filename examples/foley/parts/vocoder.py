"""Training of the vocoder, from a bank of harmonics: towards the spectra of real sound, then against discriminators.

Three quarters of what it learns from are log-mels as the UNet draws them, since those it will have to make sound from.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int16, Key

from examples.foley.parts import model
from examples.foley.parts.budgets import DecoderBudget
from examples.foley.parts.discriminators import (
    DiscriminatorConfig,
    Discriminators,
    discriminator_loss,
    feature_distance,
    persuasion_loss,
)
from examples.foley.parts.harmonics import harmonic_vocoder
from examples.foley.parts.learner import Learner, begin, learn, train_module
from examples.foley.parts.optimiser import optimiser
from examples.foley.parts.spectra import mel_distances, spectral_distance
from examples.foley.parts.stage import run_stage
from examples.foley.world.corpus import FULL_SCALE, Corpus
from litefocus_jax.models.vocoder import Vocoder

_EVERY_NTH_IS_TRUE = 4

# A sixth of it keeps the tones of the bank of harmonics, and with them the noise that it makes. From half of it up, the
# distances rise for a hundred updates before they fall.
_SPECTRAL_LEARNING_RATE = 3e-4
# A trained vocoder has no bank of harmonics left to lose. By AdamW, the first updates at this rate undo much more of
# what it can.
_FURTHER_LEARNING_RATE = 3e-4
_ADVERSARIAL_LEARNING_RATE = 1e-4
_ADVERSARIAL_BETAS = (0.8, 0.99)  # HiFi-GAN's
_MEL_WEIGHT = 3.0
_DEEP_MEL_WEIGHT = 2.0
_SPECTRAL_WEIGHT = 1.0
_PERSUASION_WEIGHT = 0.1
_FEATURE_WEIGHT = 0.5


class Crops(NamedTuple):
    """Log-mel frames ``[batch, frames, mels]`` and the sound ``[batch, frames * hop]`` they should become."""

    mel: Any  # float32 arrays of numpy or JAX
    waveform: Any


class Contest(NamedTuple):
    """The vocoder and the critics that it learns against."""

    vocoder: Learner
    critics: Learner


class Hearing:
    """Crops of the corpus: of its first clips the mels as the UNet draws them too.

    Args:
        waveforms: 16-bit sound.
        mels: its log-mels, one frame per hop.
        drawn: log-mels of the first clips, as `examples.foley.parts.redrawn.redrawn` gives them.
        budget: sizes of the crops.
        seed: of the choice of crops.
    """

    def __init__(
        self,
        waveforms: Int16[np.ndarray, "clips samples"],
        mels: Float[np.ndarray, "clips frames mels"],
        drawn: Float[np.ndarray, "some frames mels"],
        budget: DecoderBudget,
        seed: int,
    ) -> None:
        self.waveforms, self.mels, self.drawn, self.seed = waveforms, mels, drawn, seed
        self.frames, self.batch = min(budget.vocoder_frames, mels.shape[1]), budget.vocoder_batch

    def __call__(self, index: int) -> Crops:
        """The crops of one update, drawn from the seed and its number alone; the mels of every fourth are true."""
        generator = np.random.default_rng((self.seed, index))
        hop = self.waveforms.shape[1] // self.mels.shape[1]
        mels, waveforms = [], []
        for number in range(self.batch):
            source = self.drawn if number % _EVERY_NTH_IS_TRUE else self.mels
            clip = int(generator.integers(0, len(source)))
            start = int(generator.integers(0, source.shape[1] - self.frames + 1))
            mels.append(source[clip, start : start + self.frames])
            waveforms.append(self.waveforms[clip, start * hop : (start + self.frames) * hop])
        return Crops(np.stack(mels).astype(np.float32), np.stack(waveforms).astype(np.float32) / FULL_SCALE)


def train_vocoder(
    corpus: Corpus,
    drawn: Float[np.ndarray, "some frames mels"],
    folder: Path,
    budget: DecoderBudget,
    *,
    trained: Vocoder | None = None,
    seed: int = 0,
    progress: bool = True,
) -> Vocoder:
    """Train the vocoder on crops of the corpus; an interrupted training is taken up where it was.

    Args:
        corpus: its sounds and their log-mels are read.
        drawn: log-mels of its first clips, as `examples.foley.parts.redrawn.redrawn` gives them.
        folder: where the stages keep their checkpoints and logs.
        budget: how long.
        trained: a vocoder to go on with; `harmonic_vocoder` unless given.
        seed: of the initial weights and the crops.
        progress: draw bars.

    Returns:
        The moving average of the weights.
    """
    hearing = Hearing(corpus.waveforms, corpus.mels, drawn, budget, seed)
    begun = harmonic_vocoder(model.VOCODER_CONFIG, corpus.mels, seed) if trained is None else trained
    learning_rate = _SPECTRAL_LEARNING_RATE if trained is None else _FURTHER_LEARNING_RATE
    vocoder = train_module(
        begun,
        spectral_loss,
        folder,
        name="vocoder",
        batch=hearing,
        transformation=optimiser(
            budget.vocoder_steps,
            learning_rate,
            last_share=_ADVERSARIAL_LEARNING_RATE / learning_rate if budget.adversarial_steps else 0.0,
            orthogonal=trained is not None,
        ),
        steps=budget.vocoder_steps,
        seed=seed,
        progress=progress,
    )
    if not budget.adversarial_steps:
        return vocoder

    graph, weights, statistics = nnx.split(vocoder, nnx.Param, ...)
    critics_graph, critics = nnx.split(Discriminators(DiscriminatorConfig(), rngs=nnx.Rngs(seed)))
    transformation = optimiser(budget.adversarial_steps, _ADVERSARIAL_LEARNING_RATE, betas=_ADVERSARIAL_BETAS)
    contest: Contest = run_stage(
        folder,
        name="vocoder_adversarial",
        initial=lambda: Contest(begin(weights, transformation), begin(critics, transformation)),
        update=adversarial_update(graph, statistics, critics_graph, transformation),
        batch=lambda index: hearing(budget.vocoder_steps + index),
        steps=budget.adversarial_steps,
        seed=seed,
        progress=progress,
    )
    return nnx.merge(graph, contest.vocoder.average, statistics)


def sound_loss(
    made: Float[Array, "batch samples"], real: Float[Array, "batch samples"]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Distances of log-mels and of spectra, and each by name: ``mel_l1`` and ``deep_mel`` in nepers, ``spectral``."""
    mel_l1, deep_mel = mel_distances(made, real)
    spectral = spectral_distance(made, real)
    loss = _MEL_WEIGHT * mel_l1 + _DEEP_MEL_WEIGHT * deep_mel + _SPECTRAL_WEIGHT * spectral
    return loss, {"mel_l1": mel_l1, "deep_mel": deep_mel, "spectral": spectral}


def spectral_loss(
    vocoder: Vocoder, crops: Crops, key: Key[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """`sound_loss` of what the vocoder makes of crops; nothing is drawn at random."""
    del key
    return sound_loss(vocoder.uncorrected(crops.mel), crops.waveform)


def adversarial_update(
    graph: nnx.GraphDef[Vocoder],
    statistics: Any,
    critics_graph: nnx.GraphDef[Discriminators],
    transformation: optax.GradientTransformation,
) -> Callable[[Contest, Crops, Key[Array, ""]], tuple[Contest, dict[str, Float[Array, ""]]]]:
    """The function that lets the critics learn from real and made sound, and then the vocoder from the critics.

    The vocoder runs once: what the critics and the spectra say about its sound is pulled back through that run.
    """

    def critics_loss(weights: Any, made: Array, real: Array) -> Array:
        critics = nnx.merge(critics_graph, weights)
        return discriminator_loss(critics(real), critics(made))

    def vocoder_loss(made: Array, critics_weights: Any, real: Array) -> tuple[Array, dict[str, Array]]:
        critics = nnx.merge(critics_graph, critics_weights)
        judged = critics(made)
        distance, figures = sound_loss(made, real)
        figures |= {"persuasion": persuasion_loss(judged), "features": feature_distance(critics(real), judged)}
        return distance + _PERSUASION_WEIGHT * figures["persuasion"] + _FEATURE_WEIGHT * figures["features"], figures

    def update(contest: Contest, crops: Crops, key: Array) -> tuple[Contest, dict[str, Array]]:
        del key
        made, pull_back = jax.vjp(
            lambda weights: nnx.merge(graph, weights, statistics).uncorrected(crops.mel), contest.vocoder.weights
        )
        critics_figure, gradients = jax.value_and_grad(critics_loss)(contest.critics.weights, made, crops.waveform)
        critics = learn(contest.critics, gradients, transformation)
        (loss, figures), slope = jax.value_and_grad(vocoder_loss, has_aux=True)(made, critics.weights, crops.waveform)
        (gradients,) = pull_back(slope)
        figures = {"loss": loss, "critics": critics_figure, **figures, "gradient_norm": optax.tree.norm(gradients)}
        return Contest(learn(contest.vocoder, gradients, transformation), critics), figures

    return update
