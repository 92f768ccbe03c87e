"""Kinds of sound that begin with a blow: bells, strings, coins, clocks, knocks, steps, drums; and a creaking door."""

import numpy as np
import scipy.signal

from examples.foley.world.synthesis import Performance, Sound, drift, dying, noise, phase, place, ring, sine, swell

_CLICK = ((200.0, -20.0), (2000.0, 0.0), (8000.0, 0.0))
_THUD = ((40.0, 0.0), (150.0, 0.0), (500.0, -30.0), (8000.0, -70.0))
_GRAVEL = ((200.0, -30.0), (900.0, -4.0), (2500.0, 0.0), (5000.0, -8.0), (8000.0, -20.0))
_SNARE_WIRES = ((300.0, -30.0), (1200.0, -3.0), (4000.0, 0.0), (8000.0, -6.0))
_BEADS = ((1500.0, -60.0), (4500.0, -6.0), (6500.0, 0.0), (8000.0, 0.0))


def _burst(play: Performance, seconds: float, curve: tuple[tuple[float, float], ...]) -> Sound:
    """Noise that dies away within some seconds."""
    length = round(seconds * play.rate)
    return noise(play.generator, length, play.rate, curve) * dying(length, play.rate, seconds)


def bell(play: Performance) -> Sound:
    """A small bell; its partials are those of cast bells, and a long ring decays slowly."""
    decay = play.seconds(0.5, 5.0)
    starts, _ = play.moments(min(decay, 0.8), gap=0.15)
    length = min(play.samples, round(decay * play.rate))
    ratios = np.array([1.0, 2.0, 2.42, 3.0, 3.9, 5.2, 6.6])
    strike = play.hertz(450.0, 3600.0)
    amplitudes = (1.0, 0.6, 0.5, 0.35, 0.3, 0.25, 0.2)
    grain = ring(play.near(1.0, 0.01) * strike * ratios, decay / ratios**0.6, amplitudes, length, play.rate)
    place(grain, _burst(play, 0.02, _CLICK), 0, 0.1)
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        place(canvas, grain, start, play.near(0.85, 0.15))
    return canvas


def church_bell(play: Performance) -> Sound:
    """A large bell with hum, prime, minor third, fifth and nominal, each a pair that beats slowly."""
    starts, _ = play.moments(1.0, gap=0.4)
    length = min(play.samples, round(6.0 * play.rate))
    ratios = np.array([0.5, 1.0, 1.19, 1.5, 2.0, 2.51, 2.66, 3.01, 4.1, 5.4])
    decays = np.array([9.0, 6.0, 5.0, 3.0, 4.0, 2.0, 1.8, 1.5, 1.0, 0.7])
    amplitudes = np.array([0.6, 0.8, 0.7, 0.35, 1.0, 0.4, 0.35, 0.4, 0.3, 0.2])
    prime = play.generator.uniform(190.0, 280.0)
    beating = play.generator.uniform(0.3, 1.2, ratios.size)
    frequencies = np.concatenate([prime * ratios, prime * ratios + beating])
    grain = ring(frequencies, np.tile(decays, 2), np.tile(amplitudes, 2), length, play.rate)
    grain *= swell(length, play.rate, 1e-4, 1.0)
    place(grain, _burst(play, 0.06, _CLICK), 0, 0.4)
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        place(canvas, grain, start, play.near(0.9))
    return canvas


def music_box(play: Performance) -> Sound:
    """A music box: a tune of short bright notes on five tones, some of them left out."""
    base, length = play.hertz(330.0, 2640.0), round(0.7 * play.rate)
    notes = []
    for semitone in (0, 2, 4, 7, 9, 12):
        frequency = base * 2.0 ** (semitone / 12.0)
        partials = np.array([1.0, 2.0, 3.01, 6.27])
        notes.append(ring(frequency * partials, (0.7, 0.4, 0.3, 0.1), (1.0, 0.15, 0.2, 0.3), length, play.rate))
    canvas = np.zeros(play.samples, np.float32)
    step = play.generator.integers(len(notes))
    for start in play.beats(play.per_second(1.5, 10.5)):
        step = np.clip(step + play.generator.integers(-2, 3), 0, len(notes) - 1)
        place(canvas, notes[step], start, play.near(0.8, 0.25))
    return canvas


