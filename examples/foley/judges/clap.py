"""Training of CLAP: the text tower that the bundled model listens to, against an audio tower that stays behind.

Wu et al., "Large-scale Contrastive Language-Audio Pretraining" (arXiv 2211.06687): the caption and the sound of a clip
should lie close together in one space, and those of different clips apart.
"""

import dataclasses
import math
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Float32, Int

from examples.foley.judges.listening import Ear, EarConfig, by_window, disturbed
from examples.foley.judges.training import load_weights, train_judge
from examples.foley.parts.model import CLAP_CONFIG
from examples.foley.world.corpus import CAPTIONS_PER_CLIP, Corpus
from litefocus_jax.checkpoint.weights import abstract
from litefocus_jax.models import parameters
from litefocus_jax.models.clap.text import ClapTextConfig, ClapTextModel
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.models.tokenization import Tokenizer, Tokens, tokenize

STAGE = "clap"

_WEIGHTS = "towers.safetensors"
_EAR = EarConfig(features=CLAP_CONFIG.projection_dim)
_BATCH_SIZE = 48
_LEARNING_RATE = 1e-3
_HIGHEST_FLOOR = -8.0
_FIRST_SCALE = math.log(1.0 / 0.07)  # CLIP's
_LARGEST_SCALE = math.log(100.0)  # CLIP's


@dataclasses.dataclass(frozen=True)
class ClapConfig:
    """The shape of both towers.

    Attributes:
        text: of the text tower.
        ear: of the audio tower, whose features lie in the text tower's space.

    Raises:
        ValueError: when the towers end in spaces of different dimensions.
    """

    text: ClapTextConfig = CLAP_CONFIG
    ear: EarConfig = _EAR

    def __post_init__(self) -> None:
        if self.ear.features != self.text.projection_dim:
            raise ValueError(
                f"ear.features = {self.ear.features}; expected the text tower's projection_dim, "
                f"{self.text.projection_dim}"
            )


