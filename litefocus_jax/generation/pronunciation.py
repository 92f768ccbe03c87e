"""English text to phonemes, as the authors of AudioLDM2 make them: cleaned, then pronounced by espeak.

The library comes with the extra ``speech``, and is imported where it is used.
"""

import functools
import logging
import re
import unicodedata
from collections.abc import Callable, Mapping

from litefocus_jax.models.phonemes import SYMBOLS, describe_symbol
from litefocus_jax.system.extras import MissingExtraError, import_extra
from litefocus_jax.system.messages import shown

logger = logging.getLogger(__name__)

_PURPOSE = "transcription, to be turned into phonemes,"

# What espeak would not read out, without the full stop that ends it here.
_ABBREVIATIONS: Mapping[str, str] = {
    "mrs": "misess",
    "mr": "mister",
    "dr": "doctor",
    "st": "saint",
    "co": "company",
    "jr": "junior",
    "maj": "major",
    "gen": "general",
    "drs": "doctors",
    "rev": "reverend",
    "lt": "lieutenant",
    "hon": "honorable",
    "sgt": "sergeant",
    "capt": "captain",
    "esq": "esquire",
    "ltd": "limited",
    "col": "colonel",
    "ft": "fort",
}
_ABBREVIATION = re.compile(rf"\b({'|'.join(_ABBREVIATIONS)})\.")
_TYPOGRAPHY = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "\u201a": "'", "\u201c": '"', "\u201d": '"', "\u201e": '"', "\u2013": "-",
     "\u2014": "--", "ß": "ss", "æ": "ae", "œ": "oe", "ø": "o", "ł": "l", "đ": "d", "ð": "d", "þ": "th"}
)  # fmt: skip
_WHITESPACE = re.compile(r"\s+")


def cleaned(text: str) -> str:
    """A text as espeak gets it: small letters without accents, abbreviations written out, plain punctuation.

    >>> cleaned("Dr. Müller's café")
    "doctor muller's cafe"
    """
    plain = unicodedata.normalize("NFKD", text.lower().translate(_TYPOGRAPHY))
    plain = "".join(each for each in plain if not unicodedata.combining(each))
    return _ABBREVIATION.sub(lambda found: _ABBREVIATIONS[found[1]], plain)


def tidied(phonemes: str) -> str:
    """Phonemes with single spaces, and none around them."""
    return _WHITESPACE.sub(" ", phonemes).strip()


def phonemes_of(text: str) -> str:
    """The phonemes of an English text, with stress and punctuation, in the phonetic alphabet.

    Args:
        text: as it is written.

    Raises:
        MissingExtraError: when the library is not installed; the message says how to install it, and what to give in
            its place.
    """
    words = tidied(cleaned(text))
    return sayable(tidied(_pronounce()(words)), text) if words else ""


def sayable(phonemes: str, text: str) -> str:
    """Phonemes without symbols that models for speech have no number for, such as brackets; a warning names them.

    Args:
        phonemes: as the library writes them.
        text: that they are of, for the warning.
    """
    unknown = dict.fromkeys(symbol for symbol in phonemes if symbol not in SYMBOLS[1:])
    if unknown:
        logger.warning(
            "Of the transcription %s, %s is left out: models for speech have no number for it",
            shown(text),
            ", ".join(map(describe_symbol, unknown)),
        )
    return tidied("".join(symbol for symbol in phonemes if symbol not in unknown))


@functools.cache
def _pronounce() -> Callable[[str], str]:
    """American English by espeak, as the models for speech were trained with.

    Raises:
        MissingExtraError: when a package is missing.
    """
    try:
        phonemizer = import_extra("phonemizer", extra="speech", purpose=_PURPOSE)
        loader = import_extra("espeakng_loader", extra="speech", purpose=_PURPOSE)
    except MissingExtraError as error:
        raise MissingExtraError(
            f"{error}. Or write it in the phonetic alphabet (phonemes=..., --phonemes), which needs neither package"
        ) from None
    wrapper = import_extra("phonemizer.backend.espeak.wrapper", extra="speech", purpose=_PURPOSE).EspeakWrapper
    wrapper.set_library(loader.get_library_path())
    wrapper.set_data_path(loader.get_data_path())
    quiet = logging.getLogger(f"{__name__}.espeak")  # it warns of words that are said as one, such as "of a"
    quiet.setLevel(logging.ERROR)
    backend = phonemizer.backend.EspeakBackend(
        "en-us", preserve_punctuation=True, with_stress=True, language_switch="remove-flags", logger=quiet
    )
    return lambda text: backend.phonemize([text], strip=True)[0]
