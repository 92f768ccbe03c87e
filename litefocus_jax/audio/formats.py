"""Formats of sound files and pictures: what a suffix means, and what can be written in it."""

import dataclasses
from collections.abc import Collection, Mapping
from pathlib import Path

import soundfile

FLOATING_SUBTYPES = ("FLOAT", "DOUBLE")
"""Sample formats that hold more than full scale."""

PICTURE_FORMATS = (".png",)
"""Suffixes of pictures."""


@dataclasses.dataclass(frozen=True)
class SoundFormat:
    """What can be written under a suffix.

    Attributes:
        container: as libsndfile names it.
        subtypes: sample formats or codecs that can be written, as soundfile names them; the usual one first.
        rates: samples per second, the least and the most, or all that there are where ``is_rate_listed``.
        is_rate_listed: whether only the rates in ``rates`` are possible.
    """

    container: str
    subtypes: tuple[str, ...]
    rates: tuple[int, ...]
    is_rate_listed: bool = False

    @property
    def rates_in_words(self) -> str:
        """The rates, as a message says them."""
        if self.is_rate_listed:
            return ", ".join(map(str, self.rates))
        return f"{self.rates[0]} to {self.rates[-1]}"


# libsndfile names a codec for WAV that it cannot write, and one that it ends with noise.
_BROKEN_IN_WAV = ("MPEG_LAYER_III", "GSM610")
_WAV = tuple(name for name in soundfile.available_subtypes("WAV") if name not in ("PCM_16", *_BROKEN_IN_WAV))
_MP3_RATES = (8000, 11025, 12000, 16000, 22050, 24000, 32000, 44100, 48000)
_OPUS_RATES = (8000, 12000, 16000, 24000, 48000)

SOUND_FORMATS: Mapping[str, SoundFormat] = {
    ".wav": SoundFormat("WAV", ("PCM_16", *_WAV), (1, 2**31 - 1)),
    ".flac": SoundFormat("FLAC", ("PCM_16", "PCM_24", "PCM_S8"), (1, 655_350)),
    ".mp3": SoundFormat("MP3", ("MPEG_LAYER_III",), _MP3_RATES, is_rate_listed=True),
    ".ogg": SoundFormat("OGG", ("VORBIS",), (1000, 200_000)),  # far above, the encoder crashes
    ".opus": SoundFormat("OGG", ("OPUS",), _OPUS_RATES, is_rate_listed=True),
}
"""Formats of sound by suffix, the usual one first."""


def sound_format(path: Path, subtype: str | None = None, sampling_rate: int | None = None) -> tuple[SoundFormat, str]:
    """The format of a sound file, and its sample format or codec.

    Args:
        path: its suffix says the format.
        subtype: as soundfile names it; the usual one of the format unless given.
        sampling_rate: samples per second; not checked unless given.

    Raises:
        ValueError: when the suffix is unknown, or the format has no such subtype or sampling rate.
    """
    check_suffix(path, SOUND_FORMATS, "a sound")
    suffix = path.suffix.lower()
    known = SOUND_FORMATS[suffix]
    chosen = known.subtypes[0] if subtype is None else subtype
    if chosen not in known.subtypes:
        raise ValueError(
            f"subtype = {subtype!r} is not a sample format of {suffix[1:].upper()}; expected one of "
            f"{', '.join(sorted(known.subtypes))}"
        )
    if sampling_rate is not None:
        is_known = sampling_rate in known.rates
        if not (is_known if known.is_rate_listed else known.rates[0] <= sampling_rate <= known.rates[-1]):
            raise ValueError(
                f"{path}: {suffix} cannot hold {sampling_rate} samples per second; expected {known.rates_in_words}: "
                "ask for another rate (sample_rate, --sample-rate), or write another format"
            )
    return known, chosen


def check_suffix(path: Path, suffixes: Collection[str], what: str) -> None:
    """Refuse a file name by its suffix.

    Raises:
        ValueError: naming the suffixes that there are.
    """
    if path.suffix.lower() not in suffixes:
        raise ValueError(f"{path} has the suffix {path.suffix!r}; expected {in_words(suffixes)} for {what}")


def in_words(suffixes: Collection[str]) -> str:
    """Suffixes as a message lists them."""
    *others, last = suffixes
    return f"{', '.join(others)} or {last}" if others else last