class Clap(nnx.Module):
    """Both towers, and the logarithm of what their products are multiplied by, less that of what it is at first."""

    def __init__(self, config: ClapConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.text = ClapTextModel(config.text, rngs=rngs)
        self.ear = Ear(config.ear, rngs=rngs)
        self.log_scale = parameters.zeros((), rngs)

    def embed_text(
        self, input_ids: Int[Array, "batch tokens"], mask: Bool[Array, "batch tokens"]
    ) -> Float[Array, "batch projection_dim"]:
        """Captions to vectors of length one."""
        return self.text(input_ids, mask)

    def embed_sound(self, mel: Float[Array, "batch frames mels"]) -> Float[Array, "batch projection_dim"]:
        """Windows of log-mels to vectors of length one."""
        features = self.ear(mel)
        return features / jnp.maximum(jnp.linalg.norm(features, axis=-1, keepdims=True), 1e-6)


class Pairs(NamedTuple):
    """Log-mels ``[batch, frames, mels]`` and the tokens ``[batch, tokens]`` of a caption of each."""

    mel: Float32[Array | np.ndarray, "batch frames mels"]
    input_ids: Int[Array | np.ndarray, "batch tokens"]
    mask: Bool[Array | np.ndarray, "batch tokens"]


def train_clap(
    corpus: Corpus, tokenizer: Path, folder: Path, *, steps: int, seed: int = 0, progress: bool = True
) -> ClapTextModel:
    """Train both towers on the clips and captions of a corpus; an interrupted training is taken up where it was.

    Args:
        corpus: its log-mels and captions are read.
        tokenizer: folder of CLAP's tokenizer.
        folder: where the stage keeps its checkpoint and its log, and the weights of both towers when it is done.
        steps: updates of 48 clips.
        seed: of the initial weights and the choice of clips and captions.
        progress: draw a bar.

    Returns:
        The text tower, with the moving average of its weights. `load_clap` reads both towers again.
    """
    captions = [text for texts in corpus.captions for text in texts]
    tokens = tokenize(load_tokenizer(tokenizer, CLAP_CONFIG.vocab_size), captions)
    return train_judge(
        Clap(ClapConfig(), rngs=nnx.Rngs(seed)),
        clap_loss,
        folder / _WEIGHTS,
        name=STAGE,
        batch=lambda index: captioned_clips(corpus.mels, tokens, seed, index),
        learning_rate=_LEARNING_RATE,
        steps=steps,
        seed=seed,
        progress=progress,
    ).text


def load_clap(folder: Path) -> Clap:
    """The towers that were trained in a folder.

    Raises:
        FileNotFoundError: when no training has been finished there.
        ValueError: when they have another shape than the towers of today.
    """
    return load_weights(abstract(Clap, ClapConfig()), folder / _WEIGHTS)


def captioned_clips(
    mels: Float[np.ndarray, "clips frames mels"], tokens: Tokens, seed: int, index: int, *, batch: int = _BATCH_SIZE
) -> Pairs:
    """The clips of one update and one caption of each, drawn from the seed and the update's number alone.

    Levels stay as they are, since captions speak of them.

    Args:
        mels: natural log-mels.
        tokens: of `CAPTIONS_PER_CLIP` captions of each clip, clip by clip.
        seed: of the training.
        index: of the update.
        batch: clips, of which none is there twice.
    """
    generator = np.random.default_rng((seed, index))
    clips = np.sort(generator.choice(len(mels), min(batch, len(mels)), replace=False))
    heard = disturbed(mels[clips], generator, gain_in_nepers=0.0, highest_floor=_HIGHEST_FLOOR)
    rows = CAPTIONS_PER_CLIP * clips + generator.integers(0, CAPTIONS_PER_CLIP, len(clips))
    return Pairs(heard, tokens.input_ids[rows], tokens.attention_mask[rows])


def clap_loss(clap: Clap, pairs: Pairs) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Cross-entropy of finding the sound of each caption, and the caption of each sound, in the batch.

    Returns:
        The loss in nats (equation 1 of the paper); and the share of captions whose own sound is the closest
        (``right``), and the scale.
    """
    text = clap.embed_text(jnp.asarray(pairs.input_ids), jnp.asarray(pairs.mask))
    sound = clap.embed_sound(jnp.asarray(pairs.mel))
    scale = jnp.exp(jnp.minimum(_FIRST_SCALE + clap.log_scale[...], _LARGEST_SCALE))
    logits = scale * text @ sound.T  # [B, B], a row for each caption
    own = jnp.arange(len(logits))
    losses = [
        optax.softmax_cross_entropy_with_integer_labels(direction, own).mean() for direction in (logits, logits.T)
    ]
    return 0.5 * (losses[0] + losses[1]), {"right": jnp.mean(logits.argmax(axis=1) == own), "scale": scale}


def clap_scores(
    clap: Clap, tokenizer: Tokenizer, texts: Sequence[str], mels: Float[np.ndarray, "sounds frames mels"]
) -> Float32[np.ndarray, " sounds"]:
    """How near each sound lies to its text, from -1 to 1; a sound of several windows lies at their mean direction.

    Args:
        clap: both towers.
        tokenizer: CLAP's.
        texts: one for each sound.
        mels: natural log-mels of sounds of any one length.

    Raises:
        ValueError: when there are not as many texts as sounds.
    """
    if len(texts) != len(mels):
        raise ValueError(f"{len(texts)} texts for {len(mels)} sounds; expected one for each")
    tokens = tokenize(tokenizer, texts)
    text = np.asarray(_embed_text(clap, tokens.input_ids, tokens.attention_mask))
    found = by_window(lambda piece: _embed_sound(clap, piece), mels)
    sound = np.stack([embeddings.mean(axis=0) for embeddings in found])
    sound /= np.maximum(np.linalg.norm(sound, axis=1, keepdims=True), 1e-6)
    return np.sum(text * sound, axis=1)


@jax.jit
def _embed_text(clap: Clap, input_ids: Array, mask: Array) -> Array:
    return clap.embed_text(input_ids, mask)


@jax.jit
def _embed_sound(clap: Clap, mel: Array) -> Array:
    return clap.embed_sound(mel)
