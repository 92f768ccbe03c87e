"""The text encoders of the bundled model learn what people type, with the UNet as it is."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples.foley.parts import wording
from examples.foley.world.sounds import Event, Scene
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.checkpoint.weights import to_numpy
from litefocus_jax.models.clap.text import ClapTextModel
from litefocus_jax.models.gpt2 import GPT2
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from tests.support.foley import shown_again_and_again
from tests.support.models import small_components


def test_a_soft_kind_is_called_loud_where_nothing_is_said_of_it() -> None:
    scene = Scene((Event("fire"), Event("rain")), "while")
    assert wording.audible(scene).events == (Event("fire", loudness="loud"), Event("rain"))
    said = Scene((Event("fire", loudness="soft"),))
    assert wording.audible(said) == said


def test_nothing_stays_nothing_and_careful_captions_are_among_those_typed() -> None:
    generator = np.random.default_rng(0)
    pairs = [wording.pair(generator) for _ in range(300)]
    assert ("", "") in pairs
    assert any(typed == careful != "" for typed, careful in pairs)
    assert all(careful for typed, careful in pairs if typed)


def test_reading_a_caption_as_it_was_read_costs_nothing_and_other_captions_do() -> None:
    components = small_components()
    pairs = wording.Pairs(components, components, captions=40, seed=1)
    told, other = pairs(0), pairs(1)
    encoders = wording.Encoders(components)
    key = jax.random.key(0)
    spreads = wording.reading_spreads(encoders, components, pairs.careful, key)
    same = wording.Told(told.careful, told.careful)
    assert float(wording.wording_loss(encoders, encoders, components, spreads, same, key)[0]) < 1e-9
    different = wording.Told(told.careful, other.careful)
    assert float(wording.wording_loss(encoders, encoders, components, spreads, different, key)[0]) > 1e-3


def test_encoders_learn_to_be_read_alike() -> None:
    components = small_components()
    pairs = wording.Pairs(components, components, captions=40, seed=1)
    careful, key = wording.Encoders(components), jax.random.key(0)
    spreads = wording.reading_spreads(careful, components, pairs.careful, key)
    _, losses = shown_again_and_again(
        lambda encoders, told, key: wording.wording_loss(encoders, careful, components, spreads, told, key),
        wording.Encoders(components),
        pairs(0),
        updates=12,
    )
    assert losses[-1] < 0.8 * losses[0]


def test_training_keeps_the_unet_and_gives_words_of_their_own(tmp_path: Path) -> None:
    small = small_components()
    # Captions of so many characters take more positions than it has.
    clap = dataclasses.replace(small.text_encoder.config, max_position_embeddings=80)
    gpt2 = dataclasses.replace(small.language_model.config, n_positions=128)
    components = dataclasses.replace(
        small, text_encoder=random_model(ClapTextModel, clap), language_model=random_model(GPT2, gpt2)
    )
    trained = wording.train_wording(components, tmp_path, steps=2, captions=30, progress=False)
    assert trained.unet is components.unet
    before, after = (to_numpy(each.language_model) for each in (components, trained))
    assert any(not np.array_equal(before[name], after[name]) for name in before)
    t5 = load_tokenizer(trained.tokenizer_2, trained.text_encoder_2.config.vocab_size)
    assert t5.ids(["Thunderstorm!"]) == t5.ids(["thunderstorm"])
    assert jnp.isfinite(trained.text_encoder_2(jnp.asarray(t5.ids(["a thunderstorm"])), jnp.ones((1, 3), bool))).all()


@pytest.mark.parametrize("seed", range(3))
def test_pairs_follow_from_the_seed(seed: int) -> None:
    components = small_components()
    first, second = (wording.Pairs(components, components, captions=20, seed=seed)(4) for _ in range(2))
    jax.tree.map(np.testing.assert_array_equal, first, second)
