"""Captions of scenes: plain English in many wordings, some of which are held out of training.

Three things are held out: ways to call a kind, adjectives and sentence patterns, which are the second half of
each `Wording`; and some combinations of a kind and a word, such as a low string, which captions for training leave
unsaid where the sound has them. Every word of a held-out wording occurs in training captions.
"""

import dataclasses
import re
import zlib
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Any

import numpy as np

from examples.foley.world.kinds import KINDS, WORDS, Wording
from examples.foley.world.sounds import Event, Scene

# The two words of a parameter have equally many synonyms, and in the same order, so that pairs differ in them alone.
SYNONYMS: Mapping[str, Wording] = MappingProxyType(
    {
        "low": Wording(("low", "deep", "low pitched"), ("low and deep",)),
        "high": Wording(("high", "shrill", "high pitched"), ("high and shrill",)),
        "slow": Wording(("slow", "unhurried", "leisurely"), ("slow and unhurried",)),
        "fast": Wording(("fast", "quick", "rapid"), ("fast and quick",)),
        "soft": Wording(("soft", "quiet", "faint"), ("soft and quiet",)),
        "loud": Wording(("loud", "strong", "powerful"), ("loud and strong",)),
        "falling": Wording(("falling", "descending", "downward"), ("falling and descending",)),
        "rising": Wording(("rising", "ascending", "upward"), ("rising and ascending",)),
        "short": Wording(("short", "brief"), ("short and brief",)),
        "long": Wording(("long", "drawn out"), ("long and drawn out",)),
        "one": Wording(("a", "one", "a single", "just one"), ("just a single",)),
        "several": Wording(("several", "multiple", "repeated", "a number of"), ("a large number of",)),
    }
)
_PATTERNS: Mapping[str | None, Wording] = MappingProxyType(
    {
        None: Wording(
            (
                "{0}",
                "{0}",
                "the sound of {0}",
                "a recording of {0}",
                "{0} can be heard",
                "listen to {0}",
                "i hear {0}",
                "this is {0}",
            ),
            ("this is the sound of {0}", "listen to a recording of {0}", "i hear the sound of {0}"),
        ),
        "while": Wording(
            (
                "{0} while {1} can be heard",
                "{0} with {1} in the background",
                "{0} and {1}",
                "{0} together with {1}",
                "{0} at the same time as {1}",
                "{0} over the sound of {1}",
            ),
            ("{0} together with {1} in the background", "{0} and at the same time {1}"),
        ),
        "then": Wording(
            (
                "{0} then {1}",
                "{0} followed by {1}",
                "first {0} then {1}",
                "{0} and then {1}",
                "{0} and after that {1}",
                "{0} before {1}",
            ),
            ("first {0} followed by {1}", "first {0} and after that {1}"),
        ),
    }
)
_LARGE_ROOM = Wording(
    ("{0} in a large hall", "{0} with a long echo", "{0} echoing", "{0} in a huge room"),
    ("{0} echoing in a huge room", "{0} with an echo in a large hall"),
)
_FADES: Mapping[str, Wording] = MappingProxyType(
    {
        "in": Wording(
            ("{0} coming closer", "{0} getting louder", "{0} fading in", "{0} approaching"),
            ("{0} coming closer and getting louder",),
        ),
        "out": Wording(
            ("{0} going away", "{0} getting softer", "{0} fading away", "{0} fading out"),
            ("{0} going away and getting softer",),
        ),
    }
)
_ARTICLES = {"a": "a", "an": "a", "the": "the"}  # as they stand until it is known what follows
_SHARE_OF_ADJECTIVES_BEHIND = 0.15  # "a bell sounding low", where it is otherwise "a low bell"
# "A low and loud bell", where it is otherwise "a low loud bell". Held-out captions join synonyms so, and encoders that
# meet "and" in front of a noun between two sounds alone take such a bell for two.
_SHARE_OF_ADJECTIVES_JOINED = 0.5

# Their speed is a slow turn of pitch or level, without attacks that one could count.
_WITHOUT_ATTACKS = ("wail", "waves")


def caption(scene: Scene, generator: np.random.Generator, *, held_out: bool = False) -> str:
    """Put a scene into words.

    Args:
        scene: what is heard. For training, its words that are held-out combinations are left unsaid.
        generator: source of the choice among wordings.
        held_out: whether the caption is for evaluation: it then has at least one held-out wording or combination.
    """
    return _Writer(scene, generator, held_out).write()


def held_out_combination(event: Event) -> bool:
    """Whether an event's words, with its kind, are among the combinations that training captions never hold."""
    return any(_held_out_word(event.kind, parameter) == word for parameter, word in event.named.items())


def pitch_pair(generator: np.random.Generator, *, held_out: bool = False) -> tuple[str, str]:
    """Two captions of one sound that differ in a pitch word alone: low, high."""
    low, high = contrasting_scenes(generator, "pitch")
    return _alike(low, high, generator, held_out)


def speed_pair(generator: np.random.Generator, *, held_out: bool = False) -> tuple[str, str]:
    """Two captions of one sound with countable attacks that differ in a speed word alone: slow, fast."""
    slow, fast = contrasting_scenes(generator, "speed")
    return _alike(slow, fast, generator, held_out)


