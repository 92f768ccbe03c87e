"""The converter on the authors' files: pickles, safetensors, and what is refused."""

import functools
import pickle
import shutil
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from typer.testing import CliRunner, Result

from convert.__main__ import app
from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.store import load_components, open_checkpoint
from tests.support.command_line import run
from tests.support.folders import new_path
from tests.support.models import tiny_checkpoint
from tests.support.originals import FIRST, FULL, LARGE, OF_T5, SPEECH, small
from tests.support.stored_models import assert_same_model


def convert(*arguments: Any) -> Result:
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def words(text: str) -> str:
    return " ".join(text.split())


def write(path: Path, tensors: dict[str, np.ndarray], *, zipped: bool = True, **beside: Any) -> Path:
    """A file as PyTorch Lightning writes it; tensors that share memory share it there too."""
    shared: dict[int, torch.Tensor] = {}
    state = {key: shared.setdefault(id(each), torch.from_numpy(np.array(each))) for key, each in tensors.items()}
    torch.save({"state_dict": state, **beside}, path, _use_new_zipfile_serialization=zipped)
    return path


@functools.cache
def original() -> Path:
    """A small model in the file of the authors."""
    return write(new_path("audioldm2-full.pth"), small())


@functools.cache
def converted() -> Path:
    folder = original().with_name("native")
    result = convert(original(), folder, "--tokenizers", tiny_checkpoint(), "--variant", FULL)
    assert result.exit_code == 0, result.output
    assert "audioldm2-full (3 transformers after each resnet, of 1 block each)" in words(result.stdout)
    assert "total" in result.stdout
    return folder


def test_the_authors_file_becomes_a_native_folder_with_the_configuration_that_it_was_trained_with() -> None:
    checkpoint = open_checkpoint(converted())
    assert (checkpoint.format, checkpoint.dtype) == ("native", "float32")
    assert checkpoint.configs["unet"].attention_head_dim == (1, 2, 3, 5)
    assert checkpoint.configs["text_encoder"].layer_norm_eps == 1e-5
    assert checkpoint.configs["vae"].scaling_factor == pytest.approx(0.4110932946205139, abs=1e-8)


@pytest.mark.slow
def test_a_converted_model_makes_sound() -> None:
    result = AudioLDM2Pipeline.from_pretrained(converted())("rain", audio_length_in_s=0.32, num_inference_steps=1)
    assert np.isfinite(result.audios).all()
    assert np.abs(result.audios).max() > 0


def test_every_weight_is_the_files_to_the_bit() -> None:
    tensors = small()
    unet = load_components(converted()).unet
    expected = tensors["model.diffusion_model.output_blocks.11.0.out_layers.3.weight"].transpose(2, 3, 1, 0)
    np.testing.assert_array_equal(unet.up_blocks[3].resnets[2].conv2.kernel.get_value(), expected)
    assert not np.array_equal(expected, tensors["model_ema.diffusion_modeloutput_blocks110out_layers3weight"])


@pytest.mark.parametrize("form", ["safetensors", "old pickle", "training"])
def test_other_forms_of_the_same_file_give_the_same_model(form: str, tmp_path: Path) -> None:
    if form == "safetensors":
        source = tmp_path / "model.safetensors"
        safetensors_files.write_file(source, {key: np.asarray(each) for key, each in small().items()})
    elif form == "old pickle":
        source = write(tmp_path / "model.pth", small(), zipped=False)
    else:
        moments = {"exp_avg": torch.full((7,), torch.nan)}  # never looked at, and so never found not to be finite
        training = {"optimizer_states": [{"state": {0: moments}, "param_groups": [{"lr": 1e-4}]}], "epoch": 3}
        source = write(tmp_path / "last.ckpt", small(), **training)
    result = convert(source, tmp_path / "native", "--tokenizers", tiny_checkpoint())
    assert result.exit_code == 0, result.output
    assert_same_model(load_components(tmp_path / "native"), load_components(converted()))


def test_an_exported_model_is_converted_to_the_same_one(tmp_path: Path) -> None:
    path = tmp_path / "model.safetensors"
    result = run("export", converted(), path, "--format", "original")
    assert result.exit_code == 0, result.output
    assert result.stdout.strip().replace("\n", "") == str(path)
    again = run("export", converted(), path, "--format", "original")
    assert "choose another destination, or overwrite it (--overwrite)" in words(again.stderr)
    assert convert(path, tmp_path / "native", "--tokenizers", tiny_checkpoint()).exit_code == 0
    assert_same_model(load_components(tmp_path / "native"), load_components(converted()))


def test_tokenizers_are_taken_from_two_folders_without_what_lies_beside_them(tmp_path: Path) -> None:
    for number in ("", "_2"):
        shutil.copytree(tiny_checkpoint() / f"tokenizer{number}", tmp_path / f"own{number}")
        (tmp_path / f"own{number}" / "pytorch_model.bin").write_bytes(b"x" * 1000)
    both = f"{tmp_path / 'own'},{tmp_path / 'own_2'}"
    result = convert(original(), tmp_path / "native", "--tokenizers", both, "--weights", "ema", "--dtype", "bfloat16")
    assert result.exit_code == 0, result.output
    for name in ("tokenizer", "tokenizer_2"):
        files = {path.name for path in (tmp_path / "native" / name).iterdir()}
        assert files == {path.name for path in (tiny_checkpoint() / name).iterdir()}
    unet = load_components(tmp_path / "native", "float32").unet
    average = small()["model_ema.diffusion_modeloutput_blocks110out_layers3weight"].transpose(2, 3, 1, 0)
    np.testing.assert_allclose(unet.up_blocks[3].resnets[2].conv2.kernel.get_value(), average, rtol=5e-3)


