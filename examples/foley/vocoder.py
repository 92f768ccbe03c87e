"""Training of the vocoder: first to imitate a bank of harmonics, then towards the spectra of real sound, and against
discriminators.

Half of what it hears are log-mels as the VAE gives them back, since that is what it will have to make sound from.
"""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Int16, Key

from examples.foley import model
from examples.foley.autoencoder import mel_statistics, reconstructed
from examples.foley.corpus import FULL_SCALE, Corpus
from examples.foley.discriminators import (
    DiscriminatorConfig,
    Discriminators,
    discriminator_loss,
    feature_distance,
    persuasion_loss,
)
from examples.foley.harmonics import harmonic_sound
from examples.foley.learner import DecoderBudget, Learner, begin, learn, optimiser, update_by
from examples.foley.spectra import mel_distance, spectral_distance
from examples.foley.stage import run_stage
from litefocus_jax.config import VocoderConfig
from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder

_RECONSTRUCTED_CLIPS = 1500
_FIRST_LOUDNESS = 0.1  # of what an untrained vocoder makes: the last tanh should not start out saturated

_IMITATION_LEARNING_RATE = 1e-3  # at 2.5e-3 it learns nothing
_SPECTRAL_LEARNING_RATE = 6e-4
_ADVERSARIAL_LEARNING_RATE = 3e-4
_ADVERSARIAL_BETAS = (0.8, 0.99)  # HiFi-GAN's
_MEL_WEIGHT = 1.0
_SPECTRAL_WEIGHT = 1.0
_PERSUASION_WEIGHT = 0.1
_FEATURE_WEIGHT = 0.5
_SILENT_POWER = 1e-5  # 50 dB below full scale


class Crops(NamedTuple):
    """Log-mel frames ``[batch, frames, mels]`` and the sound ``[batch, frames * hop]`` they should become."""

    mel: Any  # float32 arrays of numpy or JAX
    waveform: Any


class Contest(NamedTuple):
    """The vocoder and the critics that it learns against."""

    vocoder: Learner
    critics: Learner


class Hearing:
    """Crops of the corpus: of its first clips the mels as the VAE gives them back too.

    Args:
        waveforms: 16-bit sound.
        mels: its log-mels, one frame per hop.
        heard: log-mels of the first clips, as the VAE gives them back.
        budget: sizes of the crops.
        seed: of the choice of crops.
    """

    def __init__(
        self,
        waveforms: Int16[np.ndarray, "clips samples"],
        mels: Float[np.ndarray, "clips frames mels"],
        heard: Float[np.ndarray, "some frames mels"],
        budget: DecoderBudget,
        seed: int,
    ) -> None:
        self.waveforms, self.mels, self.heard, self.seed = waveforms, mels, heard, seed
        self.frames, self.batch = min(budget.vocoder_frames, mels.shape[1]), budget.vocoder_batch

    def __call__(self, index: int) -> Crops:
        """The crops of one update, drawn from the seed and the update's number alone; every other one is the VAE's."""
        generator = np.random.default_rng((self.seed, index))
        hop = self.waveforms.shape[1] // self.mels.shape[1]
        mels, waveforms = [], []
        for number in range(self.batch):
            source = self.heard if number % 2 else self.mels
            clip = int(generator.integers(0, len(source)))
            start = int(generator.integers(0, source.shape[1] - self.frames + 1))
            mels.append(source[clip, start : start + self.frames])
            waveforms.append(self.waveforms[clip, start * hop : (start + self.frames) * hop])
        return Crops(np.stack(mels).astype(np.float32), np.stack(waveforms).astype(np.float32) / FULL_SCALE)


