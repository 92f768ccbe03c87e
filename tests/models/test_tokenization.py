"""Tokenizers as a checkpoint holds them, whole and damaged."""

import dataclasses
import json
import shutil
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.models.t5 import T5Config
from litefocus_jax.models.tokenization import tokenize, tokenize_for_each
from litefocus_jax.system.extras import MissingExtraError
from litefocus_jax.system.json_config import ConfigError
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
    with pytest.raises(ValueError, match=r"without its vocabulary; expected tokenizer\.json or vocab\.json or"):
        load_tokenizer(folder, VOCABULARY)


def test_a_damaged_tokenizer_is_refused_with_its_folder(folder: Path) -> None:
    (folder / "tokenizer.json").write_text("{")
    with pytest.raises(ValueError, match=r"tokenizer_2/tokenizer\.json is not a tokenizer"):
        load_tokenizer(folder, VOCABULARY)


@pytest.mark.parametrize(
    "text",
    [
        "[" * 100_000 + "]" * 100_000,
        "[]",
        '{"model": null}',
        '{"model": {"type": "Unigram", "vocab": []}}',
        '{"model": {"type": "BPE", "vocab": {}, "merges": []}}',
        '{"model": {"type": "BPE", "vocab": {"a": -1}, "merges": []}}',
    ],
    ids=len,
)
def test_json_that_is_no_tokenizer_is_one_error(folder: Path, text: str) -> None:
    (folder / "tokenizer.json").write_text(text)
    with pytest.raises(ConfigError, match=r"tokenizer_2/tokenizer\.json is not a tokenizer"):
        load_tokenizer(folder, VOCABULARY)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"model_max_length": None}, "has no model_max_length; expected the longest text in tokens"),
        ({"model_max_length": 10**30}, "has no model_max_length"),
        ({"model_max_length": "64"}, "model_max_length = '64'; expected the longest text in tokens"),
        ({"model_max_length": 1}, "model_max_length = 1; expected more than the 1 tokens that stand around a text"),
        ({"model_max_length": 0}, "model_max_length = 0; expected the longest text in tokens"),
        ({"model_max_length": -5}, "model_max_length = -5; expected"),
        ({"model_max_length": 64.5}, "model_max_length = 64.5; expected"),
        ({"model_max_length": 10**12}, "model_max_length = 1000000000000; expected at most 1,000,000"),
        ({"split_special_tokens": 1}, "split_special_tokens = 1; expected true or false"),
        ({"added_tokens_decoder": {"x": "y"}}, "added_tokens_decoder = .*; expected tokens by number"),
        ({"extra_special_tokens": "x"}, "extra_special_tokens = 'x'; expected a list"),
        ({"pad_token": None}, "has no pad_token; expected"),
        ({"pad_token": 3}, "has 3 among its tokens; expected a text"),
        ({"padding_side": "left"}, "padding_side = 'left'; expected 'right'"),
        ({"truncation_side": "left"}, "truncation_side = 'left'; expected 'right'"),
    ],
)
def test_settings_that_cannot_be_used_are_named(folder: Path, changes: dict[str, Any], message: str) -> None:
    path = folder / "tokenizer_config.json"
    values = json.loads(path.read_text()) | changes
    path.write_text(json.dumps({name: value for name, value in values.items() if value is not None}))
    with pytest.raises(ValueError, match=rf"tokenizer_config\.json:? {message}"):
        load_tokenizer(folder, VOCABULARY)


def test_what_an_older_folder_needs_is_named_where_it_is_not_installed(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (folder / "tokenizer.json").rename(folder / "spiece.model")
    monkeypatch.setitem(sys.modules, "transformers", None)
    message = (
        r"a tokenizer without a tokenizer\.json needs the package transformers, .*pip install -e '\.\[transformers\]'"
    )
    with pytest.raises(MissingExtraError, match=message):
        load_tokenizer(folder, VOCABULARY)


def test_a_sound_is_made_without_transformers() -> None:
    script = """
        import sys
        from litefocus_jax import AudioLDM2Pipeline
        AudioLDM2Pipeline.from_pretrained("foley")("rain", audio_length_in_s=0.2, num_inference_steps=1)
        assert "transformers" not in sys.modules
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(script)], check=True)


def test_a_tokenizer_that_knows_more_tokens_than_the_encoder_is_refused(folder: Path) -> None:
    with pytest.raises(ValueError, match="but the text encoder knows 50; they do not belong together"):
        load_tokenizer(folder, 50)


def test_prompts_that_both_encoders_cut_are_warned_of_once_and_briefly(
    folder: Path, caplog: pytest.LogCaptureFixture
) -> None:
    short = dataclasses.replace(load_tokenizer(folder, VOCABULARY), model_max_length=4)
    texts = [f"{'rain ' * 100}{number}" for number in range(5)]
    tokenize_for_each((short, short), texts)
    messages = [record.getMessage() for record in caplog.records]
    assert len(messages) == 4
    assert max(map(len, messages)) < 320
    assert messages[-1] == "2 more prompts are too long, and cut in the same way"
