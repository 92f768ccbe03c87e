"""A small share of the damage that ``python -m tests.fuzz`` does."""

import random

import pytest

from tests.fuzz.command_lines import strange_arguments
from tests.fuzz.mutations import damaged_json
from tests.fuzz.runner import COMMAND_LINE, run_cases

# What reads these brings libraries whose processes may die of damage; the whole of it minds that.
OURS = ["native vae", "native text_encoder", "diffusers projection_model", "folder", "run", "adapter"]


def test_damaged_files_and_strange_options_are_one_documented_error_or_read_as_they_were():
    pytest.importorskip("orbax.checkpoint")
    found = run_cases(range(60), seed=1, kinds=[*OURS, "tokenizer", "tokenizer_2", "state", COMMAND_LINE])
    assert found.faults == []
    assert sum(found.outcomes.values()) == 60


def test_the_damage_of_a_case_is_always_the_same():
    content = b'{"a": [1, 2, {"b": "text"}]}'
    assert damaged_json(content, random.Random("1/2")) == damaged_json(content, random.Random("1/2"))
    assert strange_arguments(random.Random("1/2")) == strange_arguments(random.Random("1/2"))