def train_vocoder(
    corpus: Corpus,
    vae: VAE,
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
        vae: trained; half of the crops have been through it.
        folder: where the stages keep their checkpoints and logs.
        budget: how long.
        trained: a vocoder to go on with, which imitates harmonics no longer; from random weights unless given.
        seed: of the initial weights and the crops.
        progress: draw bars.

    Returns:
        The moving average of the weights.
    """
    heard = reconstructed(vae, corpus.mels[:_RECONSTRUCTED_CLIPS], seed=seed).astype(np.float16)
    hearing = Hearing(corpus.waveforms, corpus.mels, heard, budget, seed)
    begun = normalised_vocoder(model.VOCODER_CONFIG, *mel_statistics(corpus.mels), seed) if trained is None else trained
    graph, weights, statistics = nnx.split(begun, nnx.Param, ...)
    if trained is None:
        weights = _imitate_harmonics(graph, weights, statistics, hearing, folder, budget, seed=seed, progress=progress)

    transformation = optimiser(
        budget.vocoder_steps,
        _SPECTRAL_LEARNING_RATE,
        last_share=_ADVERSARIAL_LEARNING_RATE / _SPECTRAL_LEARNING_RATE if budget.adversarial_steps else 0.0,
    )
    learner: Learner = run_stage(
        folder,
        name="vocoder",
        initial=lambda: begin(weights, transformation),
        update=vocoder_update(sound_loss, graph, statistics, transformation),
        batch=lambda index: hearing(budget.imitation_steps + index),
        steps=budget.vocoder_steps,
        seed=seed,
        progress=progress,
    )
    if not budget.adversarial_steps:
        return nnx.merge(graph, learner.average, statistics)

    critics_graph, critics = nnx.split(Discriminators(DiscriminatorConfig(), rngs=nnx.Rngs(seed)))
    transformation = optimiser(budget.adversarial_steps, _ADVERSARIAL_LEARNING_RATE, betas=_ADVERSARIAL_BETAS)
    contest: Contest = run_stage(
        folder,
        name="vocoder_adversarial",
        initial=lambda: Contest(begin(learner.average, transformation), begin(critics, transformation)),
        update=adversarial_update(graph, statistics, critics_graph, transformation),
        batch=lambda index: hearing(budget.imitation_steps + budget.vocoder_steps + index),
        steps=budget.adversarial_steps,
        seed=seed,
        progress=progress,
    )
    return nnx.merge(graph, contest.vocoder.average, statistics)


def _imitate_harmonics(
    graph: nnx.GraphDef[Vocoder],
    weights: Any,
    statistics: Any,
    hearing: Hearing,
    folder: Path,
    budget: DecoderBudget,
    *,
    seed: int,
    progress: bool,
) -> Any:
    """The weights that imitate a bank of harmonics."""
    transformation = optimiser(budget.imitation_steps, _IMITATION_LEARNING_RATE)
    learner: Learner = run_stage(
        folder,
        name="vocoder_imitation",
        initial=lambda: begin(weights, transformation),
        update=vocoder_update(imitation_loss, graph, statistics, transformation),
        batch=lambda index: with_harmonics(hearing(index)),
        steps=budget.imitation_steps,
        seed=seed,
        progress=progress,
    )
    return learner.average


def normalised_vocoder(config: VocoderConfig, mean: float, deviation: float, seed: int) -> Vocoder:
    """A vocoder with random weights that sees mels as if they had mean 0 and deviation 1, and speaks softly."""
    vocoder = Vocoder(config, rngs=nnx.Rngs(seed))
    first, last = vocoder.conv_pre, vocoder.conv_post
    first.kernel[...] = first.kernel[...] / deviation
    first.bias[...] = -mean * first.kernel[...].sum(axis=(0, 1))
    for upsample in vocoder.upsampler:
        # Each output hears only one of every `rate` weights.
        upsample.kernel[...] = upsample.kernel[...] * np.sqrt(upsample.rate)
    last.kernel[...] = last.kernel[...] * _FIRST_LOUDNESS
    return vocoder


def with_harmonics(crops: Crops) -> Crops:
    """The same log-mels with the sounds that a bank of harmonics makes from them."""
    return Crops(crops.mel, np.stack([harmonic_sound(mel) for mel in crops.mel]))


def imitation_loss(
    made: Float[Array, "batch samples"], real: Float[Array, "batch samples"]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Distance of samples relative to each sound's level, and by name its square's mean, ``relative_power``."""
    power = jnp.mean(jnp.square(made - real), axis=1) / (jnp.mean(jnp.square(real), axis=1) + _SILENT_POWER)
    return jnp.mean(jnp.sqrt(power + 1e-4)), {"relative_power": jnp.mean(power)}


def sound_loss(
    made: Float[Array, "batch samples"], real: Float[Array, "batch samples"]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Distance of log-mels and of spectra, and both by name: ``mel_l1`` in nepers, and ``spectral``."""
    figures = {"mel_l1": mel_distance(made, real), "spectral": spectral_distance(made, real)}
    return _MEL_WEIGHT * figures["mel_l1"] + _SPECTRAL_WEIGHT * figures["spectral"], figures


SoundLoss = Callable[
    [Float[Array, "batch samples"], Float[Array, "batch samples"]],
    tuple[Float[Array, ""], dict[str, Float[Array, ""]]],
]
"""Of made and real sound: their distance, and its parts by name."""


def vocoder_update(
    loss: SoundLoss, graph: nnx.GraphDef[Vocoder], statistics: Any, transformation: optax.GradientTransformation
) -> Callable[[Learner, Crops, Key[Array, ""]], tuple[Learner, dict[str, Float[Array, ""]]]]:
    """The function from a learner and its crops to the learner after one update, and the loss's parts."""

    def loss_of_weights(weights: Any, crops: Crops, key: Array) -> tuple[Array, dict[str, Array]]:
        del key
        return loss(nnx.merge(graph, weights, statistics)(crops.mel), crops.waveform)

    return update_by(loss_of_weights, transformation)


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
            lambda weights: nnx.merge(graph, weights, statistics)(crops.mel), contest.vocoder.weights
        )
        critics_figure, gradients = jax.value_and_grad(critics_loss)(contest.critics.weights, made, crops.waveform)
        critics = learn(contest.critics, gradients, transformation)
        (loss, figures), slope = jax.value_and_grad(vocoder_loss, has_aux=True)(made, critics.weights, crops.waveform)
        (gradients,) = pull_back(slope)
        figures = {"loss": loss, "critics": critics_figure, **figures, "gradient_norm": optax.tree.norm(gradients)}
        return Contest(learn(contest.vocoder, gradients, transformation), critics), figures

    return update
