"""examples/many_prompts.py: several processes share a file of prompts, and one that was killed is gone on with."""

import os
import runpy
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.models import small_checkpoint

SCRIPT = Path(__file__).parents[2] / "examples" / "many_prompts.py"
NAMES = ["a-dog-seed7.wav", "rain-seed7.wav", "sea-seed7.wav", "wind-in-the-trees-seed7.wav"]
DIES_WHILE_IT_WRITES_ITS_SECOND_SOUND = """
import os, runpy, signal, sys
import soundfile

write, sounds = soundfile.SoundFile.write, set()

def write_and_die(file, block):
    sounds.add(file.name)
    if len(sounds) == 2:
        write(file, block[:100])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, block)

soundfile.SoundFile.write, sys.argv = write_and_die, sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.fixture(scope="module")
def captions(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("captions") / "captions.txt"
    path.write_text("rain\n\nA dog\nWind in the trees\nrain\nsea\n")
    return path


def start(captions: Path, folder: Path, *options: str, before: tuple[str, ...] = ()) -> subprocess.Popen[str]:
    arguments = (*before, SCRIPT, small_checkpoint(), captions, folder, "--seconds=0.64", "--steps=2", "--seed=7")
    return subprocess.Popen(
        [sys.executable, *arguments, *options],
        env=os.environ
        | {
            "JAX_PLATFORMS": "cpu",
            "JAX_DISABLE_MOST_OPTIMIZATIONS": "1",
            "LITEFOCUS_COMPILATION_CACHE": str(captions.parent / "compiled"),
        },
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> str:
    _, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    return log


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir()}


@pytest.fixture(scope="module")
def sounds(captions: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Of two processes that jax.distributed ties together."""
    folder = tmp_path_factory.mktemp("shared")
    with socket.socket() as free:
        free.bind(("localhost", 0))
        coordinator = f"--coordinator=localhost:{free.getsockname()[1]}"
    options = [("--host-count=2", f"--host-index={index}", coordinator) for index in range(2)]
    processes = [start(captions, folder, *each) for each in options]
    logs = [finish(process) for process in processes]
    made = [[name for name in NAMES if f"{name}: 0.64 s of sound" in log] for log in logs]
    assert made == [["rain-seed7.wav", "wind-in-the-trees-seed7.wav"], ["a-dog-seed7.wav", "sea-seed7.wav"]]
    return contents(folder)


def test_two_processes_make_each_sound_once(sounds: dict[str, bytes]) -> None:
    assert sorted(sounds) == NAMES
    assert len(set(sounds.values())) == len(NAMES)


def test_a_killed_process_is_gone_on_with_to_the_same_files(
    sounds: dict[str, bytes], captions: Path, tmp_path: Path
) -> None:
    killed = start(captions, tmp_path, before=("-c", DIES_WHILE_IT_WRITES_ITS_SECOND_SOUND))
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    assert [path.name for path in tmp_path.glob("[!.]*")] == ["rain-seed7.wav"]
    log = finish(start(captions, tmp_path))
    assert "rain-seed7.wav: " not in log
    assert "host 0 of 1: 4 of 4 sounds are there" in log
    assert contents(tmp_path) == sounds


def test_a_host_beyond_the_last_is_refused(
    captions: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    arguments = [str(SCRIPT), "no-model", str(captions), "sounds", "--host-index=2", "--host-count=2"]
    monkeypatch.setattr(sys, "argv", arguments)
    with pytest.raises(SystemExit, match="2"):
        runpy.run_path(str(SCRIPT), run_name="__main__")
    assert "2 is not below --host-count 2" in capsys.readouterr().err
