"""Work that processes share through a folder."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from litefocus_jax.system.leases import Leases

TAKES_AND_SLEEPS = """
import sys, time
from pathlib import Path
from litefocus_jax.system.leases import Leases
with Leases(Path(sys.argv[1]), 600.0).taken("a") as is_taken:
    print(is_taken, flush=True)
    time.sleep(600)
"""


def age(lease: Path, seconds: float) -> None:
    """Have a lease last touched some time ago."""
    touched = time.time() - seconds
    os.utime(lease, (touched, touched))


@pytest.fixture
def foreign(tmp_path: Path) -> Path:
    """A lease of another machine, whose locks are not seen here."""
    lease = tmp_path / "a.1.lease"
    lease.write_text("elsewhere 1 token\n")
    return lease


def test_a_lease_appears_with_its_owner_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    leases = Leases(tmp_path, 600.0)
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", lambda descriptor: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt), leases.taken("a"):
            pass
    assert list(tmp_path.iterdir()) == []
    (tmp_path / ".a.1.lease.0123abcd.partial").touch()  # of a process that was killed there
    with leases.taken("a") as is_taken:
        assert is_taken
        assert (tmp_path / "a.1.lease").read_text() == f"{leases.owner}\n"
    leases.clear()
    assert not tmp_path.exists()


def test_work_is_had_by_one_at_a_time_and_then_by_the_next(tmp_path: Path) -> None:
    first, second = Leases(tmp_path / "new", 60.0), Leases(tmp_path / "new", 60.0)
    with first.taken("a") as is_first, second.taken("a") as is_second, second.taken("b") as is_other:
        assert (is_first, is_second, is_other) == (True, False, True)
        assert second.is_held("a")
    assert not second.is_held("a")
    with second.taken("a") as is_second:
        assert is_second
    assert list((tmp_path / "new").iterdir()) == []


def test_an_error_gives_the_work_back(tmp_path: Path) -> None:
    with pytest.raises(KeyboardInterrupt), Leases(tmp_path, 60.0).taken("a"):
        raise KeyboardInterrupt
    assert list(tmp_path.iterdir()) == []


def test_work_of_a_silent_host_is_taken_over_and_that_of_a_live_one_is_not(tmp_path: Path, foreign: Path) -> None:
    leases = Leases(tmp_path, 60.0)
    age(foreign, 50.0)
    with leases.taken("a") as is_taken:
        assert not is_taken
    assert foreign.exists()
    age(foreign, 70.0)
    with leases.taken("a") as is_taken, Leases(tmp_path, 60.0).taken("a") as is_taken_again:
        assert (is_taken, is_taken_again) == (True, False)
        assert (tmp_path / "a.2.lease").read_text() == f"{leases.owner}\n"


def test_of_several_that_take_over_one_has_it(tmp_path: Path, foreign: Path) -> None:
    """The second has looked before the first took it, as hosts do at the same moment."""
    age(foreign, 70.0)
    first, second = Leases(tmp_path, 60.0), Leases(tmp_path, 60.0)
    second._newest = lambda name: foreign
    with first.taken("a") as is_first, second.taken("a") as is_second:
        assert (is_first, is_second) == (True, False)


def test_a_holder_that_works_for_long_keeps_its_lease(tmp_path: Path) -> None:
    with Leases(tmp_path, 0.4).taken("a"):
        (lease,) = tmp_path.glob("*.lease")
        age(lease, 100.0)
        deadline = time.monotonic() + 10.0
        while time.time() - lease.stat().st_mtime > 50.0:
            assert time.monotonic() < deadline
            time.sleep(0.02)


def test_a_process_of_this_machine_that_was_killed_loses_its_lease_at_once(tmp_path: Path) -> None:
    process = subprocess.Popen([sys.executable, "-c", TAKES_AND_SLEEPS, tmp_path], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    assert process.stdout.readline() == "True\n"
    leases = Leases(tmp_path, 600.0)
    assert leases.is_held("a")
    process.kill()
    process.communicate()
    assert not leases.is_held("a")
    with leases.taken("a") as is_taken:
        assert is_taken
    assert list(tmp_path.iterdir()) == []
