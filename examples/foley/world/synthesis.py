"""Building blocks of synthesis: oscillators, noise, struck bodies, envelopes, and where events fall in time.

Sounds are float32. Phases are counted in cycles, not radians, and are float64, so that a minute of sound stays in tune.
A curve is a spectrum as an equaliser shows it: (hertz, decibels) points, joined by straight lines over log frequency.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.signal
from jaxtyping import Float, Float32, Float64
from numpy.typing import ArrayLike

Sound = Float32[np.ndarray, " samples"]
Phase = Float64[np.ndarray, " samples"]
Curve = tuple[tuple[float, float], ...]

_TABLE_SIZE = 1 << 14
_HIGHEST = 0.47  # partials above this share of the sampling rate are left out
_FALL_BY_60_DB = np.log(1000.0)


@dataclasses.dataclass(frozen=True)
class Performance:
    """One event's parameters as numbers, and the stretch of time it fills.

    Attributes:
        samples: length of the whole sound.
        rate: samples per second.
        generator: source of everything the parameters leave open.
        pitch, speed, length: from 0 to 1, where the event lies between the extremes of its kind.
        direction: from -1 (falls most) to 1 (rises most).
        several: whether a sound that need not repeat is heard more than once.
    """

    samples: int
    rate: int
    generator: np.random.Generator
    pitch: float
    speed: float
    length: float
    direction: float
    several: bool

    @property
    def duration(self) -> float:
        """Seconds."""
        return self.samples / self.rate

    @property
    def times(self) -> Sound:
        """Seconds since the start, for every sample."""
        return np.arange(self.samples, dtype=np.float32) / np.float32(self.rate)

    def hertz(self, lowest: float, highest: float) -> float:
        """The pitch, given those of the lowest and highest sound of this kind."""
        return lowest * (highest / lowest) ** self.pitch

    def per_second(self, slowest: float, fastest: float) -> float:
        """The rate of events, given those of the slowest and fastest sound of this kind."""
        return slowest * (fastest / slowest) ** self.speed

    def seconds(self, shortest: float, longest: float) -> float:
        """The length of an event, given those of the shortest and longest of this kind."""
        return shortest * (longest / shortest) ** self.length

    def near(self, value: float, spread: float = 0.1) -> float:
        """A number near another: uniform within ``spread`` of it, as a share."""
        return value * self.generator.uniform(1.0 - spread, 1.0 + spread)

    def moments(self, seconds: float, gap: float) -> tuple[list[int], int]:
        """When an event of some length happens, once or several times: its first samples, and its length in samples.

        Several events are at least two, do not overlap, and grow in number with the time there is. The length shrinks
        where it does not fit.
        """
        room = self.duration / (seconds + gap)
        count = max(2, round(room * self.generator.uniform(0.6, 1.0))) if self.several else 1
        slot = self.duration / count
        seconds = min(seconds, 0.85 * slot)
        starts = (np.arange(count) + self.generator.random(count) * (1.0 - seconds / slot)) * slot
        return (starts * self.rate).astype(int).tolist(), max(1, round(seconds * self.rate))

    def beats(self, per_second: float, unevenness: float = 0.0) -> list[int]:
        """First samples of events that repeat to the end, at least one; ``unevenness`` is a share of the period."""
        period = 1.0 / per_second
        first = self.generator.uniform(0.0, 0.3) * min(period, self.duration)
        starts = np.arange(first, max(self.duration - 0.03, first + 0.5 * period), period)
        starts += unevenness * period * self.generator.uniform(-0.5, 0.5, starts.size)
        return np.maximum(starts * self.rate, 0.0).astype(int).tolist()


def phase(frequency: float | Float[np.ndarray, " samples"], samples: int, rate: int) -> Phase:
    """Cycles since the start, of a steady frequency in hertz or of one that is given for every sample."""
    if isinstance(frequency, np.ndarray):
        return np.cumsum(frequency, dtype=np.float64) / rate
    return np.arange(samples) * (frequency / rate)


def sine(cycles: Phase) -> Sound:
    """A pure tone."""
    return np.sin((2.0 * np.pi * (cycles - np.floor(cycles))).astype(np.float32))


def harmonics(cycles: Phase, amplitudes: Sequence[float], highest_frequency: float, rate: int) -> Sound:
    """A tone with overtones, without those that would fold back; ``highest_frequency`` is the fundamental's."""
    count = min(len(amplitudes), int(_HIGHEST * rate / highest_frequency))
    spectrum = np.zeros(_TABLE_SIZE // 2 + 1, np.complex64)
    spectrum[1 : count + 1] = -0.5j * _TABLE_SIZE * np.asarray(amplitudes[:count])
    table = np.fft.irfft(spectrum)
    return table[(cycles * _TABLE_SIZE).astype(np.int64) & (_TABLE_SIZE - 1)]


def audible(frequency: Float[np.ndarray, " samples"], rate: int) -> Sound:
    """A gain that leaves out an overtone while its frequency, given for every sample, would fold back."""
    return np.clip((_HIGHEST * rate - frequency) / 400.0, 0.0, 1.0).astype(np.float32)


def noise(generator: np.random.Generator, samples: int, rate: int, curve: Curve) -> Sound:
    """Steady noise with a given spectrum and a root mean square of 1."""
    size = _transform_size(samples)
    bins = size // 2 + 1
    spectrum = generator.standard_normal(2 * bins, np.float32).view(np.complex64) * _response(size, rate, curve)
    sound = np.fft.irfft(spectrum, size)[:samples]
    return sound / np.sqrt(np.mean(sound * sound) + 1e-20)


def equalised(sound: Sound, rate: int, curve: Curve) -> Sound:
    """A sound whose spectrum is multiplied by a curve, without delay."""
    size = _transform_size(len(sound))
    return np.fft.irfft(np.fft.rfft(sound, size) * _response(size, rate, curve), size)[: len(sound)]


def _transform_size(samples: int) -> int:
    """A length of at least so many samples, and little more, whose Fourier transform is fast."""
    power = max(1024, 1 << (samples - 1).bit_length())
    return next(size for size in (power * 5 // 8, power * 3 // 4, power * 7 // 8, power) if size >= samples)


def _response(size: int, rate: int, curve: Curve) -> Float32[np.ndarray, " bins"]:
    coarse = np.geomspace(20.0, rate / 2, 256)
    hertz, decibels = zip(*curve, strict=True)
    gains = 10.0 ** (np.interp(np.log(coarse), np.log(hertz), decibels) / 20.0)
    response = np.interp(np.arange(size // 2 + 1) * (rate / size), coarse, gains).astype(np.float32)
    response[0] = 0.0
    return response


def drift(generator: np.random.Generator, samples: int, rate: int, per_second: float) -> Sound:
    """A smooth random movement within [-1, 1] that turns about ``per_second`` times a second."""
    position = np.arange(samples, dtype=np.float32) * np.float32(per_second / rate)
    index = position.astype(np.int32)
    fraction = position - index
    points = generator.uniform(-1.0, 1.0, int(samples * per_second / rate) + 3).astype(np.float32)
    return points[index] + np.diff(points)[index] * (fraction * fraction * (3.0 - 2.0 * fraction))


def narrow_noise(generator: np.random.Generator, cycles: Phase, rate: int, bandwidth: float) -> Sound:
    """Noise of some bandwidth in hertz around a frequency that may move, given by its phase."""
    in_phase, quadrature = (drift(generator, len(cycles), rate, bandwidth) for _ in range(2))
    return in_phase * sine(cycles) + quadrature * sine(cycles + 0.25)


def ring(frequencies: ArrayLike, decays: ArrayLike, amplitudes: ArrayLike, samples: int, rate: int) -> Sound:
    """A struck body: sines that die away, each with its frequency, its seconds to fall by 60 dB, and its amplitude."""
    modes = np.stack(np.broadcast_arrays(frequencies, decays, amplitudes))  # [3, modes]
    frequency, decay, amplitude = modes[:, modes[0] < _HIGHEST * rate]
    exponent = 2j * np.pi * frequency - _FALL_BY_60_DB / decay
    # A sine at time s + t is a product over s and t, so a matrix product of coarse and fine steps gives all samples.
    block = 128
    coarse = amplitude * np.exp(np.arange(-(-samples // block))[:, None] * (exponent * block / rate))  # [blocks, modes]
    fine = np.exp(np.arange(block) * exponent[:, None] / rate)  # [modes, block]
    sound = coarse.real @ fine.imag + coarse.imag @ fine.real
    return sound.ravel()[:samples].astype(np.float32)


def dying(samples: int, rate: int, seconds: float) -> Sound:
    """An envelope that starts at 1 and has fallen by 60 dB after some seconds."""
    return np.exp(np.arange(samples, dtype=np.float32) * np.float32(-_FALL_BY_60_DB / (seconds * rate)))


def swell(samples: int, rate: int, attack: float, release: float) -> Sound:
    """An envelope that rises, stays at 1, and falls to 0 at its end; the times are in seconds."""
    position = np.arange(samples, dtype=np.float32)
    edges = np.minimum(position / np.float32(attack * rate), (samples - position) / np.float32(release * rate))
    return np.square(np.sin(np.float32(np.pi / 2) * np.minimum(edges, 1.0)))


def gate(cycles: Float[np.ndarray, " samples"], seconds: float, duty: float, edge: float) -> Sound:
    """An envelope that opens once a cycle, for a share of it; a cycle takes ``seconds``, and an edge ``edge``."""
    since = (cycles - np.floor(cycles)) * seconds
    return np.clip(np.minimum(since / edge, (duty * seconds - since) / edge), 0.0, 1.0).astype(np.float32)


def place(canvas: Sound, grain: Sound, start: int, gain: float = 1.0) -> None:
    """Add a short sound to a long one, from a sample on; what lies beyond the end is cut."""
    stop = min(start + len(grain), len(canvas))
    if stop > start:
        canvas[start:stop] += np.float32(gain) * grain[: stop - start]


def scatter(
    generator: np.random.Generator, samples: int, rate: int, per_second: float, grains: Sequence[Sound], spread: float
) -> Sound:
    """Very many short sounds at random moments; their levels are log-normal with a ``spread`` in nepers."""
    canvas = np.zeros(samples, np.float32)
    for grain in grains:
        count = generator.poisson(per_second * samples / rate / len(grains)) + 1
        impulses = np.zeros(samples, np.float32)
        gains = generator.lognormal(0.0, spread, count) * generator.choice([-1.0, 1.0], count)
        np.add.at(impulses, generator.integers(0, samples, count), gains.astype(np.float32))
        canvas += scipy.signal.oaconvolve(impulses, grain)[:samples]
    return canvas
