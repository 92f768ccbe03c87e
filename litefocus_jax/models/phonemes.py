"""Phonemes as numbers: the symbols that models for speech know, and their tokenizer."""

import dataclasses
import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from litefocus_jax.models.tokenization import Tokenizer
from litefocus_jax.system.json_config import ConfigError, read_json
from litefocus_jax.system.messages import shown

logger = logging.getLogger(__name__)

TOKENIZER_CLASS = "VitsTokenizer"
"""transformers' name for a tokenizer that writes each symbol as a number."""

VOCABULARY_FILE = "vocab.json"
LONGEST = 310
"""Symbols that the published models take, the one that ends them included."""

_PADDING = "_"
_PUNCTUATION = ';:,.!?¡¿—…"«»“” '
_LETTERS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
# The International Phonetic Alphabet as espeak writes it; the apostrophe stands twice, and the second one counts.
_PHONETIC = (
    "ɑɐɒæɓʙβɔɕçɗɖðʤəɘɚɛɜɝɞɟʄɡɠɢʛɦɧħɥʜɨɪʝɭɬɫɮʟɱɯɰŋɳɲɴøɵɸθœɶʘɹɺɾɻʀʁɽʂʃʈʧʉʊʋⱱʌɣɤʍχʎʏʑʐʒʔʡʕʢǀǁǂǃˈˌːˑʼʴʰʱʲʷˠˤ˞↓↑→↗↘'̩'ᵻ"
)
_MARKS = "♪☎☒☝⚠"  # the last one ends what is said
SYMBOLS = (_PADDING, *_PUNCTUATION, *_LETTERS, *_PHONETIC, *_MARKS)
"""The symbols of the published models, by number."""

_SHOWN = 120  # characters of what is cut off, in a warning


class UnknownPhonemesError(ValueError):
    """Phonemes that a model has no number for."""


def symbol_numbers() -> dict[str, int]:
    """The numbers of `SYMBOLS`."""
    return {symbol: number for number, symbol in enumerate(SYMBOLS)}


@dataclasses.dataclass(frozen=True)
class PhonemeTokenizer(Tokenizer):
    """A number for each phoneme, and one that ends them.

    Attributes:
        numbers: of the symbols.
        end_id: number of the symbol that ends what is said: the last that the encoder knows, as in diffusers.
    """

    numbers: Mapping[str, int]
    end_id: int

    def ids(self, texts: Sequence[str], max_length: int | None = None) -> list[list[int]]:
        """The numbers of phonemes, and the one that ends them, which is cut off too where there is no room.

        Raises:
            UnknownPhonemesError: naming the symbols that have no number.
        """
        for text in texts:
            if unknown := self.unknown(text):
                raise UnknownPhonemesError(
                    f"the phonemes {shown(text)} hold {', '.join(map(describe_symbol, unknown))}, which the model has "
                    "no number for; expected the phonetic alphabet as espeak writes it, such as h\u0259l\u02c8o\u028a"
                )
        return [[*(self.numbers[symbol] for symbol in text), self.end_id][:max_length] for text in texts]

    def unknown(self, text: str) -> tuple[str, ...]:
        """The symbols of a text that have no number, each once; that of padding is none that can be said."""
        return tuple(
            dict.fromkeys(symbol for symbol in text if self.numbers.get(symbol, self.pad_token_id) == self.pad_token_id)
        )

    def decode(self, ids: Sequence[int], *, skip_special_tokens: bool = False) -> str:
        """The phonemes that numbers stand for."""
        symbols = {number: symbol for symbol, number in self.numbers.items()}
        dropped = self.special_ids if skip_special_tokens else frozenset()
        return "".join(symbols.get(number, "") for number in ids if number not in dropped)

    def fitting(self, phonemes: Sequence[str]) -> list[list[int]]:
        """The numbers of phonemes, cut to the most that the model takes; a warning says what is lost."""
        whole, cut = self.ids(phonemes), self.ids(phonemes, self.model_max_length)
        for full, kept in zip(whole, cut, strict=True):
            lost = self.decode(full[len(kept) : -1])
            if lost:
                logger.warning(
                    "What is to be said is cut to %d phonemes, the most that the model takes; this part is lost: %r",
                    len(kept),
                    lost if len(lost) <= _SHOWN else f"{lost[:_SHOWN]} ...",
                )
        return cut


def describe_symbol(symbol: str) -> str:
    """A symbol with its number in Unicode, since many of them look alike.

    >>> describe_symbol("ʍ")
    "'ʍ' (U+028D)"
    """
    return f"{symbol!r} (U+{ord(symbol):04X})"


def is_phoneme_tokenizer(folder: Path) -> bool:
    """Whether a folder holds one."""
    settings = folder / "tokenizer_config.json"
    return (
        settings.exists()
        and (folder / VOCABULARY_FILE).exists()
        and read_json(settings).get("tokenizer_class") == TOKENIZER_CLASS
    )


def load_phoneme_tokenizer(folder: Path, vocabulary: int, model_max_length: Any) -> PhonemeTokenizer:
    """The tokenizer in a folder, as transformers saves its ``VitsTokenizer``.

    Args:
        folder: holds ``vocab.json`` and ``tokenizer_config.json``.
        vocabulary: number of symbols that the encoder knows.
        model_max_length: a checked limit.

    Raises:
        ConfigError: when a file is malformed, or says what the models for speech were not trained with.
    """
    path = folder / "tokenizer_config.json"
    settings, numbers = read_json(path), read_json(folder / VOCABULARY_FILE)
    for name, default, expected in (("add_blank", True, False), ("phonemize", True, True), ("is_uroman", False, False)):
        if (found := settings.get(name, default)) is not expected:
            raise ConfigError(f"{path}: {name} = {shown(found)}; expected {expected}, as AudioLDM2 was trained")
    if not numbers or not all(type(number) is int and 0 <= number < 2**31 for number in numbers.values()):
        raise ConfigError(f"{folder / VOCABULARY_FILE} is no vocabulary; expected a number for each symbol")
    padding = settings.get("pad_token")
    padding = padding.get("content") if isinstance(padding, dict) else padding
    if not isinstance(padding, str) or numbers.get(padding) != 0:
        raise ConfigError(f"{path}: pad_token = {shown(padding)}; expected the symbol of number 0")
    return PhonemeTokenizer(
        pad_token_id=0,
        model_max_length=model_max_length,
        size=max(numbers.values()) + 1,
        special_ids=frozenset({0, vocabulary - 1}),
        numbers=numbers,
        end_id=vocabulary - 1,
    )
