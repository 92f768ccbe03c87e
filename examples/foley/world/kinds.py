"""The kinds of sound there are: how each is made, which words its parameters have, and what it is called."""

import dataclasses
from collections.abc import Callable, Mapping
from types import MappingProxyType

from examples.foley.world import kinds_animals, kinds_machines, kinds_noise, kinds_struck, kinds_tonal
from examples.foley.world.synthesis import Performance, Sound

WORDS: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "pitch": ("low", "high"),
        "speed": ("slow", "fast"),
        "loudness": ("soft", "loud"),
        "direction": ("falling", "rising"),
        "length": ("short", "long"),
        "number": ("one", "several"),
    }
)
"""Every parameter with the two words for its lower and upper range; the words of captions are synonyms of these."""


@dataclasses.dataclass(frozen=True)
class Wording:
    """Ways to say one thing: those that captions for training use, and those kept from them.

    What is held out is made of words that training captions hold elsewhere, so it asks to compose, not to guess.
    """

    usual: tuple[str, ...]
    held_out: tuple[str, ...]


@dataclasses.dataclass(frozen=True)
class Kind:
    """One kind of sound.

    Attributes:
        synthesise: makes it.
        parameters: those of `WORDS` that change it.
        phrases: what it is called where its number is not said; adjectives go in front, but behind an article.
        one, several: nouns for kinds whose number can be said, without an article.
    """

    synthesise: Callable[[Performance], Sound]
    parameters: tuple[str, ...]
    phrases: Wording
    one: Wording | None = None
    several: Wording | None = None

    @property
    def steady(self) -> bool:
        """Whether it goes on without a beginning or an end in it, so that no reverberation is heard."""
        return "speed" not in self.parameters and "number" not in self.parameters


