"""Tokenizers as a checkpoint holds them, whole and damaged."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from litefocus_jax.models.t5 import T5Config
from litefocus_jax.models.tokenization import load_tokenizer, tokenize
from tests.support.models import tiny_checkpoint

VOCABULARY = T5Config.tiny().vocab_size


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint() / "tokenizer_2", tmp_path / "tokenizer_2")


def test_texts_are_padded_to_a_bucket_and_their_own_length_is_kept(folder: Path) -> None:
    tokens = tokenize(load_tokenizer(folder, VOCABULARY), ["rain", "a dog"])
    assert tokens.input_ids.shape == tokens.attention_mask.shape == (2, 16)
    assert tokens.length == tokens.attention_mask.sum(axis=1).max()
    assert np.all(tokens.input_ids[~tokens.attention_mask] == 0)


def test_a_tokenizer_without_its_vocabulary_is_refused(folder: Path) -> None:
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ValueError, match=r"without its vocabulary; expected spiece\.model or tokenizer\.json"):
        load_tokenizer(folder, VOCABULARY)


def test_a_damaged_tokenizer_is_refused_with_its_folder(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match="tokenizer_2 does not hold a tokenizer that transformers can read"):
        load_tokenizer(folder, VOCABULARY)


def test_a_tokenizer_without_a_longest_text_is_refused(folder: Path) -> None:
    path = folder / "tokenizer_config.json"
    values = json.loads(path.read_text())
    del values["model_max_length"]
    path.write_text(json.dumps(values))
    with pytest.raises(ValueError, match=r"tokenizer_config\.json has no model_max_length"):
        load_tokenizer(folder, VOCABULARY)


def test_a_tokenizer_that_knows_more_tokens_than_the_encoder_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="but the text encoder knows 50; they do not belong together"):
        load_tokenizer(folder, 50)
