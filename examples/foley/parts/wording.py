"""Training of T5, GPT-2 and the projection on what people type, with the UNet as it is.

The UNet hears a caption by its cross-attentions alone. Here encoders learn to be read, for a caption in anybody's
words, as they were read before for the careful caption of the same scene: distillation (Hinton et al., arXiv
1503.02531) from captions to captions. So the UNet, which costs far more to train, forgets nothing.

Letters in shape comments: B batch, Q queries, C channels.
"""

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Key

from examples.foley.parts import model
from examples.foley.parts.encoders import Encoders
from examples.foley.parts.learner import train_module
from examples.foley.parts.lengths import LengthOrder
from examples.foley.parts.optimiser import optimiser
from examples.foley.parts.tokenizers import save_tokenizers_with_words
from examples.foley.parts.tokens import CaptionTokens
from examples.foley.world.captions import caption
from examples.foley.world.everyday import everyday_caption, everyday_scene, unknown_caption, words
from examples.foley.world.kinds import KINDS
from examples.foley.world.sounds import Event, Scene, random_scene
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.checkpoint.weights import abstract, fill, to_numpy
from litefocus_jax.models.components import AudioLDM2Components
from litefocus_jax.models.conditioning import TextConditioning
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.tokenization import PromptTokens
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.models.unet.transformer import PromptKeys, TransformerBlock

STAGE = "wording"

_CAPTIONS = 60_000
_BATCH_SIZE = 64
_QUERIES = 32
_MEASURED = 256
_LEARNING_RATE = 1e-3
# Of the captions: as they were taught, everyday names, made-up words, and nothing at all, which guidance compares with.
_SHARES = {"usual": 0.3, "everyday": 0.43, "unknown": 0.2, "nothing": 0.07}
_SHARE_BARE = 0.4  # of everyday captions: one kind, and nothing said of it
# Of these, the synthesised sounds are soft unless they are called loud. A bare name should be heard.
_SOFT_KINDS = ("coin", "clock", "knocks", "footsteps", "snare drum", "static", "applause", "fire", "crickets")


class Told(NamedTuple):
    """Tokens of captions as somebody types them, and of the careful captions of the same scenes."""

    typed: PromptTokens
    careful: PromptTokens


class Pairs:
    """Captions of random scenes in anybody's words and in careful ones; nothing is rendered.

    Args:
        typed: the model that learns, which gives the tokenizers.
        careful: the model as it was, which gives the tokenizers of the careful captions.
        captions: how many.
        seed: of the scenes, and of the choice of captions for every update.
    """

    def __init__(
        self, typed: AudioLDM2Components, careful: AudioLDM2Components, *, captions: int = _CAPTIONS, seed: int = 0
    ) -> None:
        generator = np.random.default_rng(seed)
        texts = [pair(generator) for _ in range(captions)]
        self.seed = seed
        self.typed = CaptionTokens.of(typed, [first for first, _ in texts])
        self.careful = CaptionTokens.of(careful, [second for _, second in texts])
        self.order = LengthOrder(self.typed.lengths)

    def __call__(self, index: int) -> Told:
        """The captions of one update, drawn from the seed and the update's number alone."""
        rows = self.order.draw(np.random.default_rng([self.seed, index]), _BATCH_SIZE)
        return Told(_rows(self.typed, rows), _rows(self.careful, rows))


def pair(generator: np.random.Generator) -> tuple[str, str]:
    """What somebody may type, and a careful caption of what should be heard."""
    way = str(generator.choice(list(_SHARES), p=list(_SHARES.values())))
    if way == "nothing":
        return "", ""
    if way == "unknown":
        scene, text = unknown_caption(generator)
    elif way == "everyday":
        bare = generator.random() < _SHARE_BARE
        scene = Scene((Event(str(generator.choice(list(KINDS)))),)) if bare else everyday_scene(random_scene(generator))
        text = everyday_caption(scene, generator)
    else:
        scene = random_scene(generator)
        text = caption(scene, generator)
        if scene == audible(scene):
            return text, text
    return text, caption(audible(scene), generator)


def audible(scene: Scene) -> Scene:
    """The scene, with kinds called loud that are soft otherwise, where nothing is said of their loudness."""

    def louder(event: Event) -> Event:
        is_soft = event.kind in _SOFT_KINDS and event.loudness is None
        return dataclasses.replace(event, loudness="loud") if is_soft else event

    return dataclasses.replace(scene, events=tuple(louder(event) for event in scene.events))


