"""Scenes of one or two sounds: described in words, drawn at random, rendered as 16 kHz mono.

    scene = random_scene(generator)
    waveform = render(scene, generator, duration_in_s=5.0)

What an `Event` or `Scene` leaves open is drawn when it is rendered; the same scene and the same state of the generator
give the same samples.
"""

import dataclasses
from typing import Any, Literal

import numpy as np
import scipy.signal
from jaxtyping import Float, Float32

from examples.foley.world.clips import SAMPLING_RATE
from examples.foley.world.kinds import KINDS, WORDS, known_kind
from examples.foley.world.synthesis import Performance, Sound, dying, noise

# A word names a quarter at one end of its parameter's range; the half between stays nameless.
_RANGES = {"lower": (0.0, 0.25), "upper": (0.75, 1.0), "whole": (0.0, 1.0)}
_NAMED_SHARE = 0.4
_NAMED_NUMBER_SHARE = 0.6

_LOUDEST_RMS = 0.2  # of the parts that sound
_LOUDNESS_RANGE_DB = 16.0  # so that loud is on average 12 dB above soft
_EVENT_PEAK = 0.85
_PEAK = 0.9
_BACKGROUND_DB = -4.0  # of the second of two simultaneous events, which captions put in the background
_FADE_DB = -24.0
_EDGE_S = 0.01
_SHORTEST_S = 1.0
_ROOM = ((100.0, -12.0), (300.0, 0.0), (2500.0, -2.0), (8000.0, -12.0))


@dataclasses.dataclass(frozen=True)
class Event:
    """One sound. A parameter that is None is left open; a word names a range of it.

    Raises:
        ValueError: when the kind is unknown, a kind does not have a parameter, or a parameter does not have a word.
    """

    kind: str
    pitch: Literal["low", "high"] | None = None
    speed: Literal["slow", "fast"] | None = None
    loudness: Literal["soft", "loud"] | None = None
    direction: Literal["falling", "rising"] | None = None
    length: Literal["short", "long"] | None = None
    number: Literal["one", "several"] | None = None

    def __post_init__(self) -> None:
        parameters = known_kind(self.kind).parameters
        for parameter, word in self.named.items():
            if parameter not in parameters:
                known = ", ".join(parameters)
                raise ValueError(f"{parameter} = {word!r} means nothing for {self.kind!r}, which knows only {known}")
            if word not in WORDS[parameter]:
                raise ValueError(f"{parameter} = {word!r}; expected None or one of {', '.join(WORDS[parameter])}")

    @property
    def named(self) -> dict[str, str]:
        """The parameters that are not left open, with their words."""
        return {parameter: word for parameter in WORDS if (word := getattr(self, parameter)) is not None}


@dataclasses.dataclass(frozen=True)
class Scene:
    """One event, or two at once ("while") or one after the other ("then"), in a room and with a movement.

    Attributes:
        events: one, or two where there is a relation.
        relation: how two events lie in time.
        reverberant: whether the room is large.
        fade: whether everything comes closer ("in") or goes away ("out").

    Raises:
        ValueError: when the number of events does not fit the relation, or a relation or fade is unknown.
    """

    events: tuple[Event, ...]
    relation: Literal["while", "then"] | None = None
    reverberant: bool = False
    fade: Literal["in", "out"] | None = None

    def __post_init__(self) -> None:
        if self.relation not in (None, "while", "then"):
            raise ValueError(f"relation = {self.relation!r}; expected None, 'while' or 'then'")
        if self.fade not in (None, "in", "out"):
            raise ValueError(f"fade = {self.fade!r}; expected None, 'in' or 'out'")
        expected = 1 if self.relation is None else 2
        if len(self.events) != expected:
            raise ValueError(f"{len(self.events)} events with relation = {self.relation!r}; expected {expected}")


def random_event(generator: np.random.Generator, kind: str | None = None) -> Event:
    """An event of a kind, or of any kind, with some of its parameters named.

    Raises:
        ValueError: when the kind is unknown.
    """
    kind = str(generator.choice(list(KINDS))) if kind is None else kind
    words: dict[str, Any] = {}
    for parameter in known_kind(kind).parameters:
        share = _NAMED_NUMBER_SHARE if parameter == "number" else _NAMED_SHARE
        if generator.random() < share:
            words[parameter] = WORDS[parameter][generator.integers(2)]
    return Event(kind, **words)


def random_scene(generator: np.random.Generator) -> Scene:
    """A scene: 65% are one event, 20% two at once, 15% one after the other.

    Two events are of different kinds. Only sounds that begin somewhere are put in a large room, and only sounds that go
    on fade; otherwise nobody could hear it.
    """
    relation = generator.choice(np.array([None, "while", "then"], object), p=[0.65, 0.2, 0.15])
    names = generator.choice(list(KINDS), 1 if relation is None else 2, replace=False)
    events = tuple(random_event(generator, str(name)) for name in names)
    kinds = [KINDS[event.kind] for event in events]
    reverberant = bool(generator.random() < 0.25) and not all(kind.steady for kind in kinds)
    fade = None
    if generator.random() < 0.2 and relation != "then" and all(kind.one is None for kind in kinds):
        fade = "in" if generator.random() < 0.5 else "out"
    return Scene(events, relation, reverberant, fade)


