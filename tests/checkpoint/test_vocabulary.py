"""A model's vocabulary travels with it, and is told before a sound is made."""

import dataclasses
import json
from pathlib import Path

import pytest

from litefocus_jax.checkpoint.diffusers import save_diffusers
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.store import load_components, open_checkpoint
from litefocus_jax.generation.request import make_request
from litefocus_jax.models.vocabulary import VOCABULARY, SoundKind, Vocabulary
from tests.support.command_line import run
from tests.support.models import tiny_checkpoint

RAIN = Vocabulary({"rain": SoundKind(("rain", "drizzle"), ("rain on a roof",))}, frozenset({"a", "loud"}))


def model_with_vocabulary(folder: Path, *, save=save_native) -> Path:
    save(dataclasses.replace(load_components(tiny_checkpoint()), vocabulary=RAIN), folder)
    return folder


def test_a_model_without_one_takes_any_word(caplog: pytest.LogCaptureFixture) -> None:
    checkpoint = open_checkpoint(str(tiny_checkpoint()))
    assert checkpoint.vocabulary is None
    make_request(checkpoint.facts, "anything at all")
    assert not caplog.records


@pytest.mark.parametrize("save", [save_native, save_diffusers])
def test_it_is_saved_and_opened_in_both_formats(tmp_path: Path, save) -> None:
    assert open_checkpoint(str(model_with_vocabulary(tmp_path / "model", save=save))).vocabulary == RAIN


def test_a_request_with_an_unknown_word_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    facts = open_checkpoint(str(model_with_vocabulary(tmp_path / "model"))).facts
    make_request(facts, ["a loud RAIN", "a drizle"], negative_prompt="blorp")
    named = [record.getMessage().split("taught ")[1].split(",")[0] for record in caplog.records]
    assert named == [
        "'drizle'",
        "'blorp'",
    ]


def test_a_damaged_one_is_one_clear_error(tmp_path: Path) -> None:
    folder = model_with_vocabulary(tmp_path / "model")
    (folder / VOCABULARY).write_text(json.dumps({"kinds": {}, "words": []}))
    with pytest.raises(CheckpointError, match=r"vocabulary\.json: kinds = {}; expected"):
        open_checkpoint(str(folder))


def test_info_prints_prompts_names_and_words(tmp_path: Path) -> None:
    printed = run("info", str(model_with_vocabulary(tmp_path / "model")), "--prompts").stdout
    assert "rain: 'rain on a roof'\n    also rain, drizzle" in printed
    assert "Other words: a, loud" in printed


def test_info_of_a_model_without_one_says_that_it_takes_any_text() -> None:
    failed = run("info", str(tiny_checkpoint()), "--prompts")
    assert failed.exit_code == 1
    assert "has no vocabulary.json" in failed.stderr
