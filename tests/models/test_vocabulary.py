"""What a model says that it knows, and how near other words are to it."""

import json
from pathlib import Path
from typing import Any

import pytest

from litefocus_jax.models.vocabulary import SoundKind, Vocabulary, words_of
from litefocus_jax.system.json_config import ConfigError

SMALL = Vocabulary(
    {"rain": SoundKind(("rain", "rainfall"), ("rain on a roof",)), "bell": SoundKind(("bell", "church bell"))},
    frozenset({"a", "on", "loud"}),
)


@pytest.mark.parametrize("prompt", ["rain", "  RAIN!! ", "a loud Bell, on rain", "", "…"])
def test_case_and_punctuation_make_no_word_unknown(prompt: str) -> None:
    assert SMALL.unknown_words(prompt) == ()


def test_each_unknown_word_is_named_once_in_small_letters() -> None:
    assert SMALL.unknown_words("Der Regen, der Regen; 雨 don't") == ("der", "regen", "雨", "don't")


def test_kinds_whose_names_are_spelled_alike_are_near() -> None:
    assert SMALL.nearest_kinds("rian")[0] == "rain"
    assert SMALL.nearest_kinds("bells")[0] == "bell"
    assert SMALL.nearest_kinds("xyz") == ()


def test_words_are_read_as_a_tokenizer_reads_them() -> None:
    assert words_of("Don't  STOP—now, ﬁne_1") == ["don't", "stop", "now", "fine", "1"]


def test_a_vocabulary_comes_back_from_its_file(tmp_path: Path) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(SMALL.to_dict()))
    assert Vocabulary.from_file(path) == SMALL


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"kinds": {}}, "kinds = {}; expected an object with at least one kind"),
        ({"kinds": {"rain": ["rain"]}}, "the kind 'rain' is"),
        ({"kinds": {"rain": {"names": [], "prompts": []}}}, "names of 'rain' = .*at least one"),
        ({"words": "a b"}, "words = 'a b'; expected a list of texts"),
        ({"words": [1]}, "words = .*expected a list of texts"),
        ({"others": 1}, "expected 'kinds' and 'words'"),
    ],
)
def test_a_wrong_vocabulary_is_one_clear_error(tmp_path: Path, change: dict[str, Any], message: str) -> None:
    path = tmp_path / "vocabulary.json"
    path.write_text(json.dumps(SMALL.to_dict() | change))
    with pytest.raises(ConfigError, match=message):
        Vocabulary.from_file(path)
