"""Joining other processes: what does not fit is said before anybody waits, and who does not come ends the waiting."""

import subprocess
import sys

import pytest

from litefocus_jax.system.processes import JoiningError, join_processes
from tests.support.processes import free_port


@pytest.mark.parametrize(
    ("coordinator", "process_id", "num_processes", "message"),
    [
        ("localhost:9911", 2, 2, "process_id = 2; expected 0 to 1, another number in each of the 2 processes"),
        ("localhost:9911", -1, 2, "process_id = -1; expected 0 to 1"),
        ("localhost:9911", 0, 0, "num_processes = 0; expected at least 1"),
        ("localhost", 0, 2, "coordinator = 'localhost'; expected host:port, such as 10.0.0.1:9911"),
        ("localhost:99999", 0, 2, "coordinator = 'localhost:99999'; expected host:port"),
        (
            "localhost:9911",
            None,
            2,
            "not given: process_id; expected coordinator, process_id, num_proc",
        ),
        (None, 1, None, "not given: coordinator, num_processes; expected"),
    ],
)
def test_numbers_that_do_not_fit_are_refused_at_once(coordinator, process_id, num_processes, message) -> None:
    with pytest.raises(JoiningError) as refusal:
        join_processes(coordinator, process_id, num_processes)
    assert message in str(refusal.value)


def ended(*arguments: str) -> tuple[int, str]:
    """Exit code and standard error of a process that joins nobody."""
    code = f"from litefocus_jax.system.processes import join_processes; join_processes({', '.join(arguments)})"
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False)
    return result.returncode, result.stderr


def test_a_coordinator_that_nobody_is_at_ends_the_waiting_with_a_reason() -> None:
    code, said = ended("'localhost:1'", "1", "2", "timeout_in_s=1")
    assert code == 1
    assert "process 0 cannot be reached at localhost:1 within 1 s" in said


def test_processes_that_do_not_come_end_the_waiting_of_the_first_one() -> None:
    code, said = ended(f"'localhost:{free_port()}'", "0", "2", "timeout_in_s=1")
    assert code == 1
    assert "not all 2 processes came to localhost" in said


def test_without_a_launcher_that_jax_knows_the_options_are_named() -> None:
    code, said = ended()
    assert code == 1
    assert "no launcher that JAX knows started this process" in said
    assert "--coordinator, --process-id, --num-processes" in said
