"""Kinds of sound that have a pitch and hold it: tones, whistles, horns, sirens, alarms."""

import numpy as np

from examples.foley.world.synthesis import (
    Performance,
    Sound,
    audible,
    drift,
    dying,
    gate,
    harmonics,
    narrow_noise,
    noise,
    phase,
    place,
    sine,
    swell,
)

_STEADY_HERTZ = 100.0
_BREATH = ((300.0, -30.0), (1500.0, -6.0), (4000.0, 0.0), (8000.0, -6.0))
_PIPES = (1.0, 0.8, 0.45, 0.5, 0.0, 0.3, 0.0, 0.25)
_SQUARE = (1.0, 0.0, 0.5, 0.0, 0.3, 0.0, 0.2, 0.0, 0.15, 0.0, 0.1)
_BRASS = tuple(k**-0.6 for k in range(1, 25))
_BUZZER = tuple(k**-0.9 for k in range(1, 13))


def tone(play: Performance) -> Sound:
    """A pure tone from start to end, at a multiple of 100 Hz.

    A vocoder that makes 160 samples of every frame repeats itself every 160 samples where frames are all the same:
    between the multiples of 16 kHz / 160 it has no steady tone.
    """
    frequency = _STEADY_HERTZ * round(play.hertz(150.0, 2400.0) / _STEADY_HERTZ)
    return sine(phase(frequency, play.samples, play.rate))


def organ(play: Performance) -> Sound:
    """Chords of a church organ with a tremulant; a new chord every two seconds."""
    count = int(play.duration / 1.5) + 2
    lengths = (play.generator.uniform(1.5, 2.5, count) * play.rate).astype(int)
    roots = play.hertz(65.0, 520.0) * 2.0 ** (play.generator.choice([0, 2, 5, 7], count) / 12.0)
    root = np.repeat(roots, lengths)[: play.samples]
    cycles = phase(root, play.samples, play.rate)
    third = play.generator.choice([6 / 5, 5 / 4])
    sound = np.zeros(play.samples, np.float32)
    for ratio in (1.0, third, 1.5, 2.0):
        sound += harmonics(cycles * ratio, _PIPES, ratio * roots.max(), play.rate)
    tremulant = 1.0 + 0.15 * sine(phase(play.near(6.0), play.samples, play.rate))
    return sound * tremulant * swell(play.samples, play.rate, 0.06, 0.06)


def sweep(play: Performance) -> Sound:
    """A smooth tone that glides by two octaves or more, up or down."""
    starts, length = play.moments(play.seconds(0.5, 4.0), gap=0.2)
    # Standing still would make it a tone: what is left open is only which way it goes, and how far.
    octaves = np.copysign(1.6 + 1.2 * abs(play.direction), play.direction)
    frequency = play.hertz(250.0, 2000.0) * 2.0 ** (octaves * np.linspace(-0.5, 0.5, length))
    grain = harmonics(phase(frequency, length, play.rate), (1.0, 0.0, 0.11, 0.0, 0.04), frequency.max(), play.rate)
    grain *= swell(length, play.rate, 0.03, 0.05)
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        place(canvas, grain, start)
    return canvas


def whistle(play: Performance) -> Sound:
    """A person whistling: nearly a sine, with vibrato and breath, sliding or held."""
    starts, length = play.moments(play.seconds(0.25, 2.5), gap=0.2)
    since = np.linspace(0.0, 1.0, length)
    times = np.arange(length) / play.rate
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        slide = 0.9 * play.direction * (np.tanh(3.0 * (since - 0.5)) / 2.0)
        vibrato = 0.02 * np.sin(2.0 * np.pi * play.near(6.0) * times) * np.minimum(times / 0.25, 1.0)
        scoop = -0.1 * np.exp(-times / 0.03)
        frequency = play.near(play.hertz(500.0, 4000.0), 0.04) * 2.0 ** (slide + vibrato + scoop)
        cycles = phase(frequency, length, play.rate)
        grain = sine(cycles) + 0.15 * narrow_noise(play.generator, cycles, play.rate, 0.15 * frequency[0])
        grain += 0.03 * noise(play.generator, length, play.rate, _BREATH)
        place(canvas, grain * swell(length, play.rate, 0.05, 0.06), start, play.near(0.9))
    return canvas


