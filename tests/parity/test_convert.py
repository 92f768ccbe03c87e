"""The converter on what PyTorch writes: pickles of every layout, and pickles that are no weights."""

import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import ml_dtypes
import numpy as np
import pytest
import torch

from convert import pickles
from convert.conversion import convert_checkpoint
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.components import NETWORKS
from tests.support.reference import build_diffusers_folder
from tests.support.stored_models import assert_same_model, write_json


@pytest.fixture(scope="module")
def source(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("checkpoints") / "diffusers"
    build_diffusers_folder(folder)
    return folder


def test_what_diffusers_saves_is_converted(source: Path, tmp_path: Path) -> None:
    convert_checkpoint(str(source), tmp_path / "model")
    assert_same_model(load_components(tmp_path / "model"), load_components(source))


def test_pickles_give_the_same_model_as_safetensors(source: Path, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    pickled = tmp_path / "pickled"
    for name, network in NETWORKS.items():
        (pickled / name).mkdir(parents=True)
        stem = {"model": "pytorch_model"}.get(network.weights, network.weights)
        tensors = load_file(source / name / f"{network.weights}.safetensors")
        torch.save(tensors, pickled / name / f"{stem}.bin")
    for path in source.rglob("*"):
        if path.is_file() and path.suffix != ".safetensors":
            copy = pickled / path.relative_to(source)
            copy.parent.mkdir(exist_ok=True)
            copy.write_bytes(path.read_bytes())

    with pytest.raises(CheckpointError, match="python -m convert"):
        load_components(pickled)
    convert_checkpoint(str(pickled), tmp_path / "model")
    assert_same_model(load_components(tmp_path / "model"), load_components(source))


@pytest.mark.parametrize("zipped", [True, False])
def test_pickles_of_either_layout_are_read(tmp_path: Path, zipped: bool) -> None:
    tensors = {
        "plain": torch.arange(6.0).reshape(2, 3),
        "transposed": torch.arange(6.0).reshape(2, 3).T,
        "half": torch.ones(2, dtype=torch.float16),
        "brain": torch.arange(6.0, dtype=torch.bfloat16).reshape(2, 3).T,
        "parameter": torch.nn.Parameter(torch.ones(2)),
        "scalar": torch.tensor(3.0),
        "index": torch.arange(3),
    }
    torch.save(tensors, tmp_path / "w.bin", _use_new_zipfile_serialization=zipped)
    read = pickles.read_file(tmp_path / "w.bin")
    assert read["brain"].dtype == ml_dtypes.bfloat16
    for name, tensor in tensors.items():
        array = np.asarray(read[name])
        assert (array.shape, array.dtype) == (read[name].shape, read[name].dtype)
        np.testing.assert_array_equal(array.astype(np.float64), tensor.detach().double().numpy())


def test_sharded_pickles_are_read_and_their_index_is_checked(tmp_path: Path) -> None:
    for number in (1, 2):
        torch.save({f"t{number}": torch.ones(number)}, tmp_path / f"pytorch_model-{number}.bin")
    index = tmp_path / "pytorch_model.bin.index.json"
    write_json(index, {"weight_map": {"t1": "pytorch_model-1.bin", "t2": "pytorch_model-2.bin"}})
    assert {name: tensor.shape for name, tensor in pickles.read_folder(tmp_path, "model").items()} == {
        "t1": (1,),
        "t2": (2,),
    }
    write_json(index, {"weight_map": {"t1": "../pytorch_model-1.bin"}})
    with pytest.raises(CheckpointError, match="outside its folder"):
        pickles.read_folder(tmp_path, "model")


def test_safetensors_are_preferred_to_pickles(source: Path, tmp_path: Path) -> None:
    (tmp_path / "model.safetensors").write_bytes((source / "vocoder" / "model.safetensors").read_bytes())
    (tmp_path / "pytorch_model.bin").write_bytes(b"never opened")
    assert "conv_pre.bias" in pickles.read_folder(tmp_path, "model")


class Malicious:
    """Runs a command when unpickled in the ordinary way."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return os.system, (f"touch '{self.target}'",)


@pytest.mark.parametrize("zipped", [True, False])
def test_a_pickle_that_would_run_code_is_refused_and_does_not_run_it(tmp_path: Path, zipped: bool) -> None:
    path, target = tmp_path / "w.bin", tmp_path / "made-by-the-pickle"
    payload = {"weight": torch.ones(2), "payload": Malicious(target)}
    torch.save(payload, path, _use_new_zipfile_serialization=zipped)
    with pytest.raises(CheckpointError, match=r"w\.bin is refused: it names \w+\.system, which is more than weights"):
        pickles.read_file(path)
    assert not target.exists()


@pytest.mark.parametrize("kept", [0, 10, -50])
@pytest.mark.parametrize("zipped", [True, False])
def test_a_truncated_pickle_is_named(tmp_path: Path, zipped: bool, kept: int) -> None:
    torch.save({"weight": torch.ones(200)}, tmp_path / "w.bin", _use_new_zipfile_serialization=zipped)
    (tmp_path / "w.bin").write_bytes((tmp_path / "w.bin").read_bytes()[:kept])
    with pytest.raises(CheckpointError, match=r"w\.bin is (damaged|refused)"):
        pickles.read_file(tmp_path / "w.bin")


def rewritten(
    path: Path, change: Callable[[zipfile.ZipInfo, bytes], bytes], compression: int = zipfile.ZIP_STORED
) -> None:
    """Write an archive again, each record as the change says."""
    with zipfile.ZipFile(path) as archive:
        records = [(info, archive.read(info)) for info in archive.infolist()]
    with zipfile.ZipFile(path, "w", compression) as archive:
        for info, content in records:
            archive.writestr(info.filename, change(info, content))


def test_an_archive_with_a_flipped_bit_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    torch.save({"weight": torch.ones(200)}, path)
    content = bytearray(path.read_bytes())
    content[content.index(np.ones(200, np.float32).tobytes()) + 40] ^= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"w\.bin is damaged; .*\n.*data/0 has another CRC-32"):
        pickles.read_file(path)


def test_an_archive_that_was_compressed_again_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    torch.save({"weight": torch.ones(200)}, path)
    rewritten(path, lambda info, content: content, zipfile.ZIP_DEFLATED)
    with pytest.raises(CheckpointError, match=r"data/0 is compressed; expected records that are stored"):
        pickles.read_file(path)


def test_an_archive_with_a_flipped_bit_of_encryption_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "w.bin"
    torch.save({"weight": torch.ones(200)}, path)
    content = bytearray(path.read_bytes())
    for signature, flags in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):  # of a record, and of its entry in the directory
        content[content.index(signature) + flags] |= 1
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match=r"w\.bin is damaged: .*encrypted"):
        pickles.read_file(path)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float16, torch.float64])
def test_a_storage_shorter_than_its_tensor_is_refused(tmp_path: Path, dtype: torch.dtype) -> None:
    path = tmp_path / "w.bin"
    torch.save({"weight": torch.ones(200, dtype=dtype), "other": torch.ones(3, dtype=dtype)}, path)
    assert pickles.read_file(path).keys() == {"weight", "other"}
    rewritten(path, lambda info, content: content[:-2] if info.filename.endswith("data/0") else content)
    with pytest.raises(
        CheckpointError, match=rf"data/0 has {200 * dtype.itemsize - 2} bytes; expected {200 * dtype.itemsize}"
    ):
        pickles.read_file(path)


def test_a_pointer_of_git_lfs_is_called_one(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_text("version https://git-lfs.github.com/spec/v1\noid sha256:0\nsize 9\n")
    with pytest.raises(CheckpointError, match=r"w\.bin is a Git LFS pointer, not the weights"):
        pickles.read_file(tmp_path / "w.bin")


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ([torch.ones(2)], "holds a list; expected tensors by name"),
        ({"epoch": 3, "state": {"w": torch.ones(2)}}, "'epoch' is a int\n  'state' is a dict"),
        ({"w": torch.ones(2, 2).to_sparse()}, "'w' is a Tensor"),
        ({"w": torch.ones(2).to(torch.float8_e4m3fn)}, r"w is stored as torch\.float8_e4m3fn"),
    ],
)
def test_a_pickle_of_something_else_is_refused(tmp_path: Path, content: object, message: str) -> None:
    torch.save(content, tmp_path / "w.bin")
    with pytest.raises(CheckpointError, match=message):
        pickles.read_file(tmp_path / "w.bin")
