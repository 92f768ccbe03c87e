"""Folders that are replaced whole or not at all, and put back where a process was killed on the way."""

import json
import os
from pathlib import Path

import pytest

from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.system.files import check_destination, put_back, replacement_folder
from litefocus_jax.system.json_config import ConfigError, read_json

MARKER = "model.json"


def write(destination: Path, content: str, *, overwrite: bool = False) -> None:
    with replacement_folder(destination, overwrite=overwrite, marker=MARKER) as new:
        (new / MARKER).write_text(json.dumps({"content": content}))


def kill_between_the_renames(destination: Path) -> None:
    """Leave a folder as a process does that is killed after the old one is moved away and before the new one comes."""
    write(destination, "old")
    old = destination.with_name(f".{destination.name}.0123456789ab.old")
    destination.rename(old)
    assert not destination.exists()


@pytest.mark.parametrize("name", ["model", "a [strange] name*"])
def test_a_destination_lost_between_two_renames_comes_back_by_itself(tmp_path, name):
    destination = tmp_path / name
    kill_between_the_renames(destination)
    with pytest.raises(FileExistsError, match="overwrite it"):
        check_destination(destination, overwrite=False, marker=MARKER)
    assert read_json(destination / MARKER) == {"content": "old"}
    write(destination, "new", overwrite=True)
    assert read_json(destination / MARKER) == {"content": "new"}
    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_nothing_is_put_back_over_a_folder_that_is_there(tmp_path):
    destination = tmp_path / "model"
    kill_between_the_renames(destination)
    destination.mkdir()
    put_back(destination)
    assert list(destination.iterdir()) == []


def test_a_pipe_in_the_place_of_a_file_is_not_waited_for(tmp_path):
    pipe = tmp_path / "config.json"
    os.mkfifo(pipe)
    with pytest.raises(ConfigError, match=r"config\.json is not a regular file"):
        read_json(pipe)
    with pytest.raises(CheckpointError, match=r"config\.json is not a regular file"):
        safetensors_files.read_file(pipe)
