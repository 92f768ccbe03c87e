"""Kills a command, lets the next one go on, and compares with one that nobody killed."""

import dataclasses
import os
import random
import shutil
import signal
import sys
import time
import traceback
from collections import Counter
from pathlib import Path

from tests.kill.commands import COMMANDS, make_given
from tests.kill.injection import Injection

SIGNALS = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT)
_LONGEST_IN_S = 300
# Typer ends the example with 1.
# What a program of its own does with SIGTERM is no business of the library.
_CODES = {signal.SIGTERM: (143, 1, -signal.SIGTERM), signal.SIGINT: (130, 1), signal.SIGKILL: (-signal.SIGKILL,)}


@dataclasses.dataclass
class Reference:
    """A run that nobody killed: what it left, how many changes it made to the disk, and how long it took."""

    content: dict[str, bytes]
    changes: int
    seconds: float


@dataclasses.dataclass
class Kills:
    """Runs commands, each in a process that is forked from this one, which has imported but never started JAX.

    Attributes:
        scratch: an empty folder.
    """

    scratch: Path
    outcomes: Counter[str] = dataclasses.field(default_factory=Counter)
    faults: list[str] = dataclasses.field(default_factory=list)
    references: dict[str, Reference] = dataclasses.field(default_factory=dict)

    def __post_init__(self) -> None:
        self.given = self.scratch / "given"
        self.given.mkdir()
        _in_a_process(lambda: make_given(self.given), self.scratch / "given.log")

    def reference(self, name: str) -> Reference:
        """What an uninterrupted run of a command leaves."""
        if name not in self.references:
            for attempt in ("cold", "reference"):  # the first one fills the cache of compiled programs
                out = self._out(attempt, name)
                started = time.monotonic()
                code, changes = self._run(name, out, again=False)
                if code != 0:
                    raise RuntimeError(f"{name} ends with {code}: {(self.scratch / 'log').read_text()[-3000:]}")
                self.references[name] = Reference(self._content(name, out), changes, time.monotonic() - started)
        return self.references[name]

    def case(self, name: str, drawn: random.Random, label: str) -> None:
        """Kill a command once, run it again, and note what should not be."""
        reference = self.reference(name)
        number, out = drawn.choice(SIGNALS), self._out("case", name)
        change = 0
        if drawn.random() < 0.7:
            after = drawn.random() < 0.5
            change = drawn.randint(1, reference.changes)
            how = f"{number.name} {'after' if after else 'before'} change {change} of {reference.changes}"
            code, _ = self._run(name, out, again=False, injection=(change, number, after))
        else:
            moment = drawn.random() * reference.seconds
            how = f"{number.name} after {moment:.2f} s"
            code, _ = self._run(name, out, again=False, moment=(moment, number))
        label = f"{label}: {name}, {how}"
        log = (self.scratch / "log").read_text(errors="replace")
        # It may have ended before: threads make changes too, and not always as many.
        was_early = code == 0 and (change == 0 or self._changes() < change)
        if code not in _CODES[number] and not was_early:
            self.faults.append(f"{label}: ended with {code}: {log[-1500:]}")
        elif number != signal.SIGKILL and "Traceback" in log and name != "save_pretrained":
            self.faults.append(f"{label}: a traceback: {log[-1500:]}")
        code, _ = self._run(name, out, again=True)
        if code != 0:
            self.faults.append(f"{label}: the next one ended with {code}: {(self.scratch / 'log').read_text()[-1500:]}")
        elif (content := self._content(name, out)) != reference.content:
            changed = [
                each for each in {*content, *reference.content} if content.get(each) != reference.content.get(each)
            ]
            self.faults.append(f"{label}: other files than uninterrupted: {sorted(changed)[:8]}")
        if left := [path.name for path in out.rglob(".*")]:
            self.faults.append(f"{label}: left {left[:8]}")
        self.outcomes[f"{name}: {number.name}"] += 1

    def _out(self, folder: str, name: str) -> Path:
        out = self.scratch / folder
        shutil.rmtree(out, ignore_errors=True)
        out.mkdir()
        COMMANDS[name].prepare(self.given, out)
        return out

    def _content(self, name: str, out: Path) -> dict[str, bytes]:
        found = {path for pattern in COMMANDS[name].outputs for path in out.glob(pattern) if path.is_file()}
        return {
            path.relative_to(out).as_posix(): path.read_bytes().replace(str(out).encode(), b"")
            for path in sorted(found)
            if path.suffix not in (".png",)  # of which some libraries write the time
        }

    def _run(
        self,
        name: str,
        out: Path,
        *,
        again: bool,
        injection: tuple[int, int, bool] | None = None,
        moment: tuple[float, int] | None = None,
    ) -> tuple[int, int]:
        """Exit code of a command, negative for a signal; and the changes it made to its folder."""
        counted = self.scratch / "changes"
        counted.write_text("0")

        def run() -> None:
            at, number, after = injection or (0, signal.SIGKILL, False)
            watching = Injection(out, at, number, after=after)
            watching.install()
            try:
                COMMANDS[name].run(self.given, out, again)
            finally:
                counted.write_text(str(watching.count))

        code = _in_a_process(run, self.scratch / "log", moment)
        return code, self._changes() if injection is None and moment is None and code == 0 else 0

    def _changes(self) -> int:
        """How many changes the last run made, if it lived to tell."""
        return int((self.scratch / "changes").read_text())


def _in_a_process(work, log: Path, moment: tuple[float, int] | None = None) -> int:
    """Do some work in a forked process; its exit code, negative for a signal."""
    child = os.fork()
    if child == 0:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(descriptor, 1)
        os.dup2(descriptor, 2)
        sys.stdout, sys.stderr = open(1, "w", closefd=False), open(2, "w", closefd=False)  # noqa: SIM115
        signal.signal(signal.SIGINT, signal.default_int_handler)  # which shells have background work ignore
        code = 0
        try:
            work()
        except SystemExit as ending:
            code = ending.code if isinstance(ending.code, int) else int(ending.code is not None)
        except KeyboardInterrupt:  # as Python ends a program that does not catch it
            from litefocus_jax.system.interruption import exit_code

            code = exit_code()
        except BaseException:
            traceback.print_exc()
            code = 1
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    deadline = time.monotonic() + _LONGEST_IN_S
    if moment is not None:
        time.sleep(moment[0])
        os.kill(child, moment[1])
    while True:
        done, status = os.waitpid(child, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status)
        if time.monotonic() > deadline:
            os.kill(child, signal.SIGKILL)
        time.sleep(0.02)
