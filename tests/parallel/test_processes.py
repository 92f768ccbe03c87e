"""Two processes of four virtual devices each make the sounds of one device together, or say why not."""

import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import soundfile

from tests.support.devices import GUIDED, UNEVEN
from tests.support.models import small_pipeline
from tests.support.processes import COMMANDED, IN_TILES, free_port
from tests.support.training import quick_compilation
from tests.support.xla_flags import with_devices

FOUR_DEVICES = with_devices(4)

Result = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where both processes write."""
    return tmp_path_factory.mktemp("processes")


@pytest.fixture(scope="module")
def processes(folder: Path) -> tuple[Result, Result]:
    """What both processes made, and what they were told."""
    coordinator = f"localhost:{free_port()}"
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.processes", str(number), coordinator, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | FOUR_DEVICES,
        )
        for number in range(2)
    ]
    try:
        logs = [worker.communicate(timeout=600)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(logs)
    return results_in(folder / "process_0.npz"), results_in(folder / "process_1.npz")


def results_in(file: Path) -> Result:
    with np.load(file) as arrays:
        return dict(arrays)


pytestmark = pytest.mark.slow


def test_prompts_along_data_over_processes_equal_one_device(processes: tuple[Result, Result]) -> None:
    with quick_compilation():
        expected = small_pipeline()(**GUIDED).audios
    for each in processes:
        np.testing.assert_allclose(each["along_data"], expected, atol=1e-4)
    assert np.abs(np.diff(expected, axis=0)).max(axis=1).min() > 1e-3  # no two are the same


def test_one_long_sound_along_time_in_tiles_over_processes_equals_one_device(
    processes: tuple[Result, Result], monkeypatch: pytest.MonkeyPatch
) -> None:
    pipe = small_pipeline()
    monkeypatch.setattr(pipe, "tiling", IN_TILES)
    assert len(pipe.plan_decoding(61).vae_tiles) > 2
    with quick_compilation():
        expected = pipe(**UNEVEN).audios
    for each in processes:
        np.testing.assert_allclose(each["along_time"], expected, atol=1e-4)


def test_each_process_decodes_its_own_share_of_a_run_that_was_ended_and_resumed(
    processes: tuple[Result, Result],
) -> None:
    assert [each["numbers"].tolist() for each in processes] == [[0, 1, 2], [3, 4, 5]]
    shares = np.concatenate([each["resumed"] for each in processes])
    np.testing.assert_allclose(shares, processes[0]["along_data"], atol=1e-6)


def said(each: Result, command: str) -> str:
    return " ".join(str(each[command]).split())


def test_the_first_process_writes_all_files_of_a_command(processes: tuple[Result, Result], folder: Path) -> None:
    with quick_compilation():
        expected = small_pipeline()(**COMMANDED).audios
    for name, waveform in zip(("rain", "birds"), expected, strict=True):
        written, _ = soundfile.read(folder / "shared" / f"{name}-seed0.wav", dtype="float32")
        np.testing.assert_allclose(written, waveform, atol=1e-4)
    first, second = (said(each, "written_by_first") for each in processes)
    assert "2 processes with 8 devices; process 0 writes all files" in first
    assert second == ""


def test_each_process_writes_its_own_sounds_of_a_command(processes: tuple[Result, Result], folder: Path) -> None:
    names = [[path.name for path in (folder / f"of_{number}").iterdir()] for number in range(2)]
    assert names == [["rain-seed0.wav"], ["birds-seed0.wav"]]
    assert said(processes[1], "written_by_each").endswith("of_1/birds-seed0.wav")


@pytest.mark.parametrize(
    ("command", "in_first", "in_second"),
    [
        ("there_already", "rain-seed0.wav exists; choose another name", "process 0 failed while checking the command"),
        ("other_seeds", "the sounds to make in process 1", "the sounds to make in process 1"),
        ("random_seed", "--seed random cannot be had from 2 processes", "--seed random cannot be had"),
    ],
)
def test_a_command_that_one_process_cannot_run_ends_in_both(
    processes: tuple[Result, Result], command: str, in_first: str, in_second: str
) -> None:
    for each, expected in zip(processes, (in_first, in_second), strict=True):
        assert expected in said(each, command)


@pytest.mark.parametrize(
    ("call", "in_first", "in_second"),
    [
        ("other_seed", "Other than in process 0: .*seed in process 1", "seed in process 1"),
        ("other_options", "the options that are given in process 1", "the options that are given in process 1"),
        ("other_devices", "order of the mesh's devices|mesh in process 1", "mesh in process 1"),
        ("wrong_in_one", "process 1 failed while checking the request", "guidance_scale = -1"),
        ("file_in_one", "process 1 failed while preparing", "left_in_1 was left by an earlier run"),
        ("callback", "callback is given, and the mesh has devices of 2 processes", "callback is given"),
        ("rank", "no process has all waveforms", "no process has all waveforms"),
        ("own_devices", r"no device of the processes \[1\]", r"no device of the processes \[0\]"),
        ("estimate", "cannot be timed one by one", "cannot be timed one by one"),
    ],
)
def test_what_the_processes_do_not_do_alike_is_refused_in_both(
    processes: tuple[Result, Result], call: str, in_first: str, in_second: str
) -> None:
    for each, expected in zip(processes, (in_first, in_second), strict=True):
        assert re.search(expected, str(each[call])), str(each[call])
