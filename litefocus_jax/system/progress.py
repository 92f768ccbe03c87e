"""Progress bars for long work, in a terminal or a notebook; silent where there is neither to draw on."""

import contextlib
import sys
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING

from litefocus_jax.system.notebook import NotebookBars, is_notebook

if TYPE_CHECKING:
    from rich.progress import Progress


_counted: ContextVar[str] = ContextVar("counted", default="")


@contextlib.contextmanager
def numbered_bars(first: int, last: int, total: int) -> Iterator[None]:
    """Have the bars of the block say which of several things they are about, such as ``3 of 23``.

    Args:
        first: number of the first thing, from 1.
        last: number of the last one.
        total: number of all; a single one is not counted.
    """
    numbers = f"{first}" if first == last else f"{first} to {last}"
    token = _counted.set(f" {numbers} of {total}" if total > 1 else "")
    try:
        yield
    finally:
        _counted.reset(token)


@contextlib.contextmanager
def busy(description: str, *, enabled: bool = True) -> Iterator[None]:
    """Show that something goes on whose end is not known, and for how long; it vanishes when the block ends.

    Args:
        description: what goes on.
        enabled: draw at all. Nothing is drawn unless standard error is a terminal, or Python runs in a notebook.
    """
    with _drawing(enabled, is_endless=True) as progress:
        if progress is not None:
            progress.add_task(description + _counted.get(), total=None)
        yield


@contextlib.contextmanager
def progress_bar(description: str, total: int, *, enabled: bool = True) -> Iterator[Callable[[int], None]]:
    """Show a bar with the time taken and the time left; yields a function that is told how many units are done.

    Args:
        description: shown before the bar.
        total: units of work.
        enabled: draw at all. Nothing is drawn unless standard error is a terminal, or Python runs in a notebook.
    """
    with _drawing(enabled) as progress:
        if progress is None:
            yield lambda done: None
        else:
            task = progress.add_task(description + _counted.get(), total=total)
            yield lambda done: progress.update(task, completed=done)


@contextlib.contextmanager
def described_progress_bar(total: int) -> Iterator[Callable[[str], None]]:
    """Show a bar over parts of work that have names; yields a function that is told each part as it begins."""
    with _drawing(enabled=True) as progress:
        if progress is None:
            yield lambda description: None
            return
        task = progress.add_task("", total=total)
        begun = 0

        def begin(description: str) -> None:
            nonlocal begun
            progress.update(task, completed=begun, description=description)
            begun += 1

        yield begin
        progress.update(task, completed=total)


@contextlib.contextmanager
def figures_progress_bar(
    description: str, total: int, *, done: int = 0, enabled: bool = True
) -> Iterator[Callable[[int, str], None]]:
    """Show a bar with figures behind it; yields a function that is told how many units are done, and the figures.

    Args:
        description: shown before the bar.
        total: units of work.
        done: units that were done before.
        enabled: draw at all. Nothing is drawn unless standard error is a terminal, or Python runs in a notebook.
    """
    with _drawing(enabled, "{task.fields[figures]}") as progress:
        if progress is None:
            yield lambda done, figures: None
        else:
            task = progress.add_task(description, total=total, completed=done, figures="")
            yield lambda done, figures: progress.update(task, completed=done, figures=figures)


@contextlib.contextmanager
def _drawing(enabled: bool, *texts: str, is_endless: bool = False) -> "Iterator[Progress | NotebookBars | None]":
    if enabled and is_notebook():
        with NotebookBars() as bars:
            yield bars
        return
    if not (enabled and sys.stderr.isatty()):
        yield None
        return
    from rich.console import Console
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        SpinnerColumn,
        TextColumn,
        TimeElapsedColumn,
        TimeRemainingColumn,
    )

    if is_endless:
        columns = (SpinnerColumn(), TextColumn("{task.description}"), TimeElapsedColumn())
        with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
            yield progress
        return
    columns = (
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        TextColumn("left"),
        TimeRemainingColumn(),
        *(TextColumn(text) for text in texts),
    )
    with Progress(*columns, console=Console(stderr=True)) as progress:
        yield progress
