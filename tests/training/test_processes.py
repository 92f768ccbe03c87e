"""Two processes of four virtual devices each, and four of one, train what one device trains, or say why not."""

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from litefocus_jax.checkpoint import weights as modules
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.training.journal import read_journal
from litefocus_jax.training.updates import TrainingInterrupted
from tests.support.devices import UNGUIDED
from tests.support.models import small_pipeline
from tests.support.processes import free_port
from tests.support.training import quick_compilation
from tests.support.training_processes import ADAPTER, COMMAND, WHOLE, prepare, stopping_at, train_on
from tests.support.xla_flags import with_devices

pytestmark = pytest.mark.slow

Result = dict[str, np.ndarray]
Process = subprocess.Popen[str]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Model and sounds, and the runs of one device, of which one is stopped and left to both processes."""
    folder = tmp_path_factory.mktemp("training")
    prepare(folder)
    with quick_compilation():
        train_on(folder, folder / "whole_by_one", WHOLE, None)
        train_on(folder, folder / "adapter_by_one", ADAPTER, None)
        with stopping_at(4), pytest.raises(TrainingInterrupted):
            train_on(folder, folder / "begun_by_one", WHOLE, None)
    return folder


def started(commands: list[list[str]], devices: int, variables: list[dict[str, str]] | None = None) -> list[Process]:
    """New processes, each with so many virtual devices, and with variables of its own."""
    return [
        subprocess.Popen(
            [sys.executable, "-m", *command],
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env=os.environ | with_devices(devices) | own,
        )
        for command, own in zip(commands, variables or [{}] * len(commands), strict=True)
    ]


def ended(workers: list[Process]) -> list[str]:
    """What processes say to their ends, which have to be good ones."""
    try:
        logs = [worker.communicate(timeout=300)[0] for worker in workers]
    finally:
        for worker in workers:
            worker.kill()
    assert [worker.returncode for worker in workers] == [0] * len(workers), "\n".join(logs)
    return logs


def results_of(count: int, devices: int, folder: Path) -> list[Result]:
    """What so many processes found, and what they were told."""
    coordinator = f"localhost:{free_port()}"
    module = "tests.support.training_processes"
    ended(started([[module, str(each), str(count), coordinator, str(folder)] for each in range(count)], devices))
    return [results_in(folder / f"process_{each}_of_{count}.npz") for each in range(count)]


@pytest.fixture(scope="module")
def processes(folder: Path) -> list[Result]:
    """Those of two, with four devices each."""
    return results_of(2, 4, folder)


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
    processes: list[Result], folder: Path
) -> None:
    assert [int(each["stopped_after"]) for each in processes] == [int(processes[0]["stopped_after"])] * 2
    assert 3 <= processes[0]["stopped_after"] < 8
    assert_same_training(folder / "whole", folder / "whole_by_one")


def test_an_adapter_in_parts_over_processes_equals_that_of_one_device(processes: list[Result], folder: Path) -> None:
    assert_same_training(folder / "adapter", folder / "adapter_by_one")
    adapters = [
        (folder / name / "lora" / "adapter_model.safetensors").stat().st_size for name in ("adapter", "adapter_by_one")
    ]
    assert adapters[0] == adapters[1]


def test_each_process_reads_its_own_clips(processes: list[Result]) -> None:
    first, second = ({str(clip) for clip in each["read"]} for each in processes)
    assert first.isdisjoint(second)
    assert len(first) > 60
    assert len(second) == len(first) // 2


def test_the_first_process_alone_makes_sounds_and_writes(processes: list[Result], folder: Path) -> None:
    assert [each["samples"].tolist() for each in processes] == [[0, 5, 10], []]
    assert len(list((folder / "adapter" / "tensorboard").iterdir())) == 1


def test_a_run_goes_on_on_more_processes_and_on_fewer(processes: list[Result], folder: Path) -> None:
    assert_same_training(folder / "begun_by_one", folder / "whole_by_one")
    back = folder / "back"
    shutil.copytree(folder / "whole", back)
    shutil.rmtree(back / "checkpoints" / "step-00000010")
    shutil.rmtree(back / "model")
    with quick_compilation():
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
    processes: list[Result], what: str, in_first: str, in_second: str
) -> None:
    for each, expected in zip(processes, (in_first, in_second), strict=True):
        assert expected in " ".join(str(each[what]).split())


def test_four_processes_train_and_make_sounds_as_one_device_does(folder: Path) -> None:
    each = results_of(4, 1, folder)
    assert_same_training(folder / "adapter_by_four", folder / "adapter_by_one")
    with quick_compilation():
        expected = small_pipeline()(**UNGUIDED, output_type="latent").audios
    for found in each:
        np.testing.assert_allclose(found["latents"], expected, atol=1e-4)


def by_slurm(number: int) -> dict[str, str]:
    """What SLURM tells the tasks of a step; JAX takes the coordinator's port from the number of the job."""
    return {
        "SLURM_JOB_ID": str(JOB),
        "SLURM_STEP_NODELIST": "localhost",
        "SLURM_NTASKS": "2",
        "SLURM_PROCID": str(number),
        "SLURM_LOCALID": "0",
    }


def by_open_mpi(number: int) -> dict[str, str]:
    """What ``mpirun`` of Open MPI 4 tells its processes; the port comes from the number of the job likewise."""
    return {
        "OMPI_MCA_orte_hnp_uri": f"{(JOB + 1) * 2**12}.0;tcp://127.0.0.1:1234",
        "OMPI_COMM_WORLD_SIZE": "2",
        "OMPI_COMM_WORLD_RANK": str(number),
        "OMPI_COMM_WORLD_LOCAL_RANK": "0",
    }


JOB = os.getpid() * 2 % 2**12  # so that trials at the same time meet at other ports


def test_a_run_that_loses_a_process_ends_and_the_same_command_goes_on_to_the_same_bits(
    processes: list[Result], folder: Path
) -> None:
    first, second = (str(each["undisturbed"]) for each in processes)
    assert "on 8 devices of 2 processes" in first
    assert second == ""

    given = [str(folder / "sounds"), "-m", str(folder / "model"), "-o", str(folder / "disturbed"), *COMMAND]
    command = ["litefocus_jax", "finetune", *given, "--distributed", "--autoresume"]
    survivor, lost = started([command] * 2, 4, [by_slurm(0), by_slurm(1)])
    wait_until(lambda: (folder / "disturbed" / "checkpoints" / "step-00000002").exists(), survivor)
    lost.kill()
    said, _ = survivor.communicate(timeout=120)
    lost.communicate()
    assert survivor.returncode in (1, -signal.SIGABRT)  # JAX aborts where it is the first to notice
    assert survivor.returncode != 1 or "another of the 2 processes ended in the middle" in said
    assert not (folder / "disturbed" / "model").exists()

    ended(started([command] * 2, 4, [by_open_mpi(0), by_open_mpi(1)]))
    runs = [folder / "undisturbed", folder / "disturbed"]
    before, after = ((run / "lora" / "adapter_model.safetensors").read_bytes() for run in runs)
    assert before == after
    losses, losses_after = ([entry["loss"] for entry in read_journal(run / "log.jsonl")] for run in runs)
    assert losses == losses_after


def wait_until(is_done: Callable[[], bool], process: Process, *, longest_in_s: float = 120.0) -> None:
    """Look again and again, while a process runs."""
    until = time.monotonic() + longest_in_s
    while not is_done():
        assert process.poll() is None, process.communicate()[0]
        assert time.monotonic() < until
        time.sleep(0.02)
