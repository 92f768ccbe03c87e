"""The converter on files of AudioLDM, MusicLDM, audioldm_48k and audioldm_16k_crossattn_t5."""

import functools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from convert.__main__ import app
from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.store import load_components, open_checkpoint
from tests.support.command_line import run
from tests.support.folders import new_path
from tests.support.models import tiny_checkpoint
from tests.support.originals import FIRST, FULL, OF_48K, OF_T5, small
from tests.support.stored_models import assert_same_model


def convert(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def words(text: str) -> str:
    return " ".join(text.split())


@functools.cache
def original(name: str) -> Path:
    """A small model in the file of its authors, with what a training went on with beside it."""
    state = {key: torch.from_numpy(np.array(each)) for key, each in small(name).items()}
    moments = {"exp_avg": torch.full((7,), torch.nan)}  # never looked at, and so never found not to be finite
    training = {"optimizer_states": [{"state": {0: moments}, "param_groups": [{"lr": 1e-4}]}], "epoch": 3}
    path = new_path(f"{name}.ckpt")
    torch.save({"state_dict": state, **training}, path)
    return path


@functools.cache
def converted(name: str) -> Path:
    folder = original(name).with_name("native")
    result = convert(original(name), folder, "--tokenizers", tiny_checkpoint())
    assert result.exit_code == 0, result.output
    assert ("moving average is taken, with which its authors sample" in words(result.stderr)) == (name == FIRST)
    return folder


@pytest.mark.parametrize(("name", "of", "tokenizer", "rate"), [
    (FIRST, "AudioLDM", "tokenizer", 16000), (OF_48K, "AudioLDM", "tokenizer", 48000),
    (OF_T5, "AudioLDM-T5", "tokenizer_2", 16000),
])  # fmt: skip
def test_a_file_becomes_a_native_folder_of_its_type_with_its_own_tokenizer(
    name: str, of: str, tokenizer: str, rate: int
) -> None:
    checkpoint = open_checkpoint(converted(name))
    assert checkpoint.model_type.name == of
    assert checkpoint.facts.geometry.sampling_rate == rate
    assert checkpoint.configs["unet"].num_heads_per_level == (1, 2, 3, 5)
    own = converted(name) / "tokenizer" / "tokenizer.json"
    assert own.read_bytes() == (tiny_checkpoint() / tokenizer / "tokenizer.json").read_bytes()


def test_an_exported_model_and_safetensors_with_the_same_keys_are_converted_to_the_same_one(tmp_path: Path) -> None:
    exported = tmp_path / "exported.safetensors"
    result = run("export", converted(OF_48K), exported, "--format", "original")
    assert result.exit_code == 0, result.output
    same = tmp_path / "same.safetensors"
    safetensors_files.write_file(same, {key: np.asarray(each) for key, each in small(OF_48K).items()})
    for number, path in enumerate((exported, same)):
        folder = tmp_path / str(number)
        result = convert(path, folder, "--tokenizers", tiny_checkpoint() / "tokenizer", "--variant", OF_48K)
        assert result.exit_code == 0, result.output
        assert_same_model(load_components(folder), load_components(converted(OF_48K)))


def test_musicldm_is_said_by_its_name() -> None:
    folder = original(FIRST).with_name("musicldm")
    options = ("--tokenizers", tiny_checkpoint(), "--variant", "musicldm", "--weights", "model")
    result = convert(original(FIRST), folder, *options)
    assert result.exit_code == 0, result.output
    checkpoint = open_checkpoint(folder)
    assert (checkpoint.model_type.name, checkpoint.defaults.guidance_scale) == ("MusicLDM", 2.0)


def refused(path: Path, tmp_path: Path, *options: Any) -> str:
    result = convert(path, tmp_path / "native", *options)
    assert result.exit_code == 1, result.output
    assert not (tmp_path / "native").exists()
    assert "Traceback" not in result.output
    return words(result.stderr)


@pytest.mark.parametrize(("options", "message"), [
    (("--variant", FULL), "is not audioldm2-full: it is an AudioLDM of the first version"),
    (("--variant", OF_48K), "and audioldm_48k is an AudioLDM of AudioLDM2's code, conditioned on CLAP alone"),
    (("--variant", "audioldm"), "variant = 'audioldm'; expected one of audioldm2-full"),
])  # fmt: skip
def test_what_the_file_is_not_is_one_clear_error(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in refused(original(FIRST), tmp_path, "--tokenizers", tiny_checkpoint(), *options)


def test_a_truncated_file_is_one_clear_error(tmp_path: Path) -> None:
    content = original(FIRST).read_bytes()
    path = tmp_path / "model.ckpt"
    path.write_bytes(content[: len(content) * 9 // 10])
    assert "model.ckpt is damaged" in refused(path, tmp_path, "--tokenizers", tiny_checkpoint())
