"""What people type: bare names, other names, names of things that are not known, in sentences of their own.

`captions` describes a scene with care, in few words. Here the same scene is called by whatever somebody may call it.
Words that nobody knows stand for the kind whose name is spelled most like them (`nearest_kind`).
"""

import dataclasses
import difflib
import functools
import string
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from examples.foley.world.captions import SYNONYMS
from examples.foley.world.kinds import KINDS
from examples.foley.world.names import names_of
from examples.foley.world.sounds import Event, Scene

_ADJECTIVES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "low": ("low pitch", "dark", "bassy"),
        "high": ("high pitch", "bright", "piercing", "squeaky"),
        "slow": ("slowly", "calm", "lazy", "relaxed"),
        "fast": ("hurried", "hectic", "quickly", "frantic"),
        "soft": ("gentle", "light", "silent", "distant", "calm", "faraway", "weak"),
        "loud": ("heavy", "very loud", "big", "huge", "intense", "noisy", "massive"),
        "falling": ("going down", "sinking"),
        "rising": ("going up", "climbing"),
        "short": ("quick little", "tiny", "sudden"),
        "long": ("lasting", "endless", "sustained"),
        "several": ("many", "a lot of", "lots of", "some", "two", "three", "a few"),
    }
)
_SENTENCES: Mapping[str | None, tuple[str, ...]] = MappingProxyType(
    {
        None: (
            *("{0}",) * 12,
            "sound of {0}",
            "sounds of {0}",
            "there is {0}",
            "there is {0} outside",
            "{0} outside",
            "{0} sound",
            "{0} sound effect",
            "{0} noise",
            "please make {0}",
            "make the sound of {0}",
            "i want to hear {0}",
            "can you play {0}",
            "play {0}",
            "a recording of {0} in the street",
            "{0} at night",
            "{0} in the morning",
            "{0} in a house",
            "{0} near me",
            "field recording of {0}",
            "high quality recording of {0}",
            "what does {0} sound like",
            "{0} all day long",
            "we are listening to {0}",
            "you can hear {0}",
        ),
        "while": (
            "{0} and {1}",
            "{0} with {1}",
            "{0} {1}",
            "{0} plus {1}",
            "{0} while there is {1}",
            "{0} during {1}",
            "{0} and also {1}",
            "both {0} and {1}",
            "{0} in front of {1}",
            "{0} as well as {1}",
            "there is {0} and {1} outside",
        ),
        "then": (
            "{0} and later {1}",
            "{0} then suddenly {1}",
            "{0} and finally {1}",
            "at first {0} and then {1}",
            "{0} until {1}",
            "{0} and afterwards {1}",
            "{0} next {1}",
        ),
    }
)
_FAR = ("{0} far away", "{0} in the distance", "{0} from far away", "distant {0}")
_ROOMS = (
    "{0} in a cave",
    "{0} in a church",
    "{0} with reverb",
    "{0} with echo",
    "{0} in a tunnel",
    "{0} in a big hall",
)
_FADES: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "in": ("{0} arriving", "{0} slowly getting louder", "{0} coming towards me", "{0} getting closer"),
        "out": ("{0} leaving", "{0} slowly getting quieter", "{0} disappearing", "{0} passing by and going away"),
    }
)
_ARTICLES = ("", "a", "a", "the", "my", "that", "this", "one")
_UNCOUNTED_ARTICLES = ("", "", "", "the", "some")
# Heard often in sentences, and no part of what is to be heard.
_AROUND = (
    "of my house",
    "in the old town",
    "on a sunny day",
    "by the road",
    "in winter",
    "behind me",
    "on the table",
    "with feeling",
    "from the kitchen",
    "in the garden",
    "at home",
    "recorded with a microphone",
    "for a film",
    "in stereo",
    "in hd",
)
_SHARE_AROUND, _SHARE_MISSPELT, _SHARE_FAR = 0.15, 0.12, 0.5
_MOST_UNKNOWN = 5  # words of one caption
_KIND_OF_MANY = "wind"
_FOREIGN = "\u00e4"  # stands for all letters that T5's tokens do not have: it makes the same of each of them
_SHARE_FOREIGN = 0.2
_SYLLABLES = (
    "ba",
    "zor",
    "kli",
    "mun",
    "tra",
    "fel",
    "gop",
    "ri",
    "sen",
    "du",
    "vix",
    "lo",
    "pak",
    "em",
    "hun",
    "sch",
    "ung",
    "ein",
    "qua",
    "ly",
    "nost",
    "bre",
    "wi",
    "jaz",
    "os",
    "ter",
    "un",
    "ig",
    "che",
    "ap",
)


def words() -> tuple[str, ...]:
    """All words that everyday captions are made of, but for misspelt and made-up ones; sorted."""
    names = [name.words for kind in KINDS for several in (False, True) for name in names_of(kind, several=several)]
    adjectives = [text for texts in _ADJECTIVES.values() for text in texts]
    sentences = [text for texts in (*_SENTENCES.values(), *_FADES.values()) for text in texts]
    every = [*names, *adjectives, *sentences, *_FAR, *_ROOMS, *_ARTICLES]
    return tuple(sorted({word for text in every for word in text.split() if "{" not in word}))


def nearest_kind(word: str) -> str:
    """The kind one of whose names is spelled most like a word; never none."""
    matcher, highest, nearest = difflib.SequenceMatcher(None, "", word), -1.0, ""
    for known, kind in _kinds_by_word().items():
        matcher.set_seq1(known)
        # Cheaper bounds of the likeness come first.
        if matcher.real_quick_ratio() > highest and matcher.quick_ratio() > highest and matcher.ratio() > highest:
            highest, nearest = matcher.ratio(), kind
    return nearest


