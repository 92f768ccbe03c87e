"""Two processes of four virtual devices each train what one device trains, or say why not."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from litefocus_jax.checkpoint import weights as modules
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.training.journal import read_journal
from litefocus_jax.training.updates import TrainingInterrupted
from tests.support.processes import free_port
from tests.support.training_processes import ADAPTER, WHOLE, prepare, stopping_at, train_on
from tests.support.xla_flags import with_devices

Result = dict[str, np.ndarray]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model and sounds, and the runs of one device, of which one is stopped and left to both processes."""
    folder = tmp_path_factory.mktemp("training")
    prepare(folder)
    train_on(folder, folder / "whole_by_one", WHOLE, None)
    train_on(folder, folder / "adapter_by_one", ADAPTER, None)
    with stopping_at(4), pytest.raises(TrainingInterrupted):
        train_on(folder, folder / "begun_by_one", WHOLE, None)
    return folder


@pytest.fixture(scope="module")
def processes(folder: Path) -> tuple[Result, Result]:
    """What both processes found, and what they were told."""
    coordinator = f"localhost:{free_port()}"
    workers = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.support.training_processes", str(number), coordinator, str(folder)],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | with_devices(4),
        )
        for number in range(2)
    ]
    try:
        logs = [worker.communicate(timeout=300)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0, 0], "\n".join(logs)
    return results_in(folder / "process_0.npz"), results_in(folder / "process_1.npz")


def results_in(file: Path) -> Result:
    with np.load(file) as arrays:
        return dict(arrays)


def assert_same_training(run: Path, expected: Path) -> None:
    """The same losses, and the same weights at the end, to rounding."""
    log, expected_log = (
        [entry for entry in read_journal(folder / "log.jsonl") if "loss" in entry] for folder in (run, expected)
    )
    assert [entry["step"] for entry in log] == [entry["step"] for entry in expected_log]
    for name in ("loss", "gradient_norm", "validation_loss"):
        found, wanted = ([entry[name] for entry in entries if name in entry] for entries in (log, expected_log))
        if name != "validation_loss" or found:
            np.testing.assert_allclose(found, wanted, rtol=1e-5, err_msg=name)
    model, expected_model = (load_components(folder / "model", "float32") for folder in (run, expected))
    for name, module in expected_model.modules.items():
        arrays = modules.to_numpy(model.modules[name])
        for path, array in modules.to_numpy(module).items():
            np.testing.assert_allclose(arrays[path], array, rtol=1e-5, atol=1e-5, err_msg=f"{name} {path}")


def test_a_run_in_shares_that_one_process_was_told_to_stop_equals_that_of_one_device(
    processes: tuple[Result, Result], folder: Path
) -> None:
    assert [int(each["stopped_after"]) for each in processes] == [int(processes[0]["stopped_after"])] * 2
    assert 3 <= processes[0]["stopped_after"] < 8
    assert_same_training(folder / "whole", folder / "whole_by_one")


def test_an_adapter_in_parts_over_processes_equals_that_of_one_device(
    processes: tuple[Result, Result], folder: Path
) -> None:
    assert_same_training(folder / "adapter", folder / "adapter_by_one")
    adapters = [
        (folder / name / "lora" / "adapter_model.safetensors").stat().st_size for name in ("adapter", "adapter_by_one")
    ]
    assert adapters[0] == adapters[1]


def test_each_process_reads_its_own_clips(processes: tuple[Result, Result]) -> None:
    first, second = ({str(clip) for clip in each["read"]} for each in processes)
    assert first.isdisjoint(second)
    assert len(first) > 60
    assert len(second) == len(first) // 2


def test_the_first_process_alone_makes_sounds_and_writes(processes: tuple[Result, Result], folder: Path) -> None:
    assert [each["samples"].tolist() for each in processes] == [[0, 5, 10], []]
    assert len(list((folder / "adapter" / "tensorboard").iterdir())) == 1


def test_a_run_goes_on_on_more_processes_and_on_fewer(processes: tuple[Result, Result], folder: Path) -> None:
    assert_same_training(folder / "begun_by_one", folder / "whole_by_one")
    back = folder / "back"
    shutil.copytree(folder / "whole", back)
    shutil.rmtree(back / "checkpoints" / "step-00000010")
    shutil.rmtree(back / "model")
    train_on(folder, back, WHOLE, None, resume=True)
    assert_same_training(back, folder / "whole_by_one")


@pytest.mark.parametrize(
    ("what", "in_first", "in_second"),
    [
        ("other_seed", "the options of the training in process 1", "the options of the training in process 1"),
        ("other_sounds", "the sounds, by name and size, in process 1", "the sounds, by name and size, in process 1"),
        ("other_folder", "process 1 failed while looking for", "is not the folder that process 0 writes to"),
        ("there_already", "whole exists; resume the training in it", "process 0 failed while checking the training"),
        ("there", "whole exists; resume the training in it", "process 0 failed while checking the command"),
        ("other_options", "the options of the training in process 1", "the options of the training in process 1"),
        ("no_model", "process 1 failed while checking the command", "model_1 does not exist"),
    ],
)
def test_what_one_process_cannot_do_is_refused_in_both(
    processes: tuple[Result, Result], what: str, in_first: str, in_second: str
) -> None:
    for each, expected in zip(processes, (in_first, in_second), strict=True):
        assert expected in " ".join(str(each[what]).split())
