"""What people type: every kind by many names, none of which is kept for the evaluation."""

import numpy as np
import pytest

from examples.foley.world import captions
from examples.foley.world.everyday import (
    everyday_caption,
    everyday_scene,
    misspelt,
    nearest_kind,
    unknown_caption,
    words,
)
from examples.foley.world.kinds import KINDS
from examples.foley.world.names import names_of
from examples.foley.world.sounds import random_scene
from examples.foley.world.vocabulary import vocabulary


def without_article(text: str) -> str:
    return text.removeprefix("a ").removeprefix("an ").removeprefix("the ")


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_has_names_of_which_none_is_held_out(kind: str) -> None:
    names = {name.words for several in (False, True) for name in names_of(kind, several=several)}
    described = KINDS[kind]
    wordings = [wording for wording in (described.phrases, described.one, described.several) if wording]
    assert len(names) >= 5
    assert names.isdisjoint(without_article(text) for wording in wordings for text in wording.held_out)


def test_captions_name_all_sounds_of_a_scene_and_follow_from_the_generator() -> None:
    generator = np.random.default_rng(0)
    for seed in range(200):
        scene = everyday_scene(random_scene(generator))
        text, again = (everyday_caption(scene, np.random.default_rng(seed)) for _ in range(2))
        assert text == again == " ".join(text.split())
        assert "{" not in text


def test_what_is_not_misspelt_is_made_of_known_words() -> None:
    known = set(words()) | set(captions.vocabulary())
    ours = vocabulary()
    for kind in KINDS:
        for several in (False, True):
            for name in names_of(kind, several=several):
                assert set(name.words.split()) <= known
                assert ours.unknown_words(name.words) == ()


def test_a_misspelt_name_is_nearest_to_its_kind() -> None:
    assert nearest_kind("helicoptr") == "helicopter"
    assert nearest_kind("footstps") == "footsteps"
    assert misspelt("helicopter", np.random.default_rng(1)) != "helicopter"
    assert misspelt("a on", np.random.default_rng(1)) == "a on"


def test_a_made_up_word_has_a_scene_too() -> None:
    generator = np.random.default_rng(0)
    pairs = [unknown_caption(generator) for _ in range(50)]
    assert len({text for _, text in pairs}) == 50
    assert all(scene.events[0].kind in KINDS and text.strip() for scene, text in pairs)
