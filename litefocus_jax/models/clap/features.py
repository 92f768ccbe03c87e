"""What CLAP's tower for sound sees: transformers' ``ClapFeatureExtractor``, with choices that can be repeated."""

import dataclasses
from typing import ClassVar, NamedTuple, Self

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.decibels import mel_decibels
from litefocus_jax.audio.htk_mel import htk_filters
from litefocus_jax.audio.mel import mel_filters
from litefocus_jax.audio.waveforms import checked
from litefocus_jax.system.json_config import ConfigError, JsonConfig

FEATURES_FILE = "preprocessor_config.json"
"""Where a checkpoint has a `ClapFeaturesConfig`."""


@dataclasses.dataclass(frozen=True)
class ClapFeaturesConfig(JsonConfig):
    """Fields of transformers' ``ClapFeatureExtractor`` JSON.

    Attributes:
        feature_size: mel bins.
        sampling_rate: of the sound, in hertz.
        hop_length: samples between two frames.
        max_length_s: seconds that the network sees.
        fft_window_size: samples of a window.
        frequency_min: where the lowest bin begins, in hertz.
        frequency_max: where the highest bin ends, in hertz.
        truncation: what is seen of longer sounds: ``"fusion"`` for three pieces and a shrunken whole, ``"rand_trunc"``
            for one piece. It also says the scale of mel: HTK's with ``"fusion"``, Slaney's otherwise.
        padding: what fills shorter sounds up: ``"repeatpad"``, ``"repeat"`` or ``"pad"``.
    """

    STRICT = False
    REQUIRED: ClassVar = {"feature_extractor_type": ("ClapFeatureExtractor",), "padding_value": (0.0, 0)}

    feature_size: int = 64
    sampling_rate: int = 48000
    hop_length: int = 480
    max_length_s: float = 10
    fft_window_size: int = 1024
    frequency_min: float = 0.0
    frequency_max: float = 14000.0
    truncation: str = "fusion"
    padding: str = "repeatpad"

    def __post_init__(self) -> None:
        for field, known in (("truncation", ("fusion", "rand_trunc")), ("padding", ("repeatpad", "repeat", "pad"))):
            if getattr(self, field) not in known:
                raise ConfigError(f"{field} = {getattr(self, field)!r}; expected {' or '.join(map(repr, known))}")

    @property
    def samples(self) -> int:
        """That the network sees."""
        return int(self.max_length_s * self.sampling_rate)

    @property
    def frames(self) -> int:
        """Of the spectrogram that the network sees."""
        return self.samples // self.hop_length + 1

    @classmethod
    def tiny(cls) -> Self:
        """A third of a second at 8 kHz."""
        return cls(
            feature_size=8,
            sampling_rate=8000,
            hop_length=80,
            max_length_s=0.3,
            fft_window_size=256,
            frequency_max=4000.0,
        )


class ClapFeatures(NamedTuple):
    """What the network sees of one sound.

    Attributes:
        mel: ``[4, frames, mels]`` with ``"fusion"``: the whole and three pieces; ``[1, frames, mels]`` otherwise.
        is_longer: whether the sound is longer than the network sees, so that the pieces differ from the whole.
    """

    mel: Float[np.ndarray, "pieces frames mels"]
    is_longer: bool


def clap_features(
    waveform: Float[np.ndarray, " samples"],
    config: ClapFeaturesConfig,
    *,
    generator: np.random.Generator | None = None,
) -> ClapFeatures:
    """The features of one sound.

    Two things are otherwise than in transformers. Where pieces of a longer sound are drawn there by NumPy's global
    generator, they are the middle ones here, unless a generator is given, so that a sound always has the same features.
    And where no sound of a batch is long, transformers marks one, drawn at random, as longer; here none is, as in the
    original CLAP outside of training, and a sound's features depend on no other sound.

    Args:
        waveform: at ``config.sampling_rate``.
        config: of the extractor.
        generator: draws the pieces of longer sounds.

    Raises:
        ValueError: when the waveform is empty, not one-dimensional, or not finite.
    """
    waveform = checked(waveform)
    longest = config.samples
    if config.truncation == "rand_trunc":
        is_longer = len(waveform) > longest
        start = _choose(len(waveform) - longest + 1, generator) if is_longer else 0
        mel = _log_mel(_filled(waveform[start : start + longest], config), config)
        return ClapFeatures(mel[None], is_longer)
    mel = _log_mel(_filled(waveform, config), config)
    if len(mel) == config.frames:  # which up to a hop more than the network sees has, too
        return ClapFeatures(np.stack([mel] * 4), False)
    thirds = np.array_split(np.arange(len(mel) - config.frames + 1), 3)
    starts = [int(third[_choose(len(third), generator)]) if len(third) else 0 for third in thirds]
    pieces = [mel[start : start + config.frames] for start in starts]
    return ClapFeatures(np.stack([_shrunken(mel, config.frames), *pieces]), True)


def _choose(count: int, generator: np.random.Generator | None) -> int:
    """One of so many, or the middle one."""
    return (count - 1) // 2 if generator is None else int(generator.integers(count))


def _filled(waveform: Float[np.ndarray, " samples"], config: ClapFeaturesConfig) -> Float[np.ndarray, " samples"]:
    """A sound that is at least as long as what the network sees."""
    missing = config.samples - len(waveform)
    if missing <= 0:
        return waveform
    if config.padding == "repeat":
        return np.resize(waveform, config.samples)
    if config.padding == "repeatpad":
        waveform = np.tile(waveform, config.samples // len(waveform))
    return np.pad(waveform, (0, config.samples - len(waveform)))


def _log_mel(waveform: Float[np.ndarray, " samples"], config: ClapFeaturesConfig) -> Float[np.ndarray, "frames mels"]:
    make = htk_filters if config.truncation == "fusion" else mel_filters
    filters = make(
        config.sampling_rate,
        n_fft=config.fft_window_size,
        num_mels=config.feature_size,
        fmin=config.frequency_min,
        fmax=config.frequency_max,
    )
    return mel_decibels(waveform, filters, hop_length=config.hop_length)


def _shrunken(mel: Float[np.ndarray, "many mels"], frames: int) -> Float[np.ndarray, "frames mels"]:
    """A spectrogram of fewer frames, linear between neighbours (PyTorch's ``bilinear``, without aligned corners)."""
    places = np.maximum((np.arange(frames) + 0.5) * (len(mel) / frames) - 0.5, 0.0)
    before = places.astype(int)
    after = np.minimum(before + 1, len(mel) - 1)
    share = (places - before)[:, None]
    return ((1.0 - share) * mel[before] + share * mel[after]).astype(np.float32)
