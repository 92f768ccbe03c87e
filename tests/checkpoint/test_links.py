"""Links in a model's folder are followed within it, and nowhere else."""

import os
import shutil
from pathlib import Path

import pytest

from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.store import load_components, open_checkpoint
from tests.support.models import tiny_checkpoint


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return shutil.copytree(tiny_checkpoint(), tmp_path / "model")


@pytest.mark.parametrize(
    "name", ["vae", "vae/config.json", "vae/model.safetensors", "tokenizer_2/tokenizer.json", "tokenizer/more.txt"]
)
def test_a_link_out_of_the_folder_is_refused(folder: Path, name: str) -> None:
    outside = folder.parent / "outside"
    if (folder / name).exists():
        (folder / name).rename(outside)
    else:
        outside.write_text("a secret")
    (folder / name).symlink_to(outside)
    with pytest.raises(CheckpointError, match=f"model: {name} is a link that leads out of the folder"):
        open_checkpoint(folder)


def test_links_within_the_folder_and_to_the_folder_are_followed(folder: Path) -> None:
    (folder / "vae" / "config.json").rename(folder / "vae.json")
    (folder / "vae" / "config.json").symlink_to("../vae.json")
    (folder.parent / "link").symlink_to(folder)
    assert open_checkpoint(folder.parent / "link").networks


def test_links_into_the_blobs_of_the_hub_cache_are_followed(folder: Path, tmp_path: Path) -> None:
    snapshot = tmp_path / "models--a--b" / "snapshots" / "0123"
    blob = tmp_path / "models--a--b" / "blobs" / "4567"
    blob.parent.mkdir(parents=True)
    shutil.copytree(folder, snapshot)
    (snapshot / "vae" / "config.json").rename(blob)
    (snapshot / "vae" / "config.json").symlink_to("../../../blobs/4567")
    assert open_checkpoint(snapshot).networks


def test_what_a_tokenizers_link_points_at_is_not_copied_and_a_pipe_not_waited_for(folder: Path, tmp_path: Path) -> None:
    components = load_components(folder)
    (tmp_path / "secret").write_text("secret")
    (folder / "tokenizer" / "more.txt").symlink_to(tmp_path / "secret")
    with pytest.raises(CheckpointError, match=r"more\.txt is a link that leads out"):
        save_native(components, tmp_path / "copy")
    (folder / "tokenizer" / "more.txt").unlink()
    os.mkfifo(folder / "tokenizer" / "pipe")
    with pytest.raises(CheckpointError, match="pipe is not a regular file"):
        save_native(components, tmp_path / "copy")
    assert not (tmp_path / "copy").exists()