def train_wording(
    components: AudioLDM2Components,
    folder: Path,
    *,
    steps: int,
    captions: int = _CAPTIONS,
    seed: int = 0,
    progress: bool = True,
) -> AudioLDM2Components:
    """Train the encoders of a finished model; an interrupted training is taken up where it was.

    Args:
        components: the model; its UNet and its CLAP stay as they are.
        folder: where the stage keeps its tokenizers, its checkpoint and its log.
        steps: updates of 64 captions.
        captions: how many there are to learn from.
        seed: of the captions, and of the vectors of new words.
        progress: draw a bar.

    Returns:
        The model with tokenizers for which case and punctuation do not matter, and the moving average of the weights.
    """
    tokenizers = save_tokenizers_with_words((components.tokenizer, components.tokenizer_2), words(), folder)
    begun = dataclasses.replace(
        components,
        text_encoder_2=_with_room(components.text_encoder_2, model.T5_CONFIG.vocab_size, seed),
        tokenizer=tokenizers[0],
        tokenizer_2=tokenizers[1],
    )
    careful = Encoders(components)
    pairs = Pairs(begun, components, captions=captions, seed=seed)
    spreads = reading_spreads(careful, components, pairs.careful, jax.random.key(seed))
    trained = train_module(
        Encoders(begun),
        lambda encoders, told, key: wording_loss(encoders, careful, components, spreads, told, key),
        folder,
        name=STAGE,
        batch=pairs,
        transformation=optimiser(steps, _LEARNING_RATE),
        steps=steps,
        seed=seed,
        progress=progress,
    )
    return trained.put_into(begun)


def reading_spreads(
    careful: Encoders, components: AudioLDM2Components, captions: CaptionTokens, key: Key[Array, ""]
) -> Float[Array, " readers"]:
    """How much what each cross-attention reads differs between captions: its variance over some of them."""
    told = _rows(captions, np.arange(min(_MEASURED, len(captions.lengths))))
    found = readings(components.unet, careful(components.text_encoder, told), key)
    return jnp.stack([jnp.square(read - read.mean(axis=0)).mean() for read in found])


def wording_loss(
    encoders: Encoders,
    careful: Encoders,
    components: AudioLDM2Components,
    spreads: Float[Array, " readers"],
    told: Told,
    key: Key[Array, ""],
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Of the variance of what the cross-attentions read of different captions, the share that is read otherwise.

    What asks are random vectors, normalised as the tokens of the latents are. The loss is the mean over all
    cross-attentions; beside it, ``worst`` is the largest.
    """
    unet, clap = components.unet, components.text_encoder
    found, expected = (
        readings(unet, conditioning, key)
        for conditioning in (encoders(clap, told.typed), jax.lax.stop_gradient(careful(clap, told.careful)))
    )
    errors = [jnp.square(one - other).mean() for one, other in zip(found, expected, strict=True)]
    shares = jnp.stack(errors) / spreads
    return shares.mean(), {"worst": shares.max()}


def readings(
    unet: UNet, conditioning: TextConditioning, key: Key[Array, ""]
) -> list[Float[Array, "batch queries channels"]]:
    """What every cross-attention adds to random tokens."""
    context = unet.project_context(
        conditioning.generated_prompt_embeds, conditioning.prompt_embeds, conditioning.attention_mask
    )
    keys = jax.tree.leaves(context, is_leaf=lambda node: isinstance(node, PromptKeys))
    found = []
    for number, (block, prompt) in enumerate(zip(_readers(unet), keys, strict=True)):
        tokens = jax.random.normal(jax.random.fold_in(key, number), (_QUERIES, block.attn2.to_q.in_features))
        tokens = jnp.broadcast_to(block.norm2(tokens), (len(prompt.key), *tokens.shape))  # [B, Q, C]
        found.append(block.attn2.attend_to_prompt(tokens, prompt))
    return found


def _readers(unet: UNet) -> Iterator[TransformerBlock]:
    """The blocks that read the prompt, in the order of `UNet.project_context`."""
    for level in (*unet.down_blocks, unet.mid_block, *unet.up_blocks):
        for transformer in level.attentions.transformers if level.attentions is not None else ():
            yield from (block for block in transformer.transformer_blocks if transformer.reads_prompt)


def _rows(tokens: CaptionTokens, rows: np.ndarray) -> PromptTokens:
    clap_ids, clap_mask, t5_ids, t5_mask = tokens.rows(rows)
    return PromptTokens(clap_ids, clap_mask, t5_ids, t5_mask, np.int32(t5_mask.sum(axis=1).max()))


def _with_room(encoder: T5Encoder, vocabulary: int, seed: int) -> T5Encoder:
    """The encoder with vectors for more tokens, random ones."""
    config = dataclasses.replace(encoder.config, vocab_size=max(vocabulary, encoder.config.vocab_size))
    weights = to_numpy(random_model(T5Encoder, config, seed))
    for name, known in to_numpy(encoder).items():
        weights[name] = np.concatenate([known, weights[name][len(known) :]])
    return fill(abstract(T5Encoder, config), weights, jnp.float32)