_KINDS = {
    "tone": Kind(
        kinds_tonal.tone,
        ("pitch", "loudness"),
        Wording(("a tone", "a steady tone", "a pure tone", "a steady note"), ("a pure steady tone", "a pure note")),
    ),
    "organ": Kind(
        kinds_tonal.organ,
        ("pitch", "loudness"),
        Wording(
            ("an organ", "an organ chord", "a church organ", "organ music"),
            ("church organ music", "a church organ chord"),
        ),
    ),
    "sweep": Kind(
        kinds_tonal.sweep,
        ("pitch", "loudness", "direction", "length", "number"),
        Wording(("tone sweeping", "the sweeping of a tone", "the gliding of a tone"), ("tone gliding",)),
        one=Wording(("sweep", "glide", "sweeping tone"), ("gliding tone",)),
        several=Wording(("sweeps", "glides", "sweeping tones"), ("gliding tones",)),
    ),
    "whistle": Kind(
        kinds_tonal.whistle,
        ("pitch", "loudness", "direction", "length", "number"),
        Wording(("whistling", "the whistling of a person", "the whistling of a note"), ("the whistling of a tone",)),
        one=Wording(("whistle", "whistled note", "whistle of a person"), ("whistled tone",)),
        several=Wording(("whistles", "whistled notes", "whistles of a person"), ("whistled tones",)),
    ),
    "horn": Kind(
        kinds_tonal.horn,
        ("pitch", "loudness", "length", "number"),
        Wording(("honking", "car honking", "the honking of a car"), ("the honking of a horn",)),
        one=Wording(("car horn", "honk", "honk of a car"), ("honk of a horn",)),
        several=Wording(("car horns", "honks", "honks of a car"), ("honks of a horn",)),
    ),
    "siren": Kind(
        kinds_tonal.siren,
        ("pitch", "speed", "loudness"),
        Wording(
            ("a two tone siren", "an ambulance siren", "the siren of an ambulance", "an ambulance"),
            ("a two tone ambulance siren", "the two tone siren of an ambulance"),
        ),
    ),
    "wail": Kind(
        kinds_tonal.wail,
        ("pitch", "speed", "loudness"),
        Wording(
            ("a wailing siren", "a police siren", "the wailing of a siren", "the siren of the police"),
            ("a wailing police siren", "the wailing of a police siren"),
        ),
    ),
    "alarm": Kind(
        kinds_tonal.alarm,
        ("pitch", "speed", "loudness"),
        Wording(
            ("an alarm", "a beeping alarm", "the beeping of an alarm", "electronic beeping"),
            ("an electronic alarm", "the electronic beeping of an alarm"),
        ),
    ),
    "phone": Kind(
        kinds_tonal.phone,
        ("pitch", "loudness"),
        Wording(
            ("a ringing phone", "a telephone", "a phone ringing", "the ringing of a telephone"),
            ("a ringing telephone", "the ringing of a phone"),
        ),
    ),
    "zap": Kind(
        kinds_tonal.zap,
        ("pitch", "loudness", "direction", "number"),
        Wording(("laser shooting", "the zapping of a laser", "the shooting of a laser"), ("laser zapping",)),
        one=Wording(("zap", "laser zap", "laser shot"), ("shot of a laser",)),
        several=Wording(("zaps", "laser zaps", "laser shots"), ("shots of a laser",)),
    ),
    "bell": Kind(
        kinds_struck.bell,
        ("pitch", "loudness", "length", "number"),
        Wording(
            ("bell ringing", "the ringing of a bell", "hand bell ringing"),
            ("the ringing of a hand bell", "small bell ringing"),
        ),
        one=Wording(("bell", "hand bell", "small bell"), ("small hand bell",)),
        several=Wording(("bells", "hand bells", "small bells"), ("small hand bells",)),
    ),
    "church bell": Kind(
        kinds_struck.church_bell,
        ("loudness", "number"),
        Wording(
            ("church bell tolling", "the tolling of a church bell", "tower bell tolling"),
            ("the tolling of a tower bell",),
        ),
        one=Wording(("church bell", "tower bell", "big church bell"), ("big tower bell",)),
        several=Wording(("church bells", "tower bells", "big church bells"), ("big tower bells",)),
    ),
    "music box": Kind(
        kinds_struck.music_box,
        ("pitch", "speed", "loudness"),
        Wording(
            ("a music box", "the tune of a music box", "a tinkling tune", "the tinkling of a music box"),
            ("a tinkling music box", "the tinkling tune of a music box"),
        ),
    ),
    "string": Kind(
        kinds_struck.string,
        ("pitch", "loudness", "number"),
        Wording(
            ("the plucking of a string", "guitar plucking", "string plucking"),
            ("the plucking of a guitar string", "the plucking of a guitar"),
        ),
        one=Wording(("plucked string", "guitar string", "guitar note"), ("plucked guitar string",)),
        several=Wording(("plucked strings", "guitar strings", "guitar notes"), ("plucked guitar strings",)),
    ),
    "coin": Kind(
        kinds_struck.coin,
        ("loudness", "number"),
        Wording(("coin clinking", "the clinking of a coin", "coin bouncing"), ("the bouncing of a coin",)),
        one=Wording(("coin", "dropped coin", "clink of a coin"), ("bouncing coin",)),
        several=Wording(("coins", "dropped coins", "clinks of a coin"), ("bouncing coins",)),
    ),
    "clock": Kind(
        kinds_struck.clock,
        ("speed", "loudness"),
        Wording(
            ("a clock", "a ticking clock", "the ticking of a clock", "a ticking watch"),
            ("clock ticking", "the ticking of a watch"),
        ),
    ),
    "knocks": Kind(
        kinds_struck.knocks,
        ("loudness", "number"),
        Wording(("knocking", "knocking on wood", "knocking on a door"), ("knocking on a wooden door",)),
        one=Wording(("knock on wood", "knock on a door", "wooden knock"), ("knock on a wooden door",)),
        several=Wording(("knocks on wood", "knocks on a door", "wooden knocks"), ("knocks on a wooden door",)),
    ),
    "footsteps": Kind(
        kinds_struck.footsteps,
        ("speed", "loudness"),
        Wording(
            ("footsteps", "steps", "footsteps on gravel", "walking on gravel"), ("steps on gravel", "walking steps")
        ),
    ),
    "bass drum": Kind(
        kinds_struck.bass_drum,
        ("speed", "loudness"),
        Wording(
            ("a bass drum", "the beat of a bass drum", "a big drum", "the beating of a big drum"),
            ("a big bass drum", "the beating of a bass drum"),
        ),
    ),
    "snare drum": Kind(
        kinds_struck.snare,
        ("speed", "loudness"),
        Wording(
            ("a snare drum", "a snare", "hits on a snare drum", "the beating of a snare drum"),
            ("the beat of a snare drum", "a beating snare drum"),
        ),
    ),
    "shaker": Kind(
        kinds_struck.shaker,
        ("speed", "loudness"),
        Wording(
            ("a shaker", "a maraca", "the shaking of a maraca", "a hi hat"),
            ("a shaking maraca", "the shaking of a shaker"),
        ),
    ),
    "creak": Kind(
        kinds_struck.creak,
        ("loudness", "length", "number"),
        Wording(("creaking", "the creaking of a door", "squeaking door"), ("the squeaking of a door",)),
        one=Wording(("creak", "squeak", "creak of a door"), ("squeak of a door",)),
        several=Wording(("creaks", "squeaks", "creaks of a door"), ("squeaks of a door",)),
    ),
    "rain": Kind(
        kinds_noise.rain,
        ("loudness",),
        Wording(
            ("rain", "rainfall", "rain on a roof", "drops of rain"), ("drops of rain on a roof", "rainfall on a roof")
        ),
    ),
    "wind": Kind(
        kinds_noise.wind,
        ("pitch", "loudness"),
        Wording(
            ("wind", "a howling wind", "the howling of the wind", "gusts of wind"),
            ("howling gusts of wind", "gusts of a howling wind"),
        ),
    ),
    "waves": Kind(
        kinds_noise.waves,
        ("speed", "loudness"),
        Wording(
            ("ocean waves", "waves on a beach", "waves of the sea", "surf"),
            ("ocean waves on a beach", "surf on a beach"),
        ),
    ),
    "thunder": Kind(
        kinds_noise.thunder,
        ("loudness", "length", "number"),
        Wording(("thunder", "rumbling thunder", "the rumbling of thunder"), ("thunder rumbling",)),
        one=Wording(("thunder clap", "clap of thunder", "rumble of thunder"), ("thunder rumble",)),
        several=Wording(("thunder claps", "claps of thunder", "rumbles of thunder"), ("thunder rumbles",)),
    ),
    "static": Kind(
        kinds_noise.static,
        ("loudness",),
        Wording(
            ("static", "radio static", "the noise of a radio", "the hissing of a radio"),
            ("hissing static", "static noise"),
        ),
    ),
    "applause": Kind(
        kinds_noise.applause,
        ("loudness",),
        Wording(
            ("applause", "clapping", "a clapping crowd", "applause of a crowd"),
            ("the clapping of a crowd", "crowd clapping"),
        ),
    ),
    "fire": Kind(
        kinds_noise.fire,
        ("loudness",),
        Wording(
            ("a fire", "a crackling fire", "the crackling of a fire", "burning wood"),
            ("a burning fire", "the crackling of burning wood"),
        ),
    ),
    "bubbles": Kind(
        kinds_noise.bubbles,
        ("speed", "loudness"),
        Wording(("bubbles", "bubbling", "bubbling water", "bubbles in water"), ("bubbling in water", "water bubbles")),
    ),
    "hum": Kind(
        kinds_machines.hum,
        ("loudness",),
        Wording(
            ("humming", "an electric hum", "the humming of a wire", "a buzzing wire"),
            ("a humming wire", "electric humming"),
        ),
    ),
    "engine": Kind(
        kinds_machines.engine,
        ("pitch", "loudness"),
        Wording(
            ("an engine", "a running engine", "a motor", "the running of a motor"),
            ("a running motor", "the running of an engine"),
        ),
    ),
    "helicopter": Kind(
        kinds_machines.helicopter,
        ("speed", "loudness"),
        Wording(
            ("a helicopter", "a propeller", "the rotor of a helicopter", "propeller blades"),
            ("helicopter blades", "rotor blades"),
        ),
    ),
    "birds": Kind(
        kinds_animals.birds,
        ("pitch", "speed", "loudness"),
        Wording(
            ("birds", "chirping birds", "the chirping of a bird", "a singing bird"),
            ("the singing of a bird", "a chirping bird"),
        ),
    ),
    "crickets": Kind(
        kinds_animals.crickets,
        ("speed", "loudness"),
        Wording(
            ("crickets", "chirping crickets", "the chirping of crickets", "insects at night"),
            ("the chirping of insects", "crickets at night"),
        ),
    ),
    "frog": Kind(
        kinds_animals.frog,
        ("pitch", "loudness", "number"),
        Wording(("croaking", "the croaking of a frog", "frog croaking"), ("the croaking of frogs",)),
        one=Wording(("frog", "croak", "croaking frog"), ("croak of a frog",)),
        several=Wording(("frogs", "croaks", "croaking frogs"), ("croaks of a frog",)),
    ),
}

KINDS: Mapping[str, Kind] = MappingProxyType(_KINDS)


def known_kind(name: str) -> Kind:
    """The kind of a name.

    Raises:
        ValueError: when there is no such kind.
    """
    if name not in KINDS:
        raise ValueError(f"kind = {name!r} is unknown; expected one of {', '.join(KINDS)}")
    return KINDS[name]