def horn(play: Performance) -> Sound:
    """A car's horn: two bright notes a third apart, switched on and off."""
    starts, length = play.moments(play.seconds(0.15, 2.0), gap=0.2)
    lower = play.hertz(150.0, 1200.0)
    grain = np.zeros(length, np.float32)
    for frequency in (lower, lower * play.near(1.26, 0.01)):
        grain += harmonics(phase(frequency, length, play.rate), _BRASS, frequency, play.rate)
    grain *= swell(length, play.rate, 0.012, 0.03)
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        place(canvas, grain, start)
    return canvas


def siren(play: Performance) -> Sound:
    """A siren that changes between two notes a fourth apart."""
    lower = play.hertz(260.0, 2080.0)
    changes = play.times * play.per_second(0.8, 5.6) + play.generator.random()
    frequency = np.where(changes.astype(int) % 2, lower, lower * play.near(1.335, 0.02))
    return harmonics(phase(frequency, play.samples, play.rate), _SQUARE, frequency.max(), play.rate)


def wail(play: Performance) -> Sound:
    """A siren whose pitch climbs and sinks without end."""
    turns = phase(play.per_second(0.3, 2.1), play.samples, play.rate) + play.generator.random()
    frequency = play.hertz(280.0, 2240.0) * 2.0 ** (0.65 * sine(turns).astype(np.float64))
    return harmonics(phase(frequency, play.samples, play.rate), _BUZZER, frequency.max(), play.rate)


def alarm(play: Performance) -> Sound:
    """Even electronic beeps."""
    frequency, beeps = play.hertz(500.0, 4000.0), play.per_second(1.2, 8.4)
    sound = harmonics(phase(frequency, play.samples, play.rate), _SQUARE, frequency, play.rate)
    cycles = play.times * beeps + play.generator.uniform(0.0, 0.4)
    return sound * gate(cycles, 1.0 / beeps, 0.5, 0.004)


def phone(play: Performance) -> Sound:
    """A telephone with two bells under one quick hammer, ringing and pausing."""
    frequency, strikes = play.hertz(400.0, 3200.0), play.near(11.0)
    sound = np.zeros(play.samples, np.float32)
    for ratio, offset in ((1.0, 0.0), (1.25, 0.5)):
        cycles = play.times * strikes + np.float32(offset)
        hammer = np.exp(-3.0 * (cycles - np.floor(cycles)))
        bell = phase(ratio * frequency, play.samples, play.rate)
        sound += hammer * (sine(bell) + 0.3 * sine(bell * 1.91) * (1.91 * ratio * frequency < 0.47 * play.rate))
    period = play.near(1.6)
    cycles = play.times / period + play.generator.uniform(0.0, 0.2)
    return sound * gate(cycles, period, 0.6, 0.03)


def zap(play: Performance) -> Sound:
    """A laser gun of a film: a rough tone that plunges, or shoots up, by three octaves at once."""
    starts, length = play.moments(play.near(0.3, 0.25), gap=0.2)
    fall = np.expm1(-4.0 * np.linspace(0.0, 1.0, length)) / -np.expm1(-4.0)  # 0 to -1
    if play.direction > 0:
        fall = fall[::-1]
    frequency = play.hertz(850.0, 6800.0) * 2.0 ** (3.0 * fall)
    cycles = phase(frequency, length, play.rate)
    grain = sine(cycles)
    for harmonic in (2, 3, 4):
        grain += sine(cycles * harmonic) * audible(harmonic * frequency, play.rate) / harmonic
    grain *= 1.0 + 0.3 * drift(play.generator, length, play.rate, 90.0)
    grain *= swell(length, play.rate, 0.004, 0.03) * dying(length, play.rate, 3.0 * length / play.rate)
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        place(canvas, grain, start)
    return canvas