def string(play: Performance) -> Sound:
    """A plucked guitar string: harmonics that are slightly stretched, the upper ones dying first."""
    starts, _ = play.moments(0.45, gap=0.15)
    length = min(play.samples, round(1.6 * play.rate))
    numbers = np.arange(1, 25)
    shape = np.abs(np.sin(np.pi * numbers * play.generator.uniform(0.12, 0.22))) / numbers**0.7
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        # Later plucks are of the same string, on another fret.
        frequency = play.hertz(82.0, 656.0) * 2.0 ** (play.generator.choice([0, 0, 2, 4]) / 12.0)
        partials = frequency * numbers * np.sqrt(1.0 + 2e-4 * numbers**2)
        pluck = ring(partials, 2.6 / (1.0 + 0.25 * numbers), shape, length, play.rate)
        place(pluck, _burst(play, 0.015, _CLICK), 0, 0.15)
        place(canvas, pluck * swell(length, play.rate, 1e-4, 0.4), start, play.near(0.9))
    return canvas


def coin(play: Performance) -> Sound:
    """A coin that falls on a hard floor, bounces ever faster and lies still."""
    starts, _ = play.moments(0.6, gap=0.3)
    length = round(0.3 * play.rate)
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        partials = play.near(1.0, 0.08) * np.array([3300.0, 4650.0, 5500.0, 6800.0, 7300.0])
        clink = ring(partials, (0.3, 0.25, 0.2, 0.12, 0.1), (0.6, 1.0, 0.8, 0.6, 0.5), length, play.rate)
        interval, gain = play.generator.uniform(0.16, 0.22), 1.0
        for _ in range(5):
            place(canvas, clink, start, gain)
            start, interval, gain = start + round(interval * play.rate), 0.7 * interval, 0.75 * gain
    return canvas


def clock(play: Performance) -> Sound:
    """A clock: very even, very short clicks, tick and tock in turn."""
    length = round(0.08 * play.rate)
    scale = play.near(1.0)
    clicks = []
    for partials in ((2400.0, 3700.0, 5300.0), (1950.0, 3050.0, 4500.0)):
        frequencies = scale * np.array([700.0, *partials])
        click = ring(frequencies, (0.06, 0.035, 0.03, 0.02), (0.25, 1.0, 0.8, 0.5), length, play.rate)
        place(click, _burst(play, 0.006, _CLICK), 0, 0.5)
        clicks.append(click)
    canvas = np.zeros(play.samples, np.float32)
    for index, start in enumerate(play.beats(play.per_second(1.0, 7.0))):
        place(canvas, clicks[index % 2], start)
    return canvas


def knocks(play: Performance) -> Sound:
    """Knuckles on a wooden door: one knock, or three or so in a row, again and again."""
    starts, _ = play.moments(0.7 if play.several else 0.15, gap=0.3)
    length = round(0.2 * play.rate)
    body = play.near(1.0, 0.15) * np.array([165.0, 290.0, 430.0, 690.0, 1010.0, 1500.0])
    canvas = np.zeros(play.samples, np.float32)
    between = play.generator.uniform(0.16, 0.24)
    for start in starts:
        for index in range(play.generator.integers(2, 5) if play.several else 1):
            decays, gains = (0.14, 0.16, 0.13, 0.1, 0.07, 0.04), play.generator.uniform(0.5, 1.0, body.size)
            knock = ring(play.near(1.0, 0.02) * body, decays, gains, length, play.rate)
            place(knock, _burst(play, 0.012, _CLICK), 0, 0.3)
            place(canvas, knock, start + round(index * play.near(between, 0.05) * play.rate), play.near(0.9))
    return canvas