def test_copies_that_differ_are_told(tmp_path: Path) -> None:
    tensors = small()
    name = "clap.model.text_projection.0.weight"
    source = write(tmp_path / "model.pth", tensors | {name: tensors[name] + 1})
    result = convert(source, tmp_path / "native", "--tokenizers", tiny_checkpoint())
    assert result.exit_code == 0, result.output
    assert "the two copies of CLAP" in words(result.stderr)


class Carrying:
    """Would run a command as it is read."""

    def __reduce__(self) -> Any:
        return (sys.exit, ("run!",))


def refused(path: Path, tmp_path: Path, *options: Any) -> str:
    tokenizers = () if "--tokenizers" in options else ("--tokenizers", tiny_checkpoint())
    result = convert(path, tmp_path / "native", *tokenizers, *options)
    assert result.exit_code == 1, result.output
    assert not (tmp_path / "native").exists()
    assert "Traceback" not in result.output
    return words(result.stderr)


def test_a_pickle_that_needs_more_than_tensors_is_refused_and_not_run(tmp_path: Path) -> None:
    tensors = dict(list(small().items())[:3])
    path = write(tmp_path / "model.pth", tensors, callbacks=Carrying())
    assert "which is more than weights, and reading it could run code" in refused(path, tmp_path)
    path.write_bytes(pickle.dumps({"state_dict": Carrying()}))
    assert "could run code" in refused(path, tmp_path)


@pytest.mark.parametrize("share", [0.1, 0.9, 0.999])
def test_a_truncated_file_is_one_clear_error(share: float, tmp_path: Path) -> None:
    content = original().read_bytes()
    path = tmp_path / "model.pth"
    path.write_bytes(content[: int(len(content) * share)])
    assert "model.pth is damaged" in refused(path, tmp_path)


def test_a_byte_that_changed_is_found_wherever_it_is(tmp_path: Path) -> None:
    content = bytearray(original().read_bytes())
    content[len(content) // 2] ^= 1
    path = tmp_path / "model.pth"
    path.write_bytes(content)
    assert "has another CRC-32 than when it was written" in refused(path, tmp_path)


@pytest.mark.parametrize(("options", "message"), [
    (("--variant", LARGE), "is not audioldm2-full-large-1150k: its UNet has 3 transformers after each resnet"),
    (("--variant", "full"), "variant = 'full'; expected one of audioldm2-full"),
    (("--tokenizers", "no/such/folder"), "no/such/folder does not exist"),
    (("--tokenizers", "a,b,c"), "tokenizers = a, b, c; expected a folder or hub id with tokenizer/"),
    (("--tokenizers", ""), "tokenizers are missing, and"),
    (("--heads", "trained"), "--heads and --revision are for folders"),
    (("--dtype", "int8"), "dtype = 'int8' is not supported"),
])  # fmt: skip
def test_options_that_do_not_fit_are_one_clear_error(options: tuple[str, ...], message: str, tmp_path: Path) -> None:
    assert message in refused(original(), tmp_path, *options)


def test_a_folder_without_tokenizers_is_one_clear_error(tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    assert "empty holds no tokenizer, such as tokenizer.json; expected" in refused(
        original(), tmp_path, "--tokenizers", tmp_path / "empty"
    )


@pytest.mark.parametrize(("name", "asked", "message"), [
    (FULL, ("tokenizer_2", "tokenizer"), "pads with token 0, and is not that of the text_encoder; expected CLAP's"),
    (FIRST, ("tokenizer_2",), "pads with token 0, and is not that of the text_encoder; expected CLAP's"),
    (SPEECH, ("tokenizer_2",), "pads with token 0, and is not that of the text_encoder; expected CLAP's"),
    (OF_T5, ("tokenizer",), "pads with token 1, and is not that of the text_encoder; expected T5's"),
    (FULL, ("tokenizer",), "1 tokenizer is given (--tokenizers); expected CLAP's and T5's"),
])  # fmt: skip
def test_tokenizers_of_other_encoders_are_one_clear_error(
    name: str, asked: tuple[str, ...], message: str, tmp_path: Path
) -> None:
    source = original() if name == FULL else write(tmp_path / "model.pth", small(name))
    given = ",".join(str(tiny_checkpoint() / each) for each in asked)
    assert message in refused(source, tmp_path, "--tokenizers", given)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "gone.pth does not exist; expected a file of the authors" in refused(tmp_path / "gone.pth", tmp_path)


def test_safetensors_are_told_from_pickles_by_what_they_begin_with(tmp_path: Path) -> None:
    source = tmp_path / "model.pth"
    safetensors_files.write_file(source, {key: np.asarray(each) for key, each in small().items()})
    assert convert(source, tmp_path / "out", "--tokenizers", tiny_checkpoint()).exit_code == 0
    source.write_bytes(source.read_bytes()[:-9])
    assert "model.pth is not a complete safetensors file" in refused(source, tmp_path)
    shutil.copy(original(), tmp_path / "model.safetensors")
    assert "is a pickle of PyTorch; expected safetensors" in refused(tmp_path / "model.safetensors", tmp_path)


def test_options_of_the_authors_files_are_refused_for_folders(tmp_path: Path) -> None:
    result = convert(tiny_checkpoint(), tmp_path / "native", "--variant", FULL, "--weights", "ema")
    assert result.exit_code == 1
    assert "--variant, --weights is for a file of the authors" in words(result.stderr)


def test_an_existing_destination_is_refused_before_the_file_is_read(tmp_path: Path) -> None:
    (tmp_path / "native").mkdir()
    (tmp_path / "native" / "precious").touch()
    (tmp_path / "model.pth").touch()
    result = convert(tmp_path / "model.pth", tmp_path / "native", "--tokenizers", tiny_checkpoint())
    assert result.exit_code == 1
    assert "native exists" in words(result.stderr)