def render(
    scene: Scene, generator: np.random.Generator, *, duration_in_s: float, sampling_rate: int = SAMPLING_RATE
) -> Float32[np.ndarray, " samples"]:
    """The sound of a scene: ``round(duration_in_s * sampling_rate)`` samples, none beyond 0.9.

    Args:
        scene: what is heard.
        generator: source of all that the scene leaves open.
        duration_in_s: seconds, at least 1. Sounds that repeat or go on fill it; the others happen somewhere in it.
        sampling_rate: samples per second, at least 16000.

    Raises:
        ValueError: when the duration is under a second, or the sampling rate under 16000.
    """
    if not _SHORTEST_S <= duration_in_s < np.inf:
        raise ValueError(f"duration_in_s = {duration_in_s}; expected at least {_SHORTEST_S:g} s")
    if sampling_rate < SAMPLING_RATE:
        raise ValueError(
            f"sampling_rate = {sampling_rate}; expected at least {SAMPLING_RATE}: the sounds reach 7.5 kHz"
        )
    samples = round(duration_in_s * sampling_rate)
    if scene.relation == "then":
        cut = round(samples * generator.uniform(0.42, 0.58))
        parts = [
            _event(event, generator, length, sampling_rate)
            for event, length in zip(scene.events, (cut, samples - cut), strict=True)
        ]
        waveform = np.concatenate(parts)
    else:
        waveform = _event(scene.events[0], generator, samples, sampling_rate)
        for event in scene.events[1:]:
            waveform += _gain(_BACKGROUND_DB) * _event(event, generator, samples, sampling_rate)
    if scene.reverberant:
        waveform = _in_large_room(waveform, generator, sampling_rate)
    if scene.fade is not None:
        decibels = np.linspace(_FADE_DB, 0.0, samples, dtype=np.float32)
        waveform *= _gain(decibels if scene.fade == "in" else decibels[::-1])
    return waveform * np.float32(min(1.0, _PEAK / max(np.abs(waveform).max(), 1e-9)))


def _event(event: Event, generator: np.random.Generator, samples: int, rate: int) -> Sound:
    """One event at its own loudness, with soft edges."""
    place = {parameter: _position(event, parameter, generator) for parameter in WORDS}
    performance = Performance(
        samples=samples,
        rate=rate,
        generator=generator,
        pitch=place["pitch"],
        speed=place["speed"],
        length=place["length"],
        direction=2.0 * place["direction"] - 1.0,
        several=place["number"] > 0.5,
    )
    sound = KINDS[event.kind].synthesise(performance)
    gain = min(_LOUDEST_RMS / _sounding_rms(sound, rate), _EVENT_PEAK / np.abs(sound).max())
    sound = sound * (gain * _gain(_LOUDNESS_RANGE_DB * (place["loudness"] - 1.0)))
    edge = np.linspace(0.0, 1.0, round(_EDGE_S * rate), dtype=np.float32)
    sound[: len(edge)] *= edge
    sound[-len(edge) :] *= edge[::-1]
    return sound.astype(np.float32, copy=False)


def _position(event: Event, parameter: str, generator: np.random.Generator) -> float:
    """Where a parameter lies between the extremes of its kind, from 0 to 1."""
    word = getattr(event, parameter)
    where = "whole" if word is None else ("lower", "upper")[WORDS[parameter].index(word)]
    return generator.uniform(*_RANGES[where])


def _gain(decibels: float | Float[np.ndarray, " samples"]) -> Float32[np.ndarray, "..."]:
    return np.power(10.0, np.asarray(decibels) / 20.0, dtype=np.float32)


def _sounding_rms(sound: Sound, rate: int) -> float:
    """Root mean square over the stretches of 20 ms that are within 20 dB of the loudest."""
    frame = rate // 50
    powers = np.mean(np.square(sound[: len(sound) // frame * frame].reshape(-1, frame)), axis=1)
    return float(np.sqrt(np.mean(powers[powers >= 0.01 * powers.max()])))


def _in_large_room(sound: Sound, generator: np.random.Generator, rate: int) -> Sound:
    """The sound, and what exponentially decaying noise makes of it as an impulse response."""
    seconds = generator.uniform(1.4, 2.6)
    length = min(len(sound), round(0.8 * seconds * rate))
    response = noise(generator, length, rate, _ROOM) * dying(length, rate, seconds)
    response[: round(0.02 * rate)] = 0.0  # the walls are some metres away
    response /= np.sqrt(np.sum(response * response))
    return 0.7 * sound + 0.6 * scipy.signal.fftconvolve(sound, response)[: len(sound)]
