"""An update, repeated to the end: batches loaded ahead, a log, checkpoints, and Ctrl-C that waits for a good moment."""

import collections
import dataclasses
import math
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, Generic, Literal, NamedTuple, TypeVar

import jax
from jax.sharding import Mesh

from litefocus_jax.parallel.processes import AnyProcess, is_first
from litefocus_jax.system.interruption import deferred_interruption
from litefocus_jax.system.progress import figures_progress_bar
from litefocus_jax.training.checkpoints import Checkpoints
from litefocus_jax.training.journal import Journal

State = TypeVar("State")
Batch = TypeVar("Batch")

Figures = Mapping[str, jax.Array]
"""What an update tells: scalars by name, among them ``loss``."""


class NonFiniteFigureError(ValueError):
    """An update told a figure that is NaN or infinite.

    Attributes:
        step: how many updates there were with it.
        figures: all that it told.
        names: of what its batch was made of.
    """

    def __init__(self, title: str, step: int, figures: Mapping[str, float], names: tuple[str, ...]) -> None:
        super().__init__(f"{title}: step {step} gave {dict(figures)}; expected finite numbers")
        self.step, self.figures, self.names = step, figures, names


class TrainingInterrupted(KeyboardInterrupt):
    """Ctrl-C was pressed; the state has been saved, and the message says how to go on."""


class NamedBatch(NamedTuple, Generic[Batch]):
    """A batch and where it comes from.

    Attributes:
        batch: what one update learns from.
        names: of its clips, such as their files, for error messages.
    """

    batch: Batch
    names: tuple[str, ...] = ()


@dataclasses.dataclass(frozen=True)
class Observation(Generic[State]):
    """Something that is looked at now and then while a model is trained, and changes nothing.

    Attributes:
        every: updates from one time to the next; it is done before the first update and after the last one too.
        observe: takes the state and the number of updates before it; what it returns is part of the log.
    """

    every: int
    observe: Callable[[State, int], Mapping[str, float]]


@dataclasses.dataclass(frozen=True, kw_only=True)
class Updates(Generic[State, Batch]):
    """The loop with all that stays the same in it.

    Attributes:
        title: of the progress bar.
        steps: updates in all.
        load: the batch of an update, counted from 0: always the same one, so that a resumed run is exact. It is called
            from a thread of its own, while the device computes the update before.
        update: the state after an update and what it tells, from the state before, its batch and its number. It may
            take over the memory of the state.
        checkpoints: where the state is kept.
        save_every: updates between checkpoints; there is one after the last update too.
        log: path of a file of JSON lines.
        log_every: updates between lines of the log; there is one for every checkpoint too.
        log_time: what a line says of time: ``steps_per_second`` of late, or ``seconds`` of the whole run, all its parts
            together.
        progress: draw a bar, where there is a terminal.
        observations: what is looked at between updates.
        on_line: told every line of the log, as a dictionary.
        mesh: whose processes do all of this together; the first of them alone writes the log and draws the bar. Without
            several processes it does not matter.
    """

    title: str
    steps: int
    load: Callable[[int], NamedBatch[Batch]]
    update: Callable[[State, Batch, int], tuple[State, Figures]]
    checkpoints: Checkpoints[State]
    save_every: int
    log: Path
    log_every: int = 1
    log_time: Literal["steps_per_second", "seconds"] = "steps_per_second"
    progress: bool = True
    observations: Sequence[Observation[State]] = ()
    on_line: Callable[[Mapping[str, Any]], None] = lambda line: None
    mesh: Mesh | None = None

    def to_the_end(self, state: State, done: int) -> State:
        """Update until all is done. A run that is interrupted and resumed ends with the state of one that was not.

        Args:
            state: after ``done`` updates; its memory is taken over.
            done: how many updates there have been. What the log says of later ones is removed.

        Returns:
            The state after all updates.

        Raises:
            NonFiniteFigureError: when a figure is NaN or infinite; checkpoints are from before that.
            SavingError: when a checkpoint cannot be written; earlier ones are as they were.
            TrainingInterrupted: after Ctrl-C, once the update under way has ended and its state is saved. A second
                Ctrl-C ends at once, unsaved.
        """
        writes = is_first(self.mesh)
        # A process that is told to stop takes the others with it, so that all do as many updates.
        is_over = AnyProcess(self.mesh)
        with (
            Journal(self.log if writes else None, after=done) as journal,
            ThreadPoolExecutor(1, thread_name_prefix="batches") as ahead,
            deferred_interruption() as interrupted,
            figures_progress_bar(self.title, self.steps, done=done, enabled=self.progress and writes) as show,
        ):
            clock = _Clock(seconds_before=journal.last.get("seconds", 0.0))
            report = _Report(self, journal, show, clock)
            pending: _Pending | None = None
            coming = ahead.submit(self.load, done) if done < self.steps else None
            if done == 0 and (observed := self.observe(state, done)):
                report.line(done, observed)
            show(done, "compiling")
            while coming is not None and not is_over(interrupted()):
                batch, names = coming.result()
                coming = ahead.submit(self.load, done + 1) if done + 1 < self.steps else None
                state, figures = self.update(state, batch, done)
                done += 1
                # Figures are read while the next update runs, so that the device never waits for the host.
                if pending is not None and pending.step % self.log_every == 0:
                    report(pending)
                pending = _Pending(done, figures, names)
                if not clock.runs:  # the first update is mostly compilation, and none of the rate
                    jax.block_until_ready(figures)
                    clock.restart(done)
                is_saved = done % self.save_every == 0 or done == self.steps
                if is_saved or any(done % one.every == 0 for one in self.observations):
                    # Before saving: what is saved must be known to be finite.
                    report(pending, state)
                    pending = None
                    if is_saved:
                        self.checkpoints.save(done, state)
                    clock.restart(done)
            if pending is not None:
                report(pending)
            if done < self.steps:
                self.checkpoints.save(done, state)
            if is_over.now(
                interrupted()
            ):  # after the last update too: what follows it may take as long as many updates
                raise TrainingInterrupted(
                    f"interrupted after {done} of {self.steps} updates, which are saved in "
                    f"{self.checkpoints.path(done)}; resume the training to go on from there"
                )
        return state

    def observe(self, state: State, done: int) -> dict[str, float]:
        """All observations that are due after so many updates, one after the other."""
        observed: dict[str, float] = {}
        for one in self.observations:
            if done % one.every == 0 or done == self.steps:
                observed |= one.observe(state, done)
        return observed


