"""A small share of the kills that ``python -m tests.kill`` does; in a process of its own, which forks."""

import subprocess
import sys

import pytest


@pytest.mark.skipif(sys.platform == "win32", reason="processes are not forked there")
def test_a_killed_command_loses_nothing_and_the_next_one_ends_as_if_there_had_been_no_kill():
    commands = [f"--command={name}" for name in ("convert", "replace")]
    done = subprocess.run(
        [sys.executable, "-m", "tests.kill", "--cases=4", "--seed=3", *commands], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr[-3000:]
    assert "4 kills, 0 faults" in done.stdout
