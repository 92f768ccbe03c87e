"""The converter's command line on safetensors, without PyTorch; pickles are in parity/test_convert.py."""

import os
import shutil
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from typer.testing import CliRunner, Result

from convert import conversion
from convert.__main__ import app
from litefocus_jax.checkpoint import saving
from litefocus_jax.checkpoint.store import load_components
from tests.support.models import many_headed_checkpoint, tiny_checkpoint
from tests.support.stored_models import assert_same_model, change_tensors, tiny_diffusers_checkpoint


@pytest.fixture(scope="module")
def source() -> Path:
    return tiny_diffusers_checkpoint()


@pytest.fixture(autouse=True)
def _own_termination_handler() -> Iterator[None]:
    handler = signal.getsignal(signal.SIGTERM)
    yield
    signal.signal(signal.SIGTERM, handler)


def convert(*arguments: str | Path) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def test_a_diffusers_folder_is_converted(source: Path, tmp_path: Path) -> None:
    result = convert(source, tmp_path / "models" / "model")
    assert result.exit_code == 0, result.output
    assert "language_model" in result.stdout
    assert "total" in result.stdout
    assert_same_model(load_components(tmp_path / "models" / "model"), load_components(source))


def test_weights_are_written_in_the_asked_for_type(source: Path, tmp_path: Path) -> None:
    assert convert(source, tmp_path / "model", "--dtype", "bfloat16").exit_code == 0
    assert_same_model(load_components(tmp_path / "model"), load_components(source, "bfloat16"))


def test_an_existing_destination_is_refused_before_anything_is_read(tmp_path: Path) -> None:
    destination = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    result = convert("no/such/source/at/all", destination)
    assert result.exit_code == 1
    assert "exists; choose another destination, or overwrite it (--overwrite)" in result.stderr
    load_components(destination)


def test_overwrite_replaces_an_earlier_model(source: Path, tmp_path: Path) -> None:
    destination = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    (destination / "unet" / "model.safetensors").write_bytes(b"")
    assert convert(source, destination, "--overwrite").exit_code == 0
    assert_same_model(load_components(destination), load_components(source))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere", "model"), "nowhere does not exist; expected a folder, or a hub id"),
        (("SOURCE", "model", "--dtype", "int8"), "dtype = 'int8' is not supported"),
        (("SOURCE", "model", "--revision", "v1"), "revision = 'v1' is for models on the hub"),
    ],
)
def test_bad_arguments_are_one_error_and_nothing_is_written(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, arguments: tuple[str, ...], message: str
) -> None:
    monkeypatch.chdir(tmp_path)
    result = convert(*(source if argument == "SOURCE" else argument for argument in arguments))
    assert result.exit_code == 1
    assert result.stderr.startswith("error: ")
    assert message in result.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_broken_checkpoint_is_one_error_and_nothing_is_written(source: Path, tmp_path: Path) -> None:
    broken = shutil.copytree(source, tmp_path / "source")
    change_tensors(broken / "vocoder" / "model.safetensors", lambda tensors: tensors.pop("conv_pre.bias"))
    result = convert(broken, tmp_path / "model")
    assert result.exit_code == 1
    assert "conv_pre.bias [32]" in result.stderr
    assert list(tmp_path.iterdir()) == [broken]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_conversion_leaves_nothing(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: signal.Signals
) -> None:
    monkeypatch.setattr(saving, "write_json", lambda path, values: os.kill(os.getpid(), number))
    assert convert(source, tmp_path / "model").exit_code != 0
    assert list(tmp_path.iterdir()) == []


def test_pickles_are_downloaded_only_where_there_are_no_safetensors(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    snapshot = shutil.copytree(source, tmp_path / "snapshot")
    weights = snapshot / "vae" / "diffusion_pytorch_model.safetensors"
    hidden = weights.rename(tmp_path / "hidden")
    asked: list[list[str]] = []

    def download(name: str, *, revision: str | None, allow_patterns: list[str]) -> str:
        asked.append(allow_patterns)
        if len(asked) == 2:
            hidden.rename(weights)
        return str(snapshot)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    conversion.convert_checkpoint("org/name", tmp_path / "model")
    assert asked[1][0] == "vae/diffusion_pytorch_model.bin"
    assert all(pattern.startswith("vae/") for pattern in asked[1])


def test_a_converted_copy_says_the_heads_that_were_asked_for(tmp_path: Path) -> None:
    assert convert(many_headed_checkpoint(), tmp_path / "model", "--heads", "trained").exit_code == 0
    assert load_components(tmp_path / "model").unet.config.attention_head_dim == (1, 2)
    assert convert(many_headed_checkpoint(), tmp_path / "as-it-was").exit_code == 0
    assert load_components(tmp_path / "as-it-was").unet.config.attention_head_dim == 8
