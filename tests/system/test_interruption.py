"""Signals that are heard wherever they come."""

import gc
import os
import signal
import sys
from pathlib import Path

import pytest

from litefocus_jax.system import interruption
from litefocus_jax.system.extras import import_extra
from litefocus_jax.system.files import replacement_folder
from litefocus_jax.system.interruption import (
    deferred_interruption,
    listening,
    raise_if_interrupted,
    remembered_interruption,
    was_interrupted,
)


class _Deaf:
    """As JAX's callback of the garbage collector: what is raised here is printed and otherwise ignored."""

    def __call__(self, phase: str, facts: dict) -> None:
        gc.callbacks.remove(self)
        os.kill(os.getpid(), signal.SIGINT)
        for _ in range(1000):  # Python runs handlers between instructions
            pass


def write_and_be_interrupted(destination: Path) -> None:
    with replacement_folder(destination, overwrite=False, marker="model.json") as new:
        (new / "model.json").write_text("{}")
        gc.callbacks.append(_Deaf())
        gc.collect()


@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_ctrl_c_that_a_callback_swallows_keeps_a_folder_from_appearing(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        write_and_be_interrupted(tmp_path / "model")
    assert list(tmp_path.iterdir()) == []
    raise_if_interrupted()  # nothing is remembered any longer


def test_a_command_prints_no_traceback_of_what_a_callback_swallows(capsys):
    with listening():
        gc.callbacks.append(_Deaf())
        gc.collect()
        assert was_interrupted()
    assert "Traceback" not in capsys.readouterr().err


def test_handlers_are_as_they_were_after_the_block():
    before = signal.getsignal(signal.SIGINT)
    with remembered_interruption():
        assert signal.getsignal(signal.SIGINT) is not before
    assert signal.getsignal(signal.SIGINT) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_training_hears_each_signal_and_may_still_save(number, tmp_path, request):
    before = signal.signal(number, signal.default_int_handler)  # nohup has us ignore SIGHUP
    request.addfinalizer(lambda: signal.signal(number, before))
    with deferred_interruption() as interrupted:
        assert not interrupted()
        os.kill(os.getpid(), number)
        assert interrupted()
        with replacement_folder(tmp_path / "model", overwrite=False, marker="model.json") as new:
            (new / "model.json").write_text("{}")
    assert interruption.exit_code() == 128 + number
    assert (tmp_path / "model" / "model.json").exists()


def test_a_package_that_swallows_interruptions_is_imported_whole_before_one_is_heard(tmp_path, monkeypatch):
    (tmp_path / "swallowing.py").write_text(
        "import os, signal, time\n"
        "try:\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    time.sleep(0.1)\n"
        "except KeyboardInterrupt:\n"
        "    pass\n"
        "else:\n"
        "    whole = True\n"
    )
    monkeypatch.syspath_prepend(tmp_path)
    with pytest.raises(KeyboardInterrupt):
        import_extra("swallowing")
    assert sys.modules.pop("swallowing").whole
