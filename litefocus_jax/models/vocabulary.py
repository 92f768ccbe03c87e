"""What a small model knows by name: the kinds of sound it makes, and the words it was taught."""

import dataclasses
import difflib
import functools
import re
import unicodedata
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from litefocus_jax.system.json_config import ConfigError, read_json
from litefocus_jax.system.messages import shown

VOCABULARY = "vocabulary.json"
"""The file in a model's folder; only small models, which do not know many words, have one."""

_WORD = re.compile(r"[^\W_]+(?:'[^\W_]+)*")
_LEAST_LIKENESS = 0.5  # of two words that somebody may have meant the same by, by difflib's ratio
_MOST_KINDS = 2  # that a word can name and still tell them from others


@dataclasses.dataclass(frozen=True)
class SoundKind:
    """One kind of sound.

    Attributes:
        names: what it is called, its own name first.
        prompts: examples of prompts for it.
    """

    names: tuple[str, ...]
    prompts: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Vocabulary:
    """The kinds of sound and the words that a model knows; ``vocabulary.json`` in its folder.

    Attributes:
        kinds: of sound, by name.
        words: that say something about a sound, or lead up to it: all that the model was taught beside the names.
    """

    kinds: Mapping[str, SoundKind]
    words: frozenset[str]

    @classmethod
    def from_file(cls, path: Path) -> Self:
        """Read the file that `to_dict` makes.

        Raises:
            ConfigError: when it cannot be read, or anything in it is missing, unknown or of another type.
        """
        values = read_json(path)
        if set(values) != {"kinds", "words"}:
            raise ConfigError(f"{path} has the keys {shown(list(values))}; expected 'kinds' and 'words'")
        kinds = values["kinds"]
        if not isinstance(kinds, dict) or not kinds:
            raise ConfigError(f"{path}: kinds = {shown(kinds)}; expected an object with at least one kind")
        for name, kind in kinds.items():
            if not isinstance(kind, dict) or set(kind) != {"names", "prompts"}:
                raise ConfigError(
                    f"{path}: the kind {shown(name)} is {shown(kind)}; expected an object of 'names' and 'prompts'"
                )
        return cls(
            {
                name: SoundKind(
                    _texts(path, f"names of {shown(name)}", kind["names"], least=1),
                    _texts(path, f"prompts of {shown(name)}", kind["prompts"]),
                )
                for name, kind in kinds.items()
            },
            frozenset(_texts(path, "words", values["words"])),
        )

    def to_dict(self) -> dict[str, Any]:
        """The JSON object that `from_file` reads back."""
        kinds = {name: {"names": list(kind.names), "prompts": list(kind.prompts)} for name, kind in self.kinds.items()}
        return {"kinds": kinds, "words": sorted(self.words)}

    def unknown_words(self, prompt: str) -> tuple[str, ...]:
        """The words of a prompt that the model was never taught, in small letters, each once."""
        known = (self.words, self._kinds_by_word)
        return tuple(dict.fromkeys(word for word in words_of(prompt) if not any(word in words for words in known)))

    def nearest_kinds(self, word: str, count: int = 3) -> tuple[str, ...]:
        """The kinds that have a name spelled like a word, the likest first; none where nothing is like it."""
        # Words that many kinds share, such as "of", tell none of them.
        kinds = {known: kinds for known, kinds in self._kinds_by_word.items() if len(kinds) <= _MOST_KINDS}
        near = difflib.get_close_matches(word, kinds, n=2 * count, cutoff=_LEAST_LIKENESS)
        return tuple(dict.fromkeys(kind for known in near for kind in kinds[known]))[:count]

    @functools.cached_property
    def _kinds_by_word(self) -> dict[str, tuple[str, ...]]:
        found: dict[str, dict[str, None]] = {}
        for kind, described in self.kinds.items():
            for name in described.names:
                for word in words_of(name):
                    found.setdefault(word, {})[kind] = None
        return {word: tuple(kinds) for word, kinds in found.items()}


def words_of(text: str) -> list[str]:
    """The words of a text in small letters, without punctuation."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def _texts(path: Path, name: str, values: Any, *, least: int = 0) -> tuple[str, ...]:
    is_list = isinstance(values, Sequence) and not isinstance(values, str)
    if not is_list or len(values) < least or not all(map(_is_text, values)):
        raise ConfigError(
            f"{path}: {name} = {shown(values)}; expected a list of texts{', at least one' if least else ''}"
        )
    return tuple(values)


def _is_text(value: Any) -> bool:
    return isinstance(value, str) and bool(value) and value.isprintable()
