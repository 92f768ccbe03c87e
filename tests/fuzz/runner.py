"""One damaged file after another, each within its time and memory."""

import contextlib
import dataclasses
import faulthandler
import logging
import random
import resource
import shutil
import signal
import tempfile
import warnings
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

from tests.fuzz.command_lines import faults_of, strange_arguments
from tests.fuzz.mutations import damage_for
from tests.fuzz.targets import DOCUMENTED, Target, targets

SECONDS = 5
GIGABYTE = 2**20  # in the kilobytes that Linux counts in
COMMAND_LINE = "command line"
_LONGEST_MESSAGE = 30_000


class SlowError(BaseException):
    """A case took longer than it may."""


@dataclasses.dataclass
class Findings:
    """What came of many cases.

    Attributes:
        outcomes: how many there were of each kind and outcome.
        faults: in words, those that should not be.
    """

    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    faults: list[str] = dataclasses.field(default_factory=list)


def run_cases(numbers: Iterable[int], seed: int, kinds: Iterable[str] | None = None) -> Findings:
    """Damage files and read them again.

    Args:
        numbers: of the cases; each draws its own damage, so that one alone can be run again.
        seed: of all of them.
        kinds: of targets; all of them unless given.
    """
    found = Findings()
    known = targets()
    names = list(kinds or [*known, *[COMMAND_LINE] * 3])
    logging.disable(logging.WARNING)
    with tempfile.TemporaryDirectory() as scratch, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        whole: dict[str, Path] = {}
        for number in numbers:
            drawn = random.Random(f"{seed}/{number}")
            name = drawn.choice(names)
            if name == COMMAND_LINE:
                _run_command_line(Path(scratch) / "case", drawn, f"case {number}", found)
                continue
            target = known[name]
            if target.name not in whole:
                whole[target.name] = Path(scratch) / target.name.replace(" ", "-")
                whole[target.name].mkdir()
                target.make(whole[target.name])
                # What is whole is read; and what JAX compiles for that is no part of any case's time.
                target.read(whole[target.name], _files(target, whole[target.name])[0])
            _run_case(target, whole[target.name], Path(scratch) / "case", drawn, f"case {number}", found)
    logging.disable(logging.NOTSET)
    return found


def _run_case(target: Target, whole: Path, folder: Path, drawn: random.Random, case: str, found: Findings) -> None:
    shutil.copytree(whole, folder)
    name = drawn.choice(_files(target, whole))
    content = (folder / name).read_bytes()
    (folder / name).write_bytes(damage_for(name)(content, drawn))
    before, peak = _listing(folder), _peak()
    label = f"{case}: {target.name}: {name}"
    try:
        with _within(SECONDS):
            target.read(folder, name)
        outcome = "read"
    except DOCUMENTED as error:
        outcome = "refused"
        found.faults += [f"{label}: {fault}" for fault in _faults(str(error), folder)]
    except SlowError:
        outcome = "slow"
        found.faults.append(f"{label}: took more than {SECONDS} s of the processor")
    except BaseException as error:
        if isinstance(error, KeyboardInterrupt):
            raise
        outcome = "wrong"
        found.faults.append(f"{label}: {type(error).__name__}: {error}"[:600])
    if _peak() - peak > GIGABYTE:
        found.faults.append(f"{label}: took {(_peak() - peak) / GIGABYTE:.1f} GB")
    if _listing(folder) != before:
        found.faults.append(f"{label}: left {sorted(set(_listing(folder)) ^ set(before))}")
    found.outcomes[f"{target.name}: {outcome}"] += 1
    shutil.rmtree(folder)


def _files(target: Target, whole: Path) -> Sequence[str]:
    return target.files or sorted(path.relative_to(whole).as_posix() for path in whole.rglob("*") if path.is_file())


def _run_command_line(folder: Path, drawn: random.Random, case: str, found: Findings) -> None:
    folder.mkdir()
    command, arguments = strange_arguments(drawn)
    peak = _peak()
    try:
        with _within(SECONDS):
            faults = faults_of(command, arguments, folder)
    except SlowError:
        faults = [f"{command} {arguments}: took more than {SECONDS} s of the processor"]
    if _peak() - peak > GIGABYTE:
        faults.append(f"{command} {arguments}: took {(_peak() - peak) / GIGABYTE:.1f} GB")
    found.faults += [f"{case}: {fault}" for fault in faults]
    found.outcomes[f"{COMMAND_LINE}: {command}"] += 1
    shutil.rmtree(folder)


def _faults(message: str, folder: Path) -> list[str]:
    """What is wrong with an error's message."""
    faults = []
    if str(folder) not in message:
        faults.append(f"the error names no file: {message[:300]!r}")
    if len(message) > _LONGEST_MESSAGE:
        faults.append(f"the message has {len(message)} characters")
    if not message.replace("\n", "").isprintable():
        faults.append(f"the message has control characters: {message[:300]!r}")
    return faults


def _listing(folder: Path) -> list[str]:
    return sorted(path.as_posix() for path in folder.rglob("*"))


def _peak() -> int:
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss


@contextlib.contextmanager
def _within(seconds: int) -> Iterator[None]:
    def stop(number: int, frame: object) -> None:
        raise SlowError

    # Of the processor, for the machine may have other work.
    before = signal.signal(signal.SIGPROF, stop)
    signal.setitimer(signal.ITIMER_PROF, seconds)
    faulthandler.dump_traceback_later(60 * seconds, exit=True)  # where no handler is heard
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_PROF, 0)
        faulthandler.cancel_dump_traceback_later()
        signal.signal(signal.SIGPROF, before)
