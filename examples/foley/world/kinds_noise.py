"""Kinds of sound made of noise: weather, water, fire, crowds and a detuned radio."""

import numpy as np

from examples.foley.world.synthesis import (
    Performance,
    Sound,
    drift,
    dying,
    narrow_noise,
    noise,
    phase,
    place,
    ring,
    scatter,
    sine,
    swell,
)

_RAIN = ((100.0, -40.0), (700.0, -14.0), (2500.0, -2.0), (5000.0, 0.0), (8000.0, -3.0))
_AIR = ((40.0, -12.0), (100.0, 0.0), (250.0, -6.0), (800.0, -30.0), (8000.0, -60.0))
_WATER_BODY = ((50.0, -10.0), (150.0, 0.0), (500.0, -6.0), (1500.0, -24.0), (8000.0, -60.0))
_WATER_FOAM = ((200.0, -30.0), (800.0, -4.0), (2000.0, 0.0), (5000.0, -10.0), (8000.0, -20.0))
_RUMBLE = ((25.0, -6.0), (50.0, 0.0), (110.0, -4.0), (300.0, -24.0), (1000.0, -50.0), (8000.0, -90.0))
_CRACK = ((60.0, 0.0), (800.0, -4.0), (3000.0, -14.0), (8000.0, -30.0))
_RADIO = ((200.0, -40.0), (450.0, 0.0), (3000.0, 0.0), (3900.0, -30.0), (8000.0, -50.0))
_HANDS = ((250.0, -30.0), (700.0, -6.0), (1300.0, 0.0), (2200.0, -4.0), (5000.0, -20.0), (8000.0, -30.0))
_FLAMES = ((30.0, -6.0), (80.0, 0.0), (250.0, -10.0), (900.0, -30.0), (8000.0, -50.0))


def rain(play: Performance) -> Sound:
    """Steady rain: a bright hiss, and drops that stand out of it."""
    length = round(0.012 * play.rate)
    drops = [ring((hertz, 1.7 * hertz), (0.01, 0.006), (1.0, 0.5), length, play.rate) for hertz in (1700, 2600, 3900)]
    hiss = noise(play.generator, play.samples, play.rate, _RAIN)
    return hiss + 1.6 * scatter(play.generator, play.samples, play.rate, play.near(90.0, 0.3), drops, 0.5)


def wind(play: Performance) -> Sound:
    """Wind that howls around a corner: narrow noise that wanders in pitch and comes in gusts."""
    gusts = drift(play.generator, play.samples, play.rate, 0.9)
    centre = play.hertz(170.0, 1360.0) * 2.0 ** (0.45 * gusts.astype(np.float64))
    cycles = phase(centre, play.samples, play.rate)
    howl = narrow_noise(play.generator, cycles, play.rate, 0.22 * centre[0])
    howl += 0.25 * narrow_noise(play.generator, 1.9 * cycles, play.rate, 0.5 * centre[0])
    air = noise(play.generator, play.samples, play.rate, _AIR)
    return (howl + 0.12 * air) * (0.6 + 0.4 * gusts)


def waves(play: Performance) -> Sound:
    """Waves on a beach: each one swells, breaks into bright foam and runs out."""
    cycles = phase(play.per_second(0.25, 1.75), play.samples, play.rate) + play.generator.uniform(0.0, 0.6)
    cycles += 0.06 * drift(play.generator, play.samples, play.rate, 0.5)
    since = (cycles - np.floor(cycles)).astype(np.float32)
    breaking = np.where(since < 0.45, (since / 0.45) ** 2, ((1.0 - since) / 0.55) ** 1.5)
    body = noise(play.generator, play.samples, play.rate, _WATER_BODY)
    foam = noise(play.generator, play.samples, play.rate, _WATER_FOAM)
    return body * (0.15 + 0.5 * breaking) + foam * (0.04 + breaking**2)


def thunder(play: Performance) -> Sound:
    """Thunder: a crack, and a rumble that rolls and dies away."""
    starts, length = play.moments(play.seconds(0.9, 6.0), gap=0.3)
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        seconds = length / play.rate
        rolling = 0.55 + 0.45 * drift(play.generator, length, play.rate, 5.0)
        fading = swell(length, play.rate, 0.03, 0.3 * seconds) * dying(length, play.rate, 2.2 * seconds)
        grain = noise(play.generator, length, play.rate, _RUMBLE) * rolling * fading
        crack = round(min(0.25, seconds) * play.rate)
        place(grain, noise(play.generator, crack, play.rate, _CRACK) * dying(crack, play.rate, 0.25), 0, 0.6)
        place(canvas, grain, start, play.near(0.9))
    return canvas


def static(play: Performance) -> Sound:
    """A radio between stations: noise of a small loudspeaker that jumps in level, with crackles."""
    count = int(play.duration / 0.04) + 2
    lengths = (play.generator.uniform(0.05, 0.3, count) * play.rate).astype(int)
    levels = 10.0 ** (play.generator.uniform(-14.0, 0.0, count) / 20.0)
    jumps = np.repeat(levels.astype(np.float32), lengths)[: play.samples]
    hiss = noise(play.generator, play.samples, play.rate, _RADIO) * jumps
    pop = ring((900.0, 2100.0), (0.006, 0.004), (1.0, 1.0), round(0.008 * play.rate), play.rate)
    return hiss + 2.0 * scatter(play.generator, play.samples, play.rate, 7.0, [pop], 0.4)


def applause(play: Performance) -> Sound:
    """A crowd that claps: dozens of claps a second, each a short noise of hollow hands."""
    length = round(0.03 * play.rate)
    claps = []
    for _ in range(5):
        hands = noise(play.generator, length, play.rate, _HANDS) * dying(length, play.rate, 0.04)
        centre = play.generator.uniform(800.0, 2000.0)
        claps.append(hands + 2.0 * ring((centre,), (0.02,), (1.0,), length, play.rate))
    crowd = scatter(play.generator, play.samples, play.rate, play.near(55.0, 0.2), claps, 0.6)
    return crowd + 0.08 * noise(play.generator, play.samples, play.rate, _HANDS)


def fire(play: Performance) -> Sound:
    """A wood fire: sharp crackles far apart over a low flutter of flames."""
    length = round(0.02 * play.rate)
    snaps = [
        ring((hertz, 1.43 * hertz, 2.2 * hertz), (0.012, 0.008, 0.005), (1.0, 0.8, 0.6), length, play.rate)
        for hertz in (900.0, 1600.0, 2700.0)
    ]
    flutter = 0.6 + 0.4 * drift(play.generator, play.samples, play.rate, 7.0)
    flames = noise(play.generator, play.samples, play.rate, _FLAMES) * flutter
    return 0.18 * flames + scatter(play.generator, play.samples, play.rate, play.near(13.0, 0.3), snaps, 0.9)


def bubbles(play: Performance) -> Sound:
    """Bubbles in water: round blips at uneven moments, each rising as it bursts."""
    canvas = np.zeros(play.samples, np.float32)
    for start in play.beats(play.per_second(2.0, 14.0), unevenness=0.9):
        length = round(play.generator.uniform(0.04, 0.1) * play.rate)
        since = np.linspace(0.0, 1.0, length)
        frequency = play.generator.uniform(350.0, 1100.0) * (1.0 + 1.6 * since**2)
        blip = sine(phase(frequency, length, play.rate)) * np.exp(-3.0 * since).astype(np.float32)
        place(canvas, blip * swell(length, play.rate, 0.004, 0.015), start, play.near(0.75, 0.3))
    return canvas