class _Pending(NamedTuple):
    """An update that the device may still be computing."""

    step: int
    figures: Figures
    names: tuple[str, ...]


class _Clock:
    """Measures how long updates take and how fast they follow one another.

    The rate is that of the last twenty reports, since single updates are reported unevenly. What lies between two
    updates, such as compilation or the writing of a checkpoint, is no part of it.
    """

    def __init__(self, *, seconds_before: float) -> None:
        self._started = time.perf_counter() - seconds_before
        self._reports = collections.deque[tuple[float, int]](maxlen=20)

    @property
    def seconds(self) -> float:
        """Of all parts of the run."""
        return time.perf_counter() - self._started

    @property
    def runs(self) -> bool:
        """Whether the rate is being measured."""
        return bool(self._reports)

    def restart(self, done: int) -> None:
        """Measure the rate from now on, when so many updates are done."""
        self._reports.clear()
        self._reports.append((time.perf_counter(), done))

    def steps_per_second(self, done: int) -> float | None:
        """The rate, now that so many updates are done; None before the second one is."""
        (first, before) = self._reports[0]
        if done == before:
            return None
        self._reports.append((time.perf_counter(), done))
        return (done - before) / max(time.perf_counter() - first, 1e-9)


@dataclasses.dataclass
class _Report:
    """Tells of updates: to the log, the bar and whoever wants every line."""

    updates: Updates[Any, Any]
    journal: Journal
    show: Callable[[int, str], None]
    clock: _Clock

    def __call__(self, pending: _Pending, state: Any = None) -> None:
        """Wait for an update, look at what is due after it where the state is given, and tell of both.

        Raises:
            NonFiniteFigureError: when one of its figures is not finite; nothing is looked at then.
        """
        step, figures = pending.step, {name: float(figure) for name, figure in pending.figures.items()}
        rate = self.clock.steps_per_second(step)
        if not all(math.isfinite(figure) for figure in figures.values()):
            raise NonFiniteFigureError(self.updates.title, step, figures, pending.names)
        measured = round(self.clock.seconds, 1) if self.updates.log_time == "seconds" else rate and round(rate, 4)
        observed = {} if state is None else self.updates.observe(state, step)
        self.line(step, {**figures, self.updates.log_time: measured, **observed})
        seen = f"loss {figures['loss']:.4f}"
        self.show(step, seen if rate is None else f"{seen}, {rate:.2f} steps/s")

    def line(self, step: int, figures: Mapping[str, float | None]) -> None:
        """Write one."""
        self.journal.write(step=step, **figures)
        self.updates.on_line({"step": step, **figures})
