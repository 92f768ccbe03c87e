"""How much the VAE and the vocoder lose: distances of log-mels, and what is heard beside a pure tone."""

import dataclasses
from collections.abc import Sequence

import jax
import numpy as np
from jaxtyping import Float, Float32

from examples.foley.parts.autoencoder import reconstructed
from examples.foley.world.clips import HOP_LENGTH, SAMPLING_RATE
from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder

DECIBELS_PER_NEPER = float(20.0 / np.log(10.0))

# Between the multiples of the hop's 100 Hz, on them, and a third of the way; from a hum to a whistle.
TONES_IN_HZ = (220.0, 300.0, 347.0, 440.0, 615.0, 880.0, 1250.0, 1733.0, 2500.0, 3520.0)
TONE_LEVELS = (0.03, 0.1, 0.3)
_TONE_SECONDS = 2.56
_EDGE_SECONDS = 0.25
_TONE_WIDTH_HZ = 60.0
_LOWEST_HEARD_HZ = 20.0
_QUIETEST_POWER = 1e-20


@dataclasses.dataclass(frozen=True)
class Reconstruction:
    """What is lost on the way to sound; distances are means of absolute differences.

    Attributes:
        autoencoder_nepers: of log-mels and what the VAE gives back.
        vocoder_nepers: of log-mels and those of the sound that the vocoder makes from them.
        both_nepers: of log-mels and those of the sound that both make from them.
        autoencoder_db, vocoder_db, both_db: the same in decibels.
        buzz_db: of pure tones through both, the power outside of +-60 Hz around the tone and its overtones, relative
            to the power within +-60 Hz of the tone; the median over pitches and levels.
        roughness_db: the same around the strongest line of each result, whatever its frequency, and +-40 Hz: a tone
            that falls between two multiples of 100 Hz can come back as both of them.
        detuning_hz: distance of the strongest line from the tone, median.
    """

    autoencoder_nepers: float
    vocoder_nepers: float
    both_nepers: float
    autoencoder_db: float
    vocoder_db: float
    both_db: float
    buzz_db: float
    roughness_db: float
    detuning_hz: float


def measure_reconstruction(
    vae: VAE, vocoder: Vocoder, mels: Float[np.ndarray, "clips frames mels"], *, batch: int = 8
) -> Reconstruction:
    """Send unseen log-mels, and pure tones, through the VAE and the vocoder.

    Args:
        vae: trained.
        vocoder: trained.
        mels: natural log-mels of sound that was not trained on, one frame per hop.
        batch: clips at a time.
    """
    mels = np.asarray(mels, np.float32)
    heard = reconstructed(vae, mels, batch=batch)
    through_autoencoder = float(np.mean(np.abs(heard - mels)))
    through_vocoder = log_mel_distance(vocoded(vocoder, mels, batch=batch), mels)
    through_both = log_mel_distance(vocoded(vocoder, heard, batch=batch), mels)
    buzz, roughness, detuning = pure_tone_figures(vae, vocoder, batch=batch)
    return Reconstruction(
        autoencoder_nepers=through_autoencoder,
        vocoder_nepers=through_vocoder,
        both_nepers=through_both,
        autoencoder_db=DECIBELS_PER_NEPER * through_autoencoder,
        vocoder_db=DECIBELS_PER_NEPER * through_vocoder,
        both_db=DECIBELS_PER_NEPER * through_both,
        buzz_db=buzz,
        roughness_db=roughness,
        detuning_hz=detuning,
    )


def vocoded(
    vocoder: Vocoder, mels: Float[np.ndarray, "clips frames mels"], *, batch: int = 8
) -> Float32[np.ndarray, "clips samples"]:
    """The sounds that a vocoder makes from log-mels, a few at a time."""
    pieces = [mels[start : start + batch] for start in range(0, len(mels), batch)]
    return np.concatenate([np.asarray(_vocode(vocoder, np.asarray(piece, np.float32))) for piece in pieces])


_vocode = jax.jit(lambda vocoder, mel: vocoder(mel))


