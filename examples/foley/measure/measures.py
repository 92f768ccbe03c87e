"""Measures of sets of sounds and of single ones, on arrays alone: no model in sight."""

import dataclasses
from collections.abc import Sequence

import numpy as np
import scipy.signal
from jaxtyping import Bool, Float

from litefocus_jax.audio import log_mel_spectrogram

# What lies further under the loudest point is noise of the vocoder as likely as an attack: 52 dB.
_AUDIBLE_IN_NEPERS = 6.0
_PROMINENT = 0.25  # share of the steepest rise that counts as an attack
_SMOOTHED_OVER = 7  # frames of 10 ms, so that 15 attacks a second are still told apart


def all_named(logits: Float[np.ndarray, "sounds kinds"], kinds: Sequence[Sequence[int]]) -> Bool[np.ndarray, " sounds"]:
    """Whether the kinds of each sound are the likeliest ones: of two kinds, that both are among the first two.

    Args:
        logits: how surely each kind is heard.
        kinds: the places of the kinds that should be heard in each sound.

    Raises:
        ValueError: when there are not as many lists of kinds as sounds.
    """
    if len(logits) != len(kinds):
        raise ValueError(f"{len(kinds)} lists of kinds for {len(logits)} sounds; expected one for each")
    ranked = np.argsort(-np.asarray(logits), axis=1, kind="stable")
    return np.array([set(row[: len(set(asked))]) == set(asked) for row, asked in zip(ranked, kinds, strict=True)], bool)


def share_named(logits: Float[np.ndarray, "sounds kinds"], kinds: Sequence[Sequence[int]]) -> float:
    """The share of all asked-for kinds that are among the likeliest of their sound, as many as were asked for."""
    ranked = np.argsort(-np.asarray(logits), axis=1, kind="stable")
    found = [len(set(row[: len(set(asked))]) & set(asked)) for row, asked in zip(ranked, kinds, strict=True)]
    return sum(found) / sum(len(set(asked)) for asked in kinds)


def spectral_centroid(waveform: Float[np.ndarray, " samples"], sampling_rate: int) -> float:
    """Mean frequency in hertz, weighted by power; 0 for silence."""
    power = np.square(np.abs(np.fft.rfft(np.asarray(waveform, np.float64))))
    frequencies = np.fft.rfftfreq(len(waveform), 1.0 / sampling_rate)
    return float(np.sum(frequencies * power) / max(power.sum(), 1e-20))


def onset_rate(waveform: Float[np.ndarray, " samples"], sampling_rate: int) -> float:
    """How often a second the level of some mel bands rises anew.

    Attacks are peaks of the summed rises of the roots of magnitudes over 20 ms that stand out by a quarter of the
    highest.
    """
    mel = log_mel_spectrogram(np.asarray(waveform, np.float32), sampling_rate, n_fft=512)
    root = np.exp(np.maximum(mel, mel.max() - _AUDIBLE_IN_NEPERS) / 2.0)
    if len(root) < 3:
        return 0.0
    rise = np.convolve(np.maximum(root[2:] - root[:-2], 0.0).sum(axis=1), np.hanning(_SMOOTHED_OVER))
    if not rise.max() > 0.0:
        return 0.0
    peaks, _ = scipy.signal.find_peaks(rise, prominence=_PROMINENT * rise.max())
    return len(peaks) * sampling_rate / len(waveform)


@dataclasses.dataclass(frozen=True)
class Spread:
    """Mean and sample deviation of what several seeds gave; the deviation of a single one is not known."""

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Sequence[float]) -> "Spread":
        """The spread of at least one value.

        Raises:
            ValueError: when there is none.
        """
        if not values:
            raise ValueError("no values; expected at least one")
        return cls(float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else None, len(values))

    def text(self, form: str) -> str:
        """As ``mean ± deviation``, both in a format such as ``.2f`` or ``.0%``."""
        mean = format(self.mean, form)
        return mean if self.deviation is None else f"{mean} ± {format(self.deviation, form)}"
