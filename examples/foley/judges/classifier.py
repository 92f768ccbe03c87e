"""The classifier that judges the bundled model: it names the kinds of sound in a log-mel.

It is trained on synthesised sound only, and is no part of the model that ships. Its description of a sound, before the
kinds are named, is what Frechet distances are measured on.
"""

import dataclasses
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Float, Float32

from examples.foley.judges.listening import Ear, EarConfig, by_window, disturbed, windows
from examples.foley.judges.training import load_weights, train_judge
from examples.foley.world.corpus import KIND_NAMES, Corpus
from litefocus_jax.checkpoint.weights import abstract
from litefocus_jax.models import parameters

STAGE = "classifier"

_WEIGHTS = "weights.safetensors"
_EAR = EarConfig()
_BATCH_SIZE = 32
_LEARNING_RATE = 2e-3
_GAIN_IN_NEPERS = 1.4  # 12 dB: no kind is known by its loudness
_HIGHEST_FLOOR = -4.0  # about 40 dB below the loudest sounds, where no listener minds it
_MIXED_SHARE = 0.6  # of the draws in which two clips of one kind meet
_SOFTEST_IN_NEPERS = 0.9  # 8 dB; in scenes the second sound is 4 dB softer than the first
_AUDIBLE_IN_NEPERS = 4.6  # 40 dB


@dataclasses.dataclass(frozen=True)
class ClassifierConfig:
    """The shape of the classifier.

    Attributes:
        ear: of the network that describes a window.
        kinds: how many there are to be named.
    """

    ear: EarConfig = _EAR
    kinds: int = len(KIND_NAMES)


class Classifier(nnx.Module):
    """Windows of log-mels to descriptions, and to how surely each kind is heard."""

    def __init__(self, config: ClassifierConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.ear = Ear(config.ear, rngs=rngs)
        self.kinds = parameters.linear(config.ear.features, config.kinds, rngs=rngs)

    def __call__(
        self, mel: Float[Array, "batch frames mels"]
    ) -> tuple[Float[Array, "batch features"], Float[Array, "batch kinds"]]:
        """Embeddings, and the logits of each kind being heard; several can be."""
        embeddings = self.ear(mel)
        return embeddings, self.kinds(jax.nn.gelu(embeddings))


class Labelled(NamedTuple):
    """Log-mels ``[batch, frames, mels]`` and labels ``[batch, kinds]``, 1 where a kind is heard."""

    mel: Float32[Array | np.ndarray, "batch frames mels"]
    labels: Float32[Array | np.ndarray, "batch kinds"]


class Heard(NamedTuple):
    """What the classifier says about sounds: an embedding ``[sounds, features]`` and logits ``[sounds, kinds]``."""

    embeddings: Float32[np.ndarray, "sounds features"]
    logits: Float32[np.ndarray, "sounds kinds"]


def train_classifier(corpus: Corpus, folder: Path, *, steps: int, seed: int = 0, progress: bool = True) -> Classifier:
    """Train the classifier on clips of a corpus; an interrupted training is taken up where it was.

    Args:
        corpus: its log-mels and kinds are read.
        folder: where the stage keeps its checkpoint and its log, and the weights when it is done.
        steps: updates of 32 clips.
        seed: of the initial weights and the choice of clips.
        progress: draw a bar.

    Returns:
        The moving average of the weights, which `load_classifier` reads again.
    """
    labels = corpus.kind_labels()
    return train_judge(
        Classifier(ClassifierConfig(), rngs=nnx.Rngs(seed)),
        classifier_loss,
        folder / _WEIGHTS,
        name=STAGE,
        batch=lambda index: labelled_clips(corpus.mels, labels, seed, index),
        learning_rate=_LEARNING_RATE,
        steps=steps,
        seed=seed,
        progress=progress,
    )


def load_classifier(folder: Path) -> Classifier:
    """The classifier that was trained in a folder.

    Raises:
        FileNotFoundError: when no training has been finished there.
        ValueError: when it has another shape than the classifier of today.
    """
    return load_weights(abstract(Classifier, ClassifierConfig()), folder / _WEIGHTS)


def labelled_clips(
    mels: Float[np.ndarray, "clips frames mels"],
    labels: Float32[np.ndarray, "clips kinds"],
    seed: int,
    index: int,
    *,
    batch: int = _BATCH_SIZE,
) -> Labelled:
    """The clips of one update, drawn from the seed and the update's number alone, at random levels and over noise.

    Two kinds at once are what is hardest to hear, and the corpus holds few of their combinations. Many clips of one
    kind are therefore heard together with another one, whose powers are added.
    """
    generator = np.random.default_rng((seed, index))
    clips, others = generator.integers(0, len(mels), (2, batch))
    together = generator.random(batch) < _MIXED_SHARE
    together &= (labels[clips].sum(axis=1) == 1.0) & (labels[others].sum(axis=1) == 1.0)
    below = generator.uniform(0.0, _SOFTEST_IN_NEPERS, (batch, 1, 1)).astype(np.float32)
    first, second = (np.asarray(mels[chosen], np.float32) for chosen in (clips, others))
    mixture = 0.5 * np.logaddexp(2.0 * first, 2.0 * (second - below))
    mel = np.where(together[:, None, None], mixture, first)
    heard = disturbed(mel, generator, gain_in_nepers=_GAIN_IN_NEPERS, highest_floor=_HIGHEST_FLOOR)
    return Labelled(heard, np.where(together[:, None], np.maximum(labels[clips], labels[others]), labels[clips]))


def classifier_loss(classifier: Classifier, batch: Labelled) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Cross-entropy of each kind being heard or not, in nats for each clip; and the share of labels that are right."""
    _, logits = classifier(jnp.asarray(batch.mel))
    loss = jnp.mean(jnp.sum(optax.sigmoid_binary_cross_entropy(logits, batch.labels), axis=-1))
    return loss, {"right": jnp.mean(((logits > 0.0) == (batch.labels > 0.5)).all(axis=-1))}


def hear(classifier: Classifier, mels: Float[np.ndarray, "sounds frames mels"]) -> Heard:
    """Listen to sounds of any one length, window by window.

    A sound's embedding is the mean over its windows, and a kind is heard where it is heard in any window, other than in
    those that are 40 dB softer than the loudest.

    Args:
        classifier: trained.
        mels: natural log-mels of sounds.
    """
    embeddings, logits = [], []
    found = by_window(lambda piece: _describe(classifier, piece), mels)
    for mel, (window_embeddings, window_logits) in zip(mels, found, strict=True):
        levels = windows(mel).max(axis=(1, 2))
        audible = levels >= levels.max() - _AUDIBLE_IN_NEPERS
        embeddings.append(window_embeddings.mean(axis=0))
        logits.append(window_logits[audible].max(axis=0))
    return Heard(np.stack(embeddings), np.stack(logits))


@jax.jit
def _describe(classifier: Classifier, mel: Float[Array, "batch frames mels"]) -> tuple[Array, Array]:
    return classifier(mel)
