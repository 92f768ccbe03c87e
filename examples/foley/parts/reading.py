"""Training of T5, GPT-2 and the projection to read, on captions alone: before the UNet listens to them.

From the loss of the UNet alone, which costs far more, these encoders learn slowly to keep two sounds of one caption
apart. Here questions about the scene are asked of what they make of its caption: what is heard first and
second, how both lie in time, and what is said of each. Answers are looked up by attention and read off by a linear map,
as the UNet does it; what asks is thrown away.

Letters in shape comments: B batch, T tokens, D dimension, Q questions, A answers.
"""

import math
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from examples.foley.parts.encoders import Encoders
from examples.foley.parts.learner import train_module
from examples.foley.parts.lengths import LengthOrder
from examples.foley.parts.optimiser import optimiser
from examples.foley.parts.tokens import CaptionTokens
from examples.foley.world.captions import caption, held_out_combination
from examples.foley.world.corpus import KIND_NAMES
from examples.foley.world.kinds import WORDS
from examples.foley.world.sounds import Scene, random_scene
from litefocus_jax.models import parameters
from litefocus_jax.models.components import AudioLDM2Components
from litefocus_jax.models.tokenization import PromptTokens

STAGE = "reading"

_CAPTIONS = 60_000
_BATCH_SIZE = 128
_LEARNING_RATE = 1e-3
_SECOND_CHANCE = 0.5  # that a scene of one kind is drawn again, so that most are of two

_RELATIONS = (None, "while", "then")
_FADES = (None, "in", "out")
_ANSWERS = len(KIND_NAMES) + 1
_QUESTIONS = 2 * (1 + len(WORDS)) + 3


class Asked(NamedTuple):
    """Tokens of captions for CLAP and T5, and the answer to each question."""

    clap_ids: Int[Array | np.ndarray, "batch clap_tokens"]
    clap_mask: Bool[Array | np.ndarray, "batch clap_tokens"]
    t5_ids: Int[Array | np.ndarray, "batch tokens"]
    t5_mask: Bool[Array | np.ndarray, "batch tokens"]
    answers: Int[Array | np.ndarray, "batch questions"]


class Examiner(nnx.Module):
    """Looks for the answer to each question in a sequence of vectors, by attention with a query of its own."""

    def __init__(self, dimension: int, *, rngs: nnx.Rngs) -> None:
        self.queries = parameters.kernel((_QUESTIONS, dimension), rngs)
        self.answers = parameters.kernel((_QUESTIONS, dimension, _ANSWERS), rngs)
        self.key = parameters.linear(dimension, dimension, rngs=rngs)

    def __call__(
        self, vectors: Float[Array, "batch tokens dimension"], mask: Bool[Array, "batch tokens"]
    ) -> Float[Array, "batch questions answers"]:
        """The logits of every answer."""
        scores = jnp.einsum("qd,btd->bqt", self.queries[...], self.key(vectors)) / math.sqrt(vectors.shape[-1])
        found = jax.nn.softmax(jnp.where(mask[:, None], scores, -jnp.inf)) @ vectors  # [B, Q, D]
        return jnp.einsum("bqd,qda->bqa", found, self.answers[...])


class Reading(Encoders):
    """The encoders that learn, and one examiner each for T5's vectors and for those that GPT-2 generates."""

    def __init__(self, components: AudioLDM2Components, *, rngs: nnx.Rngs) -> None:
        super().__init__(components)
        self.of_t5 = Examiner(components.text_encoder_2.config.d_model, rngs=rngs)
        self.of_gpt2 = Examiner(components.language_model.config.n_embd, rngs=rngs)


class Exam:
    """Captions of random scenes in training wordings, with the answers; nothing is rendered.

    Args:
        components: gives the tokenizers.
        captions: how many.
        seed: of the scenes, and of the choice of captions for every update.
    """

    def __init__(self, components: AudioLDM2Components, *, captions: int = _CAPTIONS, seed: int = 0) -> None:
        generator = np.random.default_rng(seed)
        scenes = [_scene(generator) for _ in range(captions)]
        texts = [caption(scene, generator) for scene in scenes]
        self.seed, self.answers = seed, np.array([answers(scene) for scene in scenes], np.int32)
        self.tokens = CaptionTokens.of(components, texts)
        self.order = LengthOrder(self.tokens.lengths)

    def __call__(self, index: int) -> Asked:
        """The captions of one update, drawn from the seed and the update's number alone."""
        rows = self.order.draw(np.random.default_rng([self.seed, index]), _BATCH_SIZE)
        return Asked(*self.tokens.rows(rows), self.answers[rows])


def train_reading(
    components: AudioLDM2Components, folder: Path, *, steps: int, seed: int = 0, progress: bool = True
) -> AudioLDM2Components:
    """Train the encoders; an interrupted training is taken up where it was.

    Args:
        components: the model, of which CLAP stays as it is.
        folder: where the stage keeps its checkpoint and its log.
        steps: updates of 128 captions.
        seed: of the captions and of the examiners' weights.
        progress: draw a bar.

    Returns:
        The model with the moving average of the trained weights.
    """
    trained = train_module(
        Reading(components, rngs=nnx.Rngs(seed)),
        lambda reading, asked, key: reading_loss(reading, components.text_encoder, asked),
        folder,
        name=STAGE,
        batch=Exam(components, seed=seed),
        transformation=optimiser(steps, _LEARNING_RATE),
        steps=steps,
        seed=seed,
        progress=progress,
    )
    return trained.put_into(components)


def reading_loss(reading: Reading, clap: Any, asked: Asked) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Cross-entropy of the answers, in nats for each question, and the share of captions with all answers right.

    Both are means over what is read off T5's vectors and off GPT-2's.
    """
    t5_mask = jnp.asarray(asked.t5_mask)
    length = jnp.max(jnp.sum(t5_mask.astype(jnp.int32), axis=1))
    conditioning = reading(clap, PromptTokens(asked.clap_ids, asked.clap_mask, asked.t5_ids, t5_mask, length))
    generated = conditioning.generated_prompt_embeds
    losses, right = [], {}
    for name, logits in (
        ("t5", reading.of_t5(conditioning.prompt_embeds, conditioning.attention_mask)),
        ("gpt2", reading.of_gpt2(generated, jnp.ones(generated.shape[:2], bool))),
    ):
        losses.append(optax.softmax_cross_entropy_with_integer_labels(logits, asked.answers).mean())
        right[name] = jnp.mean((logits.argmax(axis=-1) == asked.answers).all(axis=-1))
    return jnp.stack(losses).mean(), right


def answers(scene: Scene) -> list[int]:
    """The answer to every question: of each sound its kind and its words, then relation, room and fade."""
    found: list[int] = []
    for event in (*scene.events, None)[:2]:
        named = {} if event is None else event.named
        found.append(len(KIND_NAMES) if event is None else KIND_NAMES.index(event.kind))
        found += [1 + words.index(named[parameter]) if parameter in named else 0 for parameter, words in WORDS.items()]
    return [*found, _RELATIONS.index(scene.relation), int(scene.reverberant), _FADES.index(scene.fade)]


def _scene(generator: np.random.Generator) -> Scene:
    """A scene that a training caption says all of: held-out combinations are left unsaid there."""
    while True:
        scene = random_scene(generator)
        if scene.relation is None and generator.random() < _SECOND_CHANCE:
            scene = random_scene(generator)
        if not any(held_out_combination(event) for event in scene.events):
            return scene
