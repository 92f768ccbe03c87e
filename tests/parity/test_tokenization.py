"""Tokenizers read without transformers, and those written without it, against transformers."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import transformers

from examples.foley.parts.tokenizers import save_tokenizers
from litefocus_jax.checkpoint.random_model import save_character_tokenizers
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.system.json_config import read_json

TEXTS = [
    "",
    " ",
    "rain",
    " a dog barks,  then\n\tbirds sing ",
    "Überraschung: 雨 und 🌧️ e\u0301",
    "rain</s> after <s>the <mask>end<pad> <unk> <extra_id_1>x",
    "thunder and rain " * 40,
]
LIMITS = [None, 1, 2, 3, 7, 36]
SPECIAL = {"lstrip": True, "rstrip": False, "normalized": False, "single_word": False}


def characters(folder: Path) -> tuple[Path, Path]:
    return save_character_tokenizers(folder)


def any_case(folder: Path) -> tuple[Path, Path]:
    return save_tokenizers(["a dog barks", "rain and thunder", "birds sing in the rain"], folder)


def words(folder: Path) -> tuple[Path, Path]:
    """The same for which case matters: transformers' own classes leave out a normaliser that stands in the file."""
    for tokenizer in (folders := any_case(folder)):
        change(tokenizer / "tokenizer.json", normalizer=None)
    return folders


def change(path: Path, **values: Any) -> None:
    path.write_text(json.dumps(read_json(path) | values))


def assert_equal(folder: Path, theirs: Any) -> None:
    ours = load_tokenizer(folder, 1000)
    assert (ours.size, ours.pad_token_id) == (len(theirs), theirs.pad_token_id)
    assert ours.model_max_length == theirs.model_max_length
    assert ours.special_ids >= set(theirs.all_special_ids)
    for limit in LIMITS:
        if limit is None or limit >= theirs.num_special_tokens_to_add():
            options = {} if limit is None else {"truncation": True, "max_length": limit}
            assert ours.ids(TEXTS, limit) == theirs(TEXTS, verbose=False, **options)["input_ids"]
    for tokens in ours.ids(TEXTS):
        assert ours.decode(tokens) == theirs.decode(tokens)
        assert ours.decode(tokens, skip_special_tokens=True) == theirs.decode(tokens, skip_special_tokens=True)


@pytest.mark.parametrize("write", [characters, words])
@pytest.mark.parametrize("reader", ["PreTrainedTokenizerFast", "AutoTokenizer"])
def test_ids_are_those_of_transformers(reader: str, write: Any, tmp_path: Path) -> None:
    for folder in write(tmp_path):
        assert_equal(folder, getattr(transformers, reader).from_pretrained(folder))


def test_a_normaliser_is_heeded_as_by_transformers(tmp_path: Path) -> None:
    for folder in any_case(tmp_path):
        assert_equal(folder, transformers.PreTrainedTokenizerFast.from_pretrained(folder))


def test_what_is_written_is_what_transformers_writes(tmp_path: Path) -> None:
    for folder, class_name in zip(words(tmp_path), ("RobertaTokenizer", "T5Tokenizer"), strict=True):
        theirs = transformers.AutoTokenizer.from_pretrained(folder)
        assert type(theirs).__name__ == class_name
        theirs.save_pretrained(tmp_path / "theirs")
        for file in ("tokenizer.json", "tokenizer_config.json"):
            ours, written = read_json(folder / file), read_json(tmp_path / "theirs" / file)
            assert {name: written.get(name) for name in ours} == ours
            assert written.keys() - ours.keys() <= {"is_local", "local_files_only", "additional_special_tokens"}


def test_what_older_files_say_of_padding_cutting_and_special_tokens_is_heeded(tmp_path: Path) -> None:
    for folder in characters(tmp_path):
        padding = {"strategy": {"Fixed": 9}, "direction": "Right", "pad_to_multiple_of": None, "pad_id": 1}
        padding |= {"pad_type_id": 0, "pad_token": "<pad>"}
        cutting = {"direction": "Right", "max_length": 5, "strategy": "LongestFirst", "stride": 0}
        change(folder / "tokenizer.json", padding=padding, truncation=cutting)
        names = {"pad_token": "<pad>", "eos_token": "</s>", "unk_token": {"content": "<unk>"} | SPECIAL}
        names["mask_token"] = {"content": "<mask>"} | SPECIAL
        (folder / "special_tokens_map.json").write_text(json.dumps(names))
        theirs = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
        assert_equal(folder, theirs)


@pytest.mark.parametrize("name", ["additional_special_tokens", "extra_special_tokens"])
def test_special_tokens_that_only_the_settings_name_are_added(name: str, tmp_path: Path) -> None:
    for folder in characters(tmp_path):
        (settings := read_json(folder / "tokenizer_config.json")).pop("extra_special_tokens", None)
        settings |= {name: ["<extra_id_0>", "<extra_id_1>"], "pad_token": "<padding>"}
        (folder / "tokenizer_config.json").write_text(json.dumps(settings))
        assert_equal(folder, transformers.PreTrainedTokenizerFast.from_pretrained(folder))


def test_tokens_of_a_decoder_are_added_as_they_are_described(tmp_path: Path) -> None:
    for folder in characters(tmp_path):
        number = load_tokenizer(folder, 1000).size
        tokens = {str(number): {"content": "<extra_id_1>", "special": True} | SPECIAL}
        tokens[str(number + 1)] = {"content": "dog", "special": False} | SPECIAL
        change(folder / "tokenizer_config.json", added_tokens_decoder=tokens, mask_token="<mask>")
        assert_equal(folder, transformers.PreTrainedTokenizerFast.from_pretrained(folder))


def test_special_tokens_in_a_text_can_be_split_like_others(tmp_path: Path) -> None:
    for folder in characters(tmp_path):
        change(folder / "tokenizer_config.json", split_special_tokens=True)
        assert_equal(folder, transformers.PreTrainedTokenizerFast.from_pretrained(folder))


def test_a_folder_without_tokenizer_json_is_left_to_transformers(tmp_path: Path) -> None:
    folder, _ = words(tmp_path)
    model = read_json(folder / "tokenizer.json")["model"]
    expected = load_tokenizer(folder, 1000).ids(TEXTS, 20)
    older = Path(shutil.copytree(folder, tmp_path / "older"))
    (older / "tokenizer.json").unlink()
    (older / "vocab.json").write_text(json.dumps(model["vocab"]))
    (older / "merges.txt").write_text("#version: 0.2\n" + "\n".join(" ".join(pair) for pair in model["merges"]))
    tokenizer = load_tokenizer(older, 1000)
    assert tokenizer.ids(TEXTS, 20) == expected
    assert tokenizer.decode(expected[2]) == "<s>rain</s>"