def footsteps(play: Performance) -> Sound:
    """Steps on gravel: a dull heel, then stones that crunch under the sole."""
    steps = play.per_second(0.9, 6.3)
    length = round(min(0.26, 0.7 / steps) * play.rate)
    since = np.linspace(0.0, 1.0, length, dtype=np.float32)
    rolling = np.exp(-(((since - 0.15) / 0.1) ** 2)) + 0.4 * np.exp(-(((since - 0.45) / 0.22) ** 2))
    feet = []
    for _ in range(4):
        stones = np.maximum(drift(play.generator, length, play.rate, 220.0), 0.0) ** 2 + 0.05
        foot = 1.8 * noise(play.generator, length, play.rate, _GRAVEL) * rolling * stones
        place(foot, _burst(play, min(0.12, length / play.rate), _THUD), 0, 0.35)
        feet.append(foot)
    canvas = np.zeros(play.samples, np.float32)
    for index, start in enumerate(play.beats(steps, unevenness=0.12)):
        place(canvas, feet[index % 4], start, play.near(0.85, 0.15))
    return canvas


def bass_drum(play: Performance) -> Sound:
    """A bass drum: a thump whose pitch sinks, with a soft beater."""
    length = round(0.45 * play.rate)
    times = np.arange(length) / play.rate
    frequency = play.near(52.0) * (1.0 + 1.8 * np.exp(-times / 0.03))
    thump = sine(phase(frequency, length, play.rate)) * dying(length, play.rate, 0.55)
    thump *= swell(length, play.rate, 0.002, 0.05)
    place(thump, _burst(play, 0.015, _CLICK), 0, 0.08)
    canvas = np.zeros(play.samples, np.float32)
    for start in play.beats(play.per_second(0.8, 5.6), unevenness=0.03):
        place(canvas, thump, start, play.near(0.9))
    return canvas


def snare(play: Performance) -> Sound:
    """A snare drum: a short body and rattling wires."""
    length = round(0.25 * play.rate)
    body = ring((185.0, 330.0), (0.18, 0.12), (1.0, 0.6), length, play.rate)
    hits = []
    for _ in range(3):
        hit = body.copy()
        place(hit, _burst(play, 0.25, _SNARE_WIRES), 0, 0.6)
        hits.append(hit)
    canvas = np.zeros(play.samples, np.float32)
    for index, start in enumerate(play.beats(play.per_second(0.9, 6.3), unevenness=0.03)):
        place(canvas, hits[index % 3], start, play.near(0.85, 0.15))
    return canvas


def shaker(play: Performance) -> Sound:
    """A shaker: only the highest noise, thrown forth and back, every other time stronger."""
    throws = play.per_second(1.5, 10.5)
    length = round(min(0.14, 0.8 / throws) * play.rate)
    envelope = swell(length, play.rate, 0.2 * length / play.rate, 0.75 * length / play.rate)
    grains = [noise(play.generator, length, play.rate, _BEADS) * envelope for _ in range(4)]
    canvas = np.zeros(play.samples, np.float32)
    for index, start in enumerate(play.beats(throws, unevenness=0.04)):
        place(canvas, grains[index % 4], start, play.near(0.9 if index % 2 else 0.65))
    return canvas


def creak(play: Performance) -> Sound:
    """A door's hinge that sticks and slips: pulses that speed up and slow down, heard through the wood."""
    starts, length = play.moments(play.seconds(0.4, 3.2), gap=0.25)
    wood = play.near(1.0, 0.15) * np.array([480.0, 830.0, 1350.0, 2100.0, 3100.0])
    kernel = ring(wood, (0.03, 0.035, 0.03, 0.025, 0.02), (0.5, 1.0, 0.9, 0.8, 0.5), round(0.04 * play.rate), play.rate)
    canvas = np.zeros(play.samples, np.float32)
    for start in starts:
        bend = drift(play.generator, length, play.rate, 2.5)
        slips_per_second = play.generator.uniform(38.0, 60.0) * 2.0 ** (1.2 * bend.astype(np.float64))
        slips = np.diff(np.floor(phase(slips_per_second, length, play.rate)), prepend=0.0).astype(np.float32)
        slips *= play.generator.uniform(0.5, 1.0, length).astype(np.float32)
        grain = scipy.signal.oaconvolve(slips, kernel)[:length] * swell(length, play.rate, 0.08, 0.1)
        place(canvas, grain, start, play.near(0.9))
    return canvas
