"""Folders that are replaced whole or not at all, and put back where a process was killed on the way."""

import errno
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.system.files import (
    check_destination,
    expanded,
    put_back,
    replacement_folder,
    write_text,
    written_beside,
)
from litefocus_jax.system.json_config import ConfigError, read_json
from litefocus_jax.system.locks import InUseError, locked

MARKER = "model.json"
HOLD = """
import sys
from pathlib import Path
from litefocus_jax.system.locks import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    sys.stdin.read()
"""


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


def test_what_a_killed_process_left_is_swept_when_its_destination_is_written_again(tmp_path):
    for name in (".a.wav.01234567.partial", ".b.wav.01234567.partial"):
        (tmp_path / name).write_text("half")
    for suffix in ("new", "old"):
        (tmp_path / f".model.0123456789ab.{suffix}" / "unet").mkdir(parents=True)
    write_text(tmp_path / "a.wav", "whole")
    (tmp_path / "model").mkdir()
    write(tmp_path / "model", "new")
    assert sorted(path.name for path in tmp_path.iterdir()) == [".b.wav.01234567.partial", "a.wav", "model"]


def test_what_a_running_process_writes_is_not_swept(tmp_path):
    with written_beside(tmp_path / "a.txt") as first, written_beside(tmp_path / "a.txt") as second:
        first.write_text("first")
        second.write_text("second")
    assert (tmp_path / "a.txt").read_text() == "first"


def test_a_file_that_another_process_wrote_meanwhile_is_left(tmp_path):
    path = tmp_path / "a.txt"

    def write_second() -> None:
        with written_beside(path, overwrite=False) as partial:
            partial.write_text("ours")
            path.write_text("theirs")

    with pytest.raises(FileExistsError, match=r"a\.txt exists: another process"):
        write_second()
    assert path.read_text() == "theirs"
    assert [each.name for each in tmp_path.iterdir()] == ["a.txt"]


def test_a_name_as_long_as_the_file_system_takes_is_written(tmp_path):
    write_text(tmp_path / ("ä" * 125 + ".txt"), "whole")
    assert len(list(tmp_path.iterdir())) == 1


@pytest.mark.parametrize("trouble", [errno.ENOSPC, errno.EDQUOT, errno.EROFS])
def test_a_disk_that_takes_no_more_is_one_line_that_names_the_destination(tmp_path, monkeypatch, trouble):
    write(tmp_path / "model", "old")

    def refuse(descriptor: int) -> None:
        raise OSError(trouble, os.strerror(trouble))

    monkeypatch.setattr(os, "fsync", refuse)
    for action in (
        lambda: write_text(tmp_path / "a.txt", ""),
        lambda: write(tmp_path / "model", "new", overwrite=True),
    ):
        with pytest.raises(OSError, match=r"(a\.txt|model) cannot be written: .*; nothing is lost") as caught:
            action()
        assert "\n" not in str(caught.value)
    assert read_json(tmp_path / "model" / MARKER) == {"content": "old"}
    assert [path.name for path in tmp_path.iterdir()] == ["model"]


def test_a_folder_that_another_process_holds_is_refused_until_it_ends(tmp_path):
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert holder.stdout is not None
    assert holder.stdout.readline() == "held\n"
    with pytest.raises(InUseError, match="in use by another process"), locked(tmp_path):
        pass
    holder.kill()
    holder.communicate()
    with locked(tmp_path):
        pass


def test_a_home_of_nobody_is_one_error():
    with pytest.raises(ValueError, match="~nosuchuser/model begins with the name of a user"):
        expanded("~nosuchuser/model")
