"""What people call each kind of sound, beside what careful captions call it.

What has no sound here is called by the kind that comes nearest: a truck by an engine, a piano by a music box. None of
these names is among the wordings that `captions` holds out for the evaluation.
"""

import dataclasses
import functools
from collections.abc import Mapping
from types import MappingProxyType

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
            "a music box, a tune, a melody, a song, music, a lullaby, a piano, a xylophone, a glockenspiel, "
            "jazz piano, piano music, a toy, a keyboard, jazz, rock music, pop music",
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
            "bubbles, a bubble, boiling water, water, a stream, a river, dripping water, a brook, underwater bubbles, "
            "a fish tank, an aquarium, pouring water, a fountain, a faucet, drinking, swimming",
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


def _name(text: str) -> Name:
    article, _, rest = text.partition(" ")
    if article in ("a", "an"):
        return Name(rest, counted=True)
    return Name(rest if article == "the" else text, counted=False)
