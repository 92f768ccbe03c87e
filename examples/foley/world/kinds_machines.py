"""Kinds of sound that machines make without stopping: mains hum, engines, rotors."""

import numpy as np

from examples.foley.world.synthesis import Performance, Sound, drift, equalised, harmonics, noise, phase, sine

_MAINS = (0.5, 1.0, 0.3, 0.7, 0.2, 0.5, 0.15, 0.35, 0.1, 0.25, 0.1, 0.2, 0.05, 0.15, 0.05, 0.1)
_EXHAUST = ((20.0, -15.0), (70.0, -4.0), (140.0, 0.0), (400.0, 0.0), (900.0, -3.0), (2500.0, -16.0), (8000.0, -45.0))
_SWISH = ((100.0, -14.0), (250.0, 0.0), (900.0, -4.0), (3000.0, -18.0), (8000.0, -40.0))
_HISS = ((100.0, -30.0), (3000.0, 0.0), (8000.0, 0.0))


def hum(play: Performance) -> Sound:
    """Mains hum: 50 or 60 Hz with strong even harmonics, as steady as a tone."""
    mains = play.generator.choice([50.0, 60.0])
    buzz = harmonics(phase(mains, play.samples, play.rate), _MAINS, mains, play.rate)
    return buzz + 0.02 * noise(play.generator, play.samples, play.rate, _HISS)


def engine(play: Performance) -> Sound:
    """A piston engine: four uneven firings a turn, never quite at one speed, heard through the exhaust."""
    wander = drift(play.generator, play.samples, play.rate, 2.0) + drift(play.generator, play.samples, play.rate, 15.0)
    firings = play.hertz(18.0, 144.0) * (1.0 + 0.03 * wander.astype(np.float64))
    cycles = phase(firings, play.samples, play.rate)
    since = cycles - np.floor(cycles)
    cylinder = play.generator.uniform(0.6, 1.0, 4)[np.floor(cycles).astype(int) % 4]
    blast = (cylinder * np.exp(-9.0 * since)).astype(np.float32)
    rasp = noise(play.generator, play.samples, play.rate, _HISS)
    # A small engine has a small exhaust.
    exhaust = tuple((hertz * play.hertz(0.6, 1.7), decibels) for hertz, decibels in _EXHAUST)
    return equalised(blast - blast.mean() + 0.25 * blast * rasp, play.rate, exhaust)


def helicopter(play: Performance) -> Sound:
    """A helicopter: every blade thumps and swishes as it passes."""
    cycles = phase(play.per_second(2.0, 13.0), play.samples, play.rate) + play.generator.random()
    passing = np.square(np.square(sine(0.5 * cycles)))  # once a cycle
    passing *= passing
    thump = sine(phase(play.near(75.0), play.samples, play.rate)) * passing
    swish = noise(play.generator, play.samples, play.rate, _SWISH)
    return 0.8 * thump + swish * (0.06 + passing)
