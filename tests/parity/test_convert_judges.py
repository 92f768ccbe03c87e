"""Judges' pickles, as they are published, made safetensors."""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from typer.testing import CliRunner

from convert.__main__ import app
from convert.judges import convert_judge
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.judges import load_aisfx, load_cnn14, load_vggish
from tests.support.judges import aisfx_file, cnn14_file, cnn14_tensors, vggish_file


def as_torch(tensors: dict[str, np.ndarray]) -> dict[str, torch.Tensor]:
    return {name: torch.from_numpy(tensor.copy()) for name, tensor in tensors.items()}


@pytest.mark.parametrize("zipped", [True, False])
def test_the_file_of_panns_is_converted(tmp_path: Path, zipped: bool) -> None:
    tensors = cnn14_tensors()
    counts = {"bn0.num_batches_tracked": torch.tensor(7)}
    published = {"iteration": 600000, "model": as_torch(tensors) | counts}
    torch.save(published, tmp_path / "Cnn14_16k.pth", _use_new_zipfile_serialization=zipped)
    result = CliRunner().invoke(app, [str(tmp_path / "Cnn14_16k.pth"), str(tmp_path / "cnn14.safetensors")])
    assert result.exit_code == 0, result.output
    assert "Cnn14 (CC BY 4.0)" in result.output.replace("\n", " ")
    written = load_file(tmp_path / "cnn14.safetensors")
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(written[name], tensor)
    assert load_cnn14(tmp_path / "cnn14.safetensors").config.channels == (3, 4)


def test_the_file_of_torchvggish_is_converted(tmp_path: Path) -> None:
    torch.save(as_torch(load_file(vggish_file())), tmp_path / "vggish.pth")
    convert_judge(tmp_path / "vggish.pth", tmp_path / "vggish.safetensors")
    assert load_vggish(tmp_path / "vggish.safetensors").config == load_vggish(vggish_file()).config
    with pytest.raises(FileExistsError, match="--overwrite"):
        convert_judge(tmp_path / "vggish.pth", tmp_path / "vggish.safetensors")


def test_the_file_of_aisfx_is_converted_though_it_carries_more_than_tensors(tmp_path: Path) -> None:
    tensors = load_file(aisfx_file())
    published = (as_torch(tensors), {"PSE": (0, np.int64(37))})
    torch.save(published, tmp_path / "checkpoint.pth")
    judge = convert_judge(tmp_path / "checkpoint.pth", tmp_path / "aisfx.safetensors")
    assert (judge.name, judge.licence) == ("aiSFX", "CC BY 4.0")
    written = load_file(tmp_path / "aisfx.safetensors")
    for name, tensor in tensors.items():
        np.testing.assert_array_equal(written[name], tensor)
    assert load_aisfx(tmp_path / "aisfx.safetensors").config.channels == (3, 4)


def test_nothing_that_a_file_of_aisfx_names_is_run(tmp_path: Path) -> None:
    tensors = as_torch(load_file(aisfx_file()))
    torch.save((tensors, TouchesAFile(tmp_path / "touched")), tmp_path / "checkpoint.pth")
    convert_judge(tmp_path / "checkpoint.pth", tmp_path / "aisfx.safetensors")
    assert not (tmp_path / "touched").exists()
    first = next(iter(tensors))
    torch.save((tensors | {first: tensors[first].swapaxes(0, -1)}, np.int64(1)), tmp_path / "turned.pth")
    with pytest.raises(CheckpointError, match=r"with the strides .*; expected .* row by row"):
        convert_judge(tmp_path / "turned.pth", tmp_path / "turned.safetensors")


class TouchesAFile:
    """What makes a file where it is unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> Any:
        return (Path.touch, (self.path,))


def test_pickles_of_something_else_are_refused(tmp_path: Path) -> None:
    torch.save({"model": as_torch({"weight": np.zeros(3, np.float32)})}, tmp_path / "other.pth")
    torch.save({"model": {"network": Path("code")}}, tmp_path / "code.pth")
    short = {name: tensor for name, tensor in cnn14_tensors().items() if "bn2" not in name}
    torch.save(as_torch(short), tmp_path / "short.pth")
    for name, message in (
        ("other", "holds no judge that is known; expected one of Cnn14"),
        ("code", "is refused"),
        ("short", "missing parameters"),
    ):
        with pytest.raises(CheckpointError, match=message):
            convert_judge(tmp_path / f"{name}.pth", tmp_path / "judge.safetensors")
    with pytest.raises(ValueError, match=r"does not end in \.safetensors"):
        convert_judge(tmp_path / "other.pth", tmp_path / "judge")
    assert not list(tmp_path.glob("judge*"))


def test_a_cnn14_without_the_constants_of_its_spectrogram_is_refused(tmp_path: Path) -> None:
    from litefocus_jax.checkpoint import safetensors_files

    tensors = load_file(cnn14_file())
    del tensors["logmel_extractor.melW"]
    safetensors_files.write_file(tmp_path / "cnn14.safetensors", tensors)
    with pytest.raises(CheckpointError, match=r"has no frequencies.*16000 Hz or 32000 Hz"):
        load_cnn14(tmp_path / "cnn14.safetensors")
