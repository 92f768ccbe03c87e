"""What people type: bare names, other names, names of things that are not known, in sentences of their own.

`captions` describes a scene with care, in few words. Here the same scene is called by whatever somebody may call it.
What has no sound here is called by the kind that comes nearest: a truck by an engine, a piano by a music box. Words that
nobody knows stand for the kind whose name is spelled most like them (`nearest_kind`).
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
from examples.foley.world.sounds import Event, Scene

# Names in the singular, "a" in front where they can be counted; then in the plural, for scenes of several.
_NAMES: Mapping[str, tuple[str, str]] = MappingProxyType(
    {
        "tone": ("a tone, a note, a sine wave, a sine tone, a steady beep, a test tone, a pitch, a single note", ""),
        "organ": (
            "an organ, a pipe organ, organ, a chord, chords, a choir, a violin, a cello, an accordion, a synthesizer, "
            "a synth, a harmonica, an orchestra, strings playing",
            "",
        ),
        "sweep": (
            "a sweep, a tone sweep, a whoosh, a swoosh, a slide, a glissando, a spaceship, a ufo, a frequency sweep",
            "sweeps, whooshes, slides, spaceships",
        ),
        "whistle": (
            "a whistle, someone whistling, a person whistling, a man whistling, a flute, a recorder, a voice, a man, "
            "a woman, a person, a man speaking, a woman talking, speech, talking, laughing, a kettle",
            "whistles, flutes, voices, people, people talking",
        ),
        "horn": (
            "a horn, a car horn, a truck horn, a train horn, a honk, a trumpet, a saxophone, a trombone, a foghorn, a "
            "ship horn, beeping cars, a tuba",
            "horns, car horns, honks, trumpets",
        ),
        "siren": ("a siren, sirens, an ambulance siren, a fire truck, a fire engine, an emergency siren", ""),
        "wail": (
            "a wail, wailing, a police siren, police, a police car, a wailing sound, a crying baby, a baby crying, "
            "crying, screaming, howling dogs",
            "",
        ),
        "alarm": (
            "an alarm, a beep, beeps, beeping, a smoke alarm, a fire alarm, a car alarm, an alarm clock, a buzzer, a "
            "microwave, a truck backing up, a high beep, electronic beeps, a digital watch",
            "",
        ),
        "phone": (
            "a phone, a telephone, a phone call, a ringing telephone line, a mobile phone, a cell phone, a ringtone, "
            "an old telephone, a smartphone, ringing phone",
            "",
        ),
        "zap": (
            "a zap, a laser, a laser gun, a ray gun, a blaster, a robot, a video game, a science fiction gun, an "
            "electric zap, a pew",
            "zaps, lasers, laser guns, robots, video games",
        ),
        "bell": (
            "a bell, a door bell, a doorbell, a bicycle bell, a chime, a small bell, a service bell, a cow bell, a "
            "ding, a glass, a triangle",
            "bells, chimes, wind chimes, jingle bells, sleigh bells, glasses",
        ),
        "church bell": (
            "a church bell, a tower bell, a big bell, a gong, a cathedral bell, a bell tower, a church",
            "church bells, cathedral bells, gongs, big bells",
        ),
        "music box": (
            "a music box, a tune, a melody, a song, music, a lullaby, a piano, a xylophone, a glockenspiel, jazz piano, "
            "piano music, a toy, a keyboard, jazz, rock music, pop music",
            "",
        ),
        "string": (
            "a string, a plucked string, a guitar, an acoustic guitar, a harp, a banjo, a ukulele, a bass guitar, a "
            "guitar string, a lute, a sitar",
            "strings, plucked strings, guitars, guitar notes, harps",
        ),
        "coin": (
            "a coin, a falling coin, a coin drop, money, a key, keys, breaking glass, a metal clink, a dropped spoon, "
            "cutlery, dishes",
            "coins, falling coins, metal clinks, spoons",
        ),
        "clock": (
            "a clock, a watch, a wall clock, tick tock, a ticking sound, ticking, a metronome, a timer, typing, a "
            "typewriter, a mouse click, clicking, a stopwatch",
            "",
        ),
        "knocks": (
            "a knock, a door knock, someone knocking, knocking at the door, a hammer, hammering, a woodpecker, a bump, "
            "a thump, a wooden block, someone at the door",
            "knocks, door knocks, hammers, bumps, thumps, knocks at the door",
        ),
        "footsteps": (
            "footsteps, a footstep, footstep, walking, a person walking, someone walking, running, feet, a horse, "
            "hooves, galloping, jogging, steps on snow, shoes, marching, footsteps on snow, footsteps on leaves",
            "",
        ),
        "bass drum": (
            "a bass drum, a kick drum, a kick, a drum, drums, a heartbeat, a heart beating, a timpani, drumming, a "
            "tom, a taiko drum",
            "",
        ),
        "snare drum": (
            "a snare drum, a snare, a drum roll, a marching drum, a gunshot, a gun, shooting guns, gun shots, a drum "
            "kit, a beat, a firecracker, fireworks",
            "",
        ),
        "shaker": (
            "a shaker, maracas, a hi hat, a cymbal, cymbals, a tambourine, a rattle, a rattlesnake, rustling leaves, "
            "an egg shaker, a snake, shaking",
            "",
        ),
        "creak": (
            "a creak, a creaking door, a squeaky door, a door, a door opening, a squeak, an old door, a wooden floor, "
            "a rusty hinge, a mouse, a closing door, a chair",
            "creaks, creaking doors, squeaks, doors, mice",
        ),
        "rain": (
            "rain, a rain shower, a downpour, rain on a window, rain on a tin roof, rain falling, raining, drizzle, a "
            "shower, raindrops, rain drops, a waterfall, frying, sizzling",
            "",
        ),
        "wind": ("wind, a breeze, the wind blowing, a gust, a blizzard, air, windy weather, a draft, breathing", ""),
        "waves": (
            "waves, a wave, the ocean, the sea, the beach, waves crashing, sea waves, a beach, the shore, an ocean",
            "",
        ),
        "thunder": (
            "thunder, a thunderstorm, a storm, lightning, an explosion, a bomb, a thunder clap, an earthquake, a "
            "rumble, a crash, a cannon",
            "thunder claps, explosions, thunderstorms, storms, bombs, rumbles",
        ),
        "static": (
            "static, noise, white noise, radio noise, television static, tv static, a radio, hiss, hissing, steam, a "
            "spray, interference, an untuned radio",
            "",
        ),
        "applause": (
            "applause, clapping, an audience, a crowd, a crowd cheering, cheering, clapping hands, people clapping, an "
            "audience clapping, a concert, a stadium, a standing ovation",
            "",
        ),
        "fire": (
            "fire, a fire, a campfire, a fireplace, flames, a bonfire, burning, crackling, wood burning, a burning "
            "house, a forest fire, popcorn",
            "",
        ),
        "bubbles": (
            "bubbles, a bubble, boiling water, water, a stream, a river, dripping water, a brook, underwater bubbles, a "
            "fish tank, an aquarium, pouring water, a fountain, a faucet, drinking, swimming",
            "",
        ),
        "hum": (
            "a hum, a buzz, buzzing, a bee, bees, a mosquito, a fly, a fridge, a refrigerator, a transformer, a power "
            "line, electricity, a fan, an air conditioner, a neon light, a vacuum cleaner, a computer",
            "",
        ),
        "engine": (
            "an engine, a car, a truck, a bus, a motorcycle, a tractor, a car engine, a machine, a train, a boat, a "
            "lawn mower, a chainsaw, a drill, traffic, cars, a diesel engine, a race car, driving, a factory",
            "",
        ),
        "helicopter": (
            "a helicopter, a chopper, a helicopter flying, a plane, an airplane, a jet, a drone, an aircraft, a rotor, "
            "a propeller plane, a flying helicopter, a windmill",
            "",
        ),
        "birds": (
            "birds, a bird, birdsong, birds singing, a song bird, birds in a forest, a forest, a sparrow, a canary, an "
            "owl, a rooster, a chicken, a duck, a crow, a nightingale, tweeting, morning birds, nature",
            "",
        ),
        "crickets": (
            "crickets, a cricket, insects, an insect, a cicada, cicadas, grasshoppers, a grasshopper, a summer night, "
            "night insects, a bug, the jungle",
            "",
        ),
        "frog": (
            "a frog, a toad, a croak, a croaking toad, a dog, a dog barking, a cat, a pig, a cow, a sheep, a lion, an "
            "animal, a dog bark, a burp, a meow",
            "frogs, toads, croaks, dogs, dogs barking, cats, pigs, cows, animals",
        ),
    }
)
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
_ROOMS = ("{0} in a cave", "{0} in a church", "{0} with reverb", "{0} with echo", "{0} in a tunnel", "{0} in a big hall")
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
    "of my house", "in the old town", "on a sunny day", "by the road", "in winter", "behind me", "on the table", "with feeling",
    "from the kitchen", "in the garden", "at home", "recorded with a microphone", "for a film", "in stereo", "in hd",
)  # fmt: skip
_SHARE_AROUND, _SHARE_MISSPELT, _SHARE_FAR = 0.15, 0.12, 0.5
_SYLLABLES = ("ba", "zor", "kli", "mun", "tra", "fel", "gop", "ri", "sen", "du", "vix", "lo", "pak", "em", "hun", "sch", "ung", "ein", "qua", "ly", "nost", "bre", "wi", "jaz", "os", "ter", "un", "ig", "che", "ap")  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Name:
    """One way to call a kind: the words, and whether "a" can stand before them."""

    words: str
    counted: bool


@functools.cache
def names_of(kind: str, *, several: bool = False) -> tuple[Name, ...]:
    """What people call a kind, its own name first; none where several of it cannot be named."""
    singular, plural = _NAMES[kind]
    texts = [text.strip() for text in (plural if several else singular).split(",")]
    return tuple(_name(text) for text in texts if text)


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
    """A made-up word, in a sentence, and the scene that is nearest to it."""
    word = made_up_word(generator)
    scene = Scene((Event(nearest_kind(word)),))
    article = _pick(("", "a", "the"), generator)
    others = [made_up_word(generator) for _ in range(int(generator.integers(3)))]
    if generator.random() < 0.5:  # noqa: SIM108
        text = " ".join([article, word, *others])
    else:
        text = _pick(_SENTENCES[None], generator).format(f"{article} {word}".strip())
    return scene, " ".join(text.split())


def made_up_word(generator: np.random.Generator) -> str:
    """A word in no dictionary: of syllables, of letters alone, or of a name that has been changed beyond recognition."""
    way = generator.random()
    if way < 0.4:
        return "".join(_pick(_SYLLABLES, generator) for _ in range(int(generator.integers(1, 5))))
    if way < 0.7:
        return "".join(_pick(string.ascii_lowercase, generator) for _ in range(int(generator.integers(1, 11))))
    word = _pick(tuple(_kinds_by_word()), generator)
    for _ in range(int(generator.integers(2, 4))):
        word = _changed(word, generator)
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


def _name(text: str) -> Name:
    article, _, rest = text.partition(" ")
    if article in ("a", "an"):
        return Name(rest, counted=True)
    return Name(rest if article == "the" else text, counted=False)


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
