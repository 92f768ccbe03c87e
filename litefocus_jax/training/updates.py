"""An update, repeated to the end: batches loaded ahead, a log, checkpoints, and Ctrl-C that waits for a good moment."""

import collections
import dataclasses
import math
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Generic, Literal, NamedTuple, TypeVar

import jax

from litefocus_jax.system.progress import figures_progress_bar
from litefocus_jax.training.checkpoints import Checkpoints
from litefocus_jax.training.interruption import deferred_interruption
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
        with (
            Journal(self.log, after=done) as journal,
            ThreadPoolExecutor(1, thread_name_prefix="batches") as ahead,
            deferred_interruption() as interrupted,
            figures_progress_bar(self.title, self.steps, done=done, enabled=self.progress) as show,
        ):
            clock = _Clock(done, seconds_before=journal.last.get("seconds", 0.0))
            pending: _Pending | None = None
            coming = ahead.submit(self.load, done) if done < self.steps else None
            while coming is not None and not interrupted():
                batch, names = coming.result()
                coming = ahead.submit(self.load, done + 1) if done + 1 < self.steps else None
                state, figures = self.update(state, batch, done)
                done += 1
                # Figures are read while the next update runs, so that the device never waits for the host.
                if pending is not None and pending.step % self.log_every == 0:
                    self._report(pending, journal, show, clock)
                pending = _Pending(done, figures, names)
                if done % self.save_every == 0 or done == self.steps:
                    # Before saving: what is saved must be known to be finite.
                    self._report(pending, journal, show, clock)
                    pending = None
                    self.checkpoints.save(done, state)
            if pending is not None:
                self._report(pending, journal, show, clock)
            if done < self.steps:
                self.checkpoints.save(done, state)
                raise TrainingInterrupted(
                    f"interrupted after {done} of {self.steps} updates, which are saved in "
                    f"{self.checkpoints.path(done)}; resume the training to go on from there"
                )
        return state

    def _report(self, pending: "_Pending", journal: Journal, show: Callable[[int, str], None], clock: "_Clock") -> None:
        """Wait for an update, and log it.

        Raises:
            NonFiniteFigureError: when one of its figures is not finite.
        """
        step, figures = pending.step, {name: float(figure) for name, figure in pending.figures.items()}
        rate = clock.steps_per_second(step)
        if not all(math.isfinite(figure) for figure in figures.values()):
            raise NonFiniteFigureError(self.title, step, figures, pending.names)
        took = {"seconds": round(clock.seconds, 1)} if self.log_time == "seconds" else {self.log_time: round(rate, 4)}
        journal.write(step=step, **figures, **took)
        show(step, f"loss {figures['loss']:.4f}, {rate:.2f} steps/s")


class _Pending(NamedTuple):
    """An update that the device may still be computing."""

    step: int
    figures: Figures
    names: tuple[str, ...]


class _Clock:
    """Measures how long updates take and how fast they follow one another.

    The rate is that of the last twenty reports: single updates are reported unevenly.
    """

    def __init__(self, done: int, *, seconds_before: float) -> None:
        self._started = time.perf_counter() - seconds_before
        self._reports = collections.deque([(time.perf_counter(), done)], maxlen=20)

    @property
    def seconds(self) -> float:
        """Of all parts of the run."""
        return time.perf_counter() - self._started

    def steps_per_second(self, done: int) -> float:
        """The rate, now that so many updates are done."""
        self._reports.append((time.perf_counter(), done))
        (first, before), (last, _) = self._reports[0], self._reports[-1]
        return (done - before) / max(last - first, 1e-9)
