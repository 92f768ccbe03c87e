"""Captions of scenes: wordings that are held out, words that are known, and pairs that differ in one."""

import dataclasses
import re
from typing import Any

import numpy as np
import pytest

from examples.foley.world import captions
from examples.foley.world.captions import caption, held_out_combination, pitch_pair, speed_pair, vocabulary
from examples.foley.world.kinds import KINDS, WORDS
from examples.foley.world.sounds import Event, Scene, random_scene

RATE = 16000


def scenes(count: int, seed: int = 0) -> list[Scene]:
    generator = np.random.default_rng(seed)
    return [random_scene(generator) for _ in range(count)]


def fragments(held_out: bool) -> list[str]:
    """A regular expression for every wording, held out or usual: its own words, whatever stands in its gaps."""
    names = [wording for kind in KINDS.values() for wording in (kind.phrases, kind.one, kind.several) if wording]
    others = [*captions.SYNONYMS.values(), *captions._PATTERNS.values(), *captions._FADES.values()]
    texts = [text for wording in (*names, *others, captions._LARGE_ROOM) for text in _of(wording, held_out)]
    return [re.sub(r"\\\{.\\\}", ".+", re.escape(re.sub("^(an?|the) ", "", text))).strip() for text in texts]


def _of(wording, held_out: bool) -> tuple[str, ...]:
    return wording.held_out if held_out else wording.usual


HELD_OUT = re.compile("|".join(rf"(?<![a-z]){fragment}(?![a-z])" for fragment in fragments(held_out=True)))


def is_held_out(kind: str, parameter: str, word: str) -> bool:
    words: dict[str, Any] = {parameter: word}
    return held_out_combination(Event(kind, **words))


def without_held_out_words(scene: Scene) -> Scene:
    events = []
    for event in scene.events:
        for parameter, word in event.named.items():
            if is_held_out(event.kind, parameter, word):
                event = dataclasses.replace(event, **{parameter: None})
        events.append(event)
    return dataclasses.replace(scene, events=tuple(events))


def test_training_captions_hold_nothing_that_is_held_out():
    for seed, scene in enumerate(scenes(2000)):
        text = caption(scene, np.random.default_rng(seed))
        assert HELD_OUT.search(text) is None, text
        assert text == caption(without_held_out_words(scene), np.random.default_rng(seed))


def test_training_captions_have_adjectives_side_by_side_and_joined():
    bell = Scene((dataclasses.replace(Event("bell"), pitch="high", loudness="loud"),))
    texts = {caption(bell, np.random.default_rng(seed)) for seed in range(200)}
    between = {match[1] for text in texts if (match := re.search(r"(?:high|loud)( | and )(?:high|loud)\b.*bell", text))}
    assert between == {" ", " and "}


def test_held_out_captions_hold_something_that_is_held_out():
    for seed, scene in enumerate(scenes(1000)):
        text = caption(scene, np.random.default_rng(seed), held_out=True)
        assert HELD_OUT.search(text) or any(map(held_out_combination, scene.events)), text


def test_a_tenth_of_the_combinations_is_held_out_and_never_both_words():
    combinations = [
        [is_held_out(name, parameter, word) for word in WORDS[parameter]]
        for name, kind in KINDS.items()
        for parameter in kind.parameters
    ]
    assert not any(all(both) for both in combinations)
    assert 0.05 < np.mean(combinations) < 0.15


def test_the_vocabulary_covers_all_captions_and_is_small():
    words = set(vocabulary())
    assert list(vocabulary()) == sorted(words)
    assert len(words) < 400
    for seed, scene in enumerate(scenes(500)):
        for held_out in (False, True):
            assert set(caption(scene, np.random.default_rng(seed), held_out=held_out).split()) <= words


def test_held_out_wordings_are_made_of_words_that_training_knows():
    usual, held_out = (set(re.findall("[a-z]+", " ".join(fragments(held_out=held_out)))) for held_out in (False, True))
    assert held_out - usual - {"a", "an", "the"} == set()


@pytest.mark.parametrize(("pair", "parameter"), [(pitch_pair, "pitch"), (speed_pair, "speed")])
@pytest.mark.parametrize("held_out", [False, True])
def test_pairs_differ_in_one_word_alone(pair, parameter, held_out):
    lower, upper = (captions.SYNONYMS[word] for word in WORDS[parameter])
    swaps = list(zip(lower.usual + lower.held_out, upper.usual + upper.held_out, strict=True))
    for seed in range(100):
        first, second = pair(np.random.default_rng(seed), held_out=held_out)
        assert first != second
        assert any(without(old, first) == without(new, second) for old, new in swaps), (first, second)


def without(words: str, text: str) -> str:
    """A caption without some words, and with "a" for both articles."""
    return re.sub(r"\ban\b", "a", re.sub(rf"\b{words} ?", "", text))
