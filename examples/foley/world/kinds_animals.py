"""Kinds of sound that animals make: birds, crickets, frogs."""

import numpy as np
import scipy.signal

from examples.foley.world.synthesis import Performance, Sound, audible, phase, place, ring, sine, swell


def birds(play: Performance) -> Sound:
    """A songbird: chirps that bend up, down or both, in a few shapes that come back."""
    chirps = play.per_second(1.5, 10.5)
    length = round(min(0.13, 0.6 / chirps) * play.rate)
    since = np.linspace(0.0, 1.0, length)
    syllables = []
    for _ in range(3):
        slope, arch = play.generator.uniform(-0.5, 0.5), play.generator.choice([-0.5, 0.5])
        bend = slope * (since - 0.5) + arch * (4.0 * since * (1.0 - since) - 0.5)
        frequency = play.near(play.hertz(950.0, 6000.0), 0.08) * 2.0 ** (0.8 * bend)
        cycles = phase(frequency, length, play.rate)
        envelope = swell(length, play.rate, 0.3 * length / play.rate, 0.5 * length / play.rate)
        overtone = 0.12 * sine(2.0 * cycles) * audible(2.0 * frequency, play.rate)
        syllables.append((sine(cycles) + overtone) * envelope)
    canvas = np.zeros(play.samples, np.float32)
    for start in play.beats(chirps, unevenness=0.3):
        place(canvas, syllables[play.generator.integers(3)], start, play.near(0.8, 0.25))
    return canvas


def crickets(play: Performance) -> Sound:
    """Crickets at night: even chirps of three quick pulses on one high note, and others far away."""
    chirps = play.per_second(0.9, 6.3)
    pulse_seconds = min(0.032, 0.2 / chirps)
    length = round(3.0 * pulse_seconds * play.rate)
    times = np.arange(length) / play.rate
    pulses = np.square(np.sin(np.pi * times / pulse_seconds)).astype(np.float32)
    note = play.near(4500.0, 0.05)
    canvas = np.zeros(play.samples, np.float32)
    chirp = sine(phase(note, length, play.rate)) * pulses
    for start in play.beats(chirps, unevenness=0.05):
        place(canvas, chirp, start, play.near(0.9))
    trill = np.square(sine(phase(play.near(24.0), play.samples, play.rate)))
    return canvas + 0.015 * trill * sine(phase(1.17 * note, play.samples, play.rate))


def frog(play: Performance) -> Sound:
    """A frog's croak: a rattle of pulses in a throat that opens and closes."""
    starts, length = play.moments(play.near(0.4, 0.2), gap=0.2)
    throat = play.hertz(230.0, 1840.0) * np.array([1.0, 1.45, 2.3, 3.4])
    kernel = ring(throat, (0.03, 0.03, 0.02, 0.015), (1.0, 0.9, 0.35, 0.15), round(0.04 * play.rate), play.rate)
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        pulses_per_second = play.near(42.0, 0.15) * np.linspace(0.85, 1.25, length)
        pulses = np.diff(np.floor(phase(pulses_per_second, length, play.rate)), prepend=0.0).astype(np.float32)
        grain = scipy.signal.oaconvolve(pulses, kernel)[:length]
        place(canvas, grain * swell(length, play.rate, 0.4 * length / play.rate, 0.15), start, play.near(0.9))
    return canvas