def contrasting_scenes(generator: np.random.Generator, parameter: str) -> tuple[Scene, Scene]:
    """Two scenes of one kind whose named parameter has its lower and its upper word; neither combination is held out.

    Raises:
        ValueError: when there is no such parameter.
    """
    if parameter not in WORDS:
        raise ValueError(f"parameter = {parameter!r}; expected one of {', '.join(WORDS)}")
    kinds = [
        name
        for name, kind in KINDS.items()
        if parameter in kind.parameters and _held_out_word(name, parameter) is None
        if parameter != "speed" or name not in _WITHOUT_ATTACKS
    ]
    kind = str(generator.choice(kinds))
    words: tuple[Any, Any] = WORDS[parameter]
    lower, upper = (Scene((dataclasses.replace(Event(kind), **{parameter: word}),)) for word in words)
    return lower, upper


def vocabulary() -> tuple[str, ...]:
    """All words that captions can hold, sorted."""
    wordings = [*SYNONYMS.values(), *_PATTERNS.values(), *_FADES.values(), _LARGE_ROOM, *_names()]
    texts = ["a an and sounding", *(text for wording in wordings for text in (*wording.usual, *wording.held_out))]
    return tuple(sorted({word for text in texts for word in re.findall("[a-z]+", text)}))


def _names() -> Iterable[Wording]:
    for kind in KINDS.values():
        yield from (wording for wording in (kind.phrases, kind.one, kind.several) if wording is not None)


def _held_out_word(kind: str, parameter: str) -> str | None:
    """The word of a parameter that is held out for a kind, for a fifth of all kinds and parameters."""
    chance = zlib.crc32(f"{kind} {parameter}".encode())
    return WORDS[parameter][chance // 5 % 2] if chance % 5 == 0 else None


def _alike(first: Scene, second: Scene, generator: np.random.Generator, held_out: bool) -> tuple[str, str]:
    """Captions of two scenes that make the same choices among wordings."""
    seed = generator.integers(2**32)
    first_text, second_text = (
        caption(scene, np.random.default_rng(seed), held_out=held_out) for scene in (first, second)
    )
    return first_text, second_text


class _Writer:
    """Chooses among wordings; in a held-out caption one choice, taken at random, is made among held-out ones."""

    def __init__(self, scene: Scene, generator: np.random.Generator, held_out: bool) -> None:
        self.scene, self.generator = scene, generator
        self.words = [
            {
                parameter: word
                for parameter, word in event.named.items()
                if held_out or not _is_held_out(event, parameter)
            }
            for event in scene.events
        ]
        self.held_out_choice: tuple | None = self._pick(self._choices()) if held_out else None

    def write(self) -> str:
        """The caption."""
        events = [self._event(index) for index in range(len(self.scene.events))]
        text = self._say(_PATTERNS[self.scene.relation], ("pattern",)).format(*events)
        if self.scene.reverberant:
            text = self._say(_LARGE_ROOM, ("room",)).format(text)
        if self.scene.fade is not None:
            text = self._say(_FADES[self.scene.fade], ("fade",)).format(text)
        return re.sub(r"\ba(?= [aeiou])", "an", text)

    def _choices(self) -> list[tuple]:
        choices: list[tuple] = [("pattern",)]
        choices += [("room",)] if self.scene.reverberant else []
        choices += [("fade",)] if self.scene.fade else []
        for index, (event, words) in enumerate(zip(self.scene.events, self.words, strict=True)):
            choices += [("name", index), *(("word", index, parameter) for parameter in words)]
            # A combination is held out by itself, whatever its wording.
            choices += [("combination",)] if held_out_combination(event) else []
        return choices

    def _event(self, index: int) -> str:
        kind, words = KINDS[self.scene.events[index].kind], self.words[index]
        adjectives = [
            self._say(SYNONYMS[word], ("word", index, parameter))
            for parameter, word in words.items()
            if parameter != "number"
        ]
        self.generator.shuffle(adjectives)
        names = {None: kind.phrases, "one": kind.one, "several": kind.several}[words.get("number")]
        assert names is not None  # a kind whose number can be named has nouns for it
        name = self._say(names, ("name", index))
        article, _, rest = name.partition(" ")
        before, name = ([_ARTICLES[article]], rest) if article in _ARTICLES else ([], name)
        if "number" in words:
            before = [self._say(SYNONYMS[words["number"]], ("word", index, "number"))]
        if adjectives and self.generator.random() < _SHARE_OF_ADJECTIVES_BEHIND:
            return " ".join([*before, name, "sounding", " and ".join(adjectives)])
        # Not in held-out captions, so that what is evaluated stays the same.
        is_for_training = self.held_out_choice is None
        if is_for_training and len(adjectives) > 1 and self.generator.random() < _SHARE_OF_ADJECTIVES_JOINED:
            adjectives = [" and ".join(adjectives)]
        return " ".join([*before, *adjectives, name])

    def _say(self, wording: Wording, choice: tuple) -> str:
        return self._pick(wording.held_out if choice == self.held_out_choice else wording.usual)

    def _pick(self, options):
        return options[self.generator.integers(len(options))]


def _is_held_out(event: Event, parameter: str) -> bool:
    return _held_out_word(event.kind, parameter) == event.named[parameter]