def everyday_scene(scene: Scene) -> Scene:
    """A scene without what everyday names cannot say: that there are several, of kinds without a plural."""
    return dataclasses.replace(scene, events=tuple(_sayable(event) for event in scene.events))


def everyday_caption(scene: Scene, generator: np.random.Generator) -> str:
    """Call a scene, as `everyday_scene` gives it, by what somebody may type."""
    sounds = [_event(event, generator) for event in scene.events]
    text = _pick(_SENTENCES[scene.relation], generator).format(*sounds)
    if len(scene.events) == 1 and scene.events[0].named == {"loudness": "soft"} and generator.random() < _SHARE_FAR:
        text = _pick(_FAR, generator).format(_named(scene.events[0], (), generator))
    if scene.reverberant:
        text = _pick(_ROOMS, generator).format(text)
    if scene.fade is not None:
        text = _pick(_FADES[scene.fade], generator).format(text)
    if generator.random() < _SHARE_AROUND:
        text = f"{text} {_pick(_AROUND, generator)}"
    if generator.random() < _SHARE_MISSPELT:
        text = misspelt(text, generator)
    return text


def unknown_caption(generator: np.random.Generator) -> tuple[Scene, str]:
    """Made-up words, alone or in a sentence, and what they should sound like.

    One or two stand for the kind that is nearest to the longest of them. Of more, nobody could say what they mean, and
    the mean of many kinds is silence: they stand for wind.
    """
    made_up = [made_up_word(generator) for _ in range(int(generator.integers(1, _MOST_UNKNOWN + 1)))]
    kind = nearest_kind(max(made_up, key=len)) if len(made_up) <= 2 else _KIND_OF_MANY
    scene = Scene((Event(kind),))
    article = _pick(("", "a", "the"), generator)
    text = " ".join([article, *made_up]).strip()
    return scene, text if generator.random() < 0.6 else _pick(_SENTENCES[None], generator).format(text)


def made_up_word(generator: np.random.Generator) -> str:
    """A word in no dictionary: of syllables, of letters alone, or a name changed beyond recognition."""
    way = generator.random()
    if way < 0.45:
        word = "".join(_pick(_SYLLABLES, generator) for _ in range(int(generator.integers(1, 5))))
    elif way < 0.7:
        word = "".join(_pick(string.ascii_lowercase, generator) for _ in range(int(generator.integers(1, 11))))
    else:
        word = _pick(tuple(_kinds_by_word()), generator)
        for _ in range(int(generator.integers(2, 4))):
            word = _changed(word, generator)
    if generator.random() < _SHARE_FOREIGN:
        place = int(generator.integers(len(word)))
        word = word[:place] + _FOREIGN + word[place + 1 :]
    return word


def misspelt(text: str, generator: np.random.Generator) -> str:
    """A text with a letter of its longest word, or of any long one, wrong."""
    parts = text.split()
    long = [place for place, word in enumerate(parts) if len(word) > 3]
    if long:
        place = max(long, key=lambda place: len(parts[place])) if generator.random() < 0.5 else _pick(long, generator)
        parts[place] = _changed(parts[place], generator)
    return " ".join(parts)


@functools.cache
def _kinds_by_word() -> Mapping[str, str]:
    """The words that name one kind alone, with that kind; words of one or two letters are left out."""
    found: dict[str, set[str]] = {}
    for kind in KINDS:
        for several in (False, True):
            for name in names_of(kind, several=several):
                for word in name.words.split():
                    found.setdefault(word, set()).add(kind)
    return {word: min(kinds) for word, kinds in found.items() if len(kinds) == 1 and len(word) > 2}


def _sayable(event: Event) -> Event:
    known = event.number is None or event.number == "one" or names_of(event.kind, several=True)
    return event if known else dataclasses.replace(event, number=None)


def _event(event: Event, generator: np.random.Generator) -> str:
    adjectives = []
    for parameter, word in event.named.items():
        if parameter != "number":
            adjectives.append(_pick((*SYNONYMS[word].usual, *_ADJECTIVES[word]), generator))
    return _named(event, adjectives, generator)


def _named(event: Event, adjectives: Any, generator: np.random.Generator) -> str:
    several = event.number == "several"
    names = names_of(event.kind, several=several)
    # The bare name comes often: it is what is typed first.
    name = names[0] if generator.random() < 0.3 else _pick(names, generator)
    if several:
        article = _pick((*SYNONYMS["several"].usual, *_ADJECTIVES["several"]), generator)
    elif event.number == "one":
        article = _pick(("a", "one", "a single", "just one") if name.counted else ("",), generator)
    else:
        article = _pick(_ARTICLES if name.counted else _UNCOUNTED_ARTICLES, generator)
    text = " ".join([article, *adjectives, name.words]).strip()
    first, _, rest = text.partition(" ")
    return f"an {rest}" if first == "a" and rest[:1] in "aeiou" else text


def _changed(word: str, generator: np.random.Generator) -> str:
    place, letter = int(generator.integers(len(word))), _pick(string.ascii_lowercase, generator)
    way = generator.integers(4)
    if way == 0 and len(word) > 1:
        return word[:place] + word[place + 1 :]
    if way == 1:
        return word[:place] + letter + word[place:]
    if way == 2 and place + 1 < len(word):
        return word[:place] + word[place + 1] + word[place] + word[place + 2 :]
    return word[:place] + letter + word[place + 1 :]


def _pick(options: Any, generator: np.random.Generator) -> Any:
    return options[int(generator.integers(len(options)))]