def log_mel_distance(
    waveforms: Float[np.ndarray, "clips samples"], mels: Float[np.ndarray, "clips frames mels"]
) -> float:
    """Mean absolute difference in nepers between the log-mels of sounds and given ones, frame by frame."""
    found = np.stack([log_mel_spectrogram(waveform, SAMPLING_RATE)[: mels.shape[1]] for waveform in waveforms])
    return float(np.mean(np.abs(found - mels)))


def pure_tone_figures(
    vae: VAE,
    vocoder: Vocoder,
    *,
    frequencies: Sequence[float] = TONES_IN_HZ,
    levels: Sequence[float] = TONE_LEVELS,
    batch: int = 8,
) -> tuple[float, float, float]:
    """Medians over pure tones of `Reconstruction`'s ``buzz_db``, ``roughness_db`` and ``detuning_hz``."""
    tones = [(frequency, level) for frequency in frequencies for level in levels]
    mels = np.stack([_tone_mel(frequency, level) for frequency, level in tones])
    sounds = vocoded(vocoder, reconstructed(vae, mels, batch=batch), batch=batch)
    buzz, roughness, detuning = [], [], []
    for (frequency, _), sound in zip(tones, sounds, strict=True):
        strongest = strongest_line(sound)
        buzz.append(buzz_in_db(sound, frequency))
        roughness.append(buzz_in_db(sound, strongest, width=40.0))
        detuning.append(abs(strongest - frequency))
    return float(np.median(buzz)), float(np.median(roughness)), float(np.median(detuning))


def buzz_in_db(
    waveform: Float[np.ndarray, " samples"],
    frequency: float,
    *,
    width: float = _TONE_WIDTH_HZ,
    sampling_rate: int = SAMPLING_RATE,
) -> float:
    """Power farther than ``width`` hertz from a tone and its overtones, relative to that near the tone, in decibels.

    A quarter of a second at either end is left out, and so is what lies below 20 Hz, where nothing is heard. The rest
    is faded in and out by a Hann window.

    Raises:
        ValueError: when the sound lasts less than a second.
    """
    hertz, power = _spectrum(waveform, sampling_rate)
    # Silence has no strongest line: it is then said to be at 0 Hz.
    frequency = max(frequency, _LOWEST_HEARD_HZ)
    number = np.maximum(1.0, np.round(hertz / frequency))
    is_near = np.abs(hertz - number * frequency) <= width
    near_tone = power[is_near & (number == 1.0)].sum()
    return float(10.0 * np.log10((power[~is_near].sum() + _QUIETEST_POWER) / (near_tone + _QUIETEST_POWER)))


def strongest_line(waveform: Float[np.ndarray, " samples"], *, sampling_rate: int = SAMPLING_RATE) -> float:
    """Frequency in hertz of the highest peak of a sound's spectrum, to about half a hertz.

    Raises:
        ValueError: when the sound lasts less than a second.
    """
    hertz, power = _spectrum(waveform, sampling_rate)
    return float(hertz[np.argmax(power)])


def _spectrum(waveform: np.ndarray, sampling_rate: int) -> tuple[np.ndarray, np.ndarray]:
    if len(waveform) < sampling_rate:
        raise ValueError(f"waveform has {len(waveform)} samples; expected at least {sampling_rate}, which is a second")
    edge = round(_EDGE_SECONDS * sampling_rate)
    inner = np.asarray(waveform, np.float64)[edge:-edge]
    power = np.square(np.abs(np.fft.rfft(inner * np.hanning(len(inner)))))
    hertz = np.fft.rfftfreq(len(inner), 1.0 / sampling_rate)
    return hertz, np.where(hertz < _LOWEST_HEARD_HZ, 0.0, power)


def _tone_mel(frequency: float, level: float) -> Float32[np.ndarray, "frames mels"]:
    samples = round(_TONE_SECONDS * SAMPLING_RATE)
    tone = level * np.sin(2.0 * np.pi * frequency * np.arange(samples) / SAMPLING_RATE)
    return log_mel_spectrogram(tone, SAMPLING_RATE)[: samples // HOP_LENGTH]
