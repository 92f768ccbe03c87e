"""Ctrl-C and termination: raised, remembered in case nobody hears it, or put off to a good moment.

Python raises `KeyboardInterrupt` wherever it happens to be. Within a callback of the garbage collector, of which JAX
has one, or while an object is deleted, that is printed and otherwise ignored. So the handlers here remember the signal
too, and whoever does long work looks at it between two pieces (`raise_if_interrupted`).
"""

import contextlib
import functools
import logging
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from typing import Any

logger = logging.getLogger(__name__)

_SIGNALS = tuple(
    getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name)
)  # Ctrl-C; what schedulers send; the end of a terminal
_received: int | None = None  # and nobody may have heard it
_last: int = signal.SIGINT


def _raise(number: int, frame: object) -> None:
    del frame
    global _received, _last  # a process has one set of handlers
    _received = _last = number
    raise KeyboardInterrupt


@contextlib.contextmanager
def _handled_by(handle: Callable[[int, Any], object]) -> Iterator[None]:
    """Within the block, have a function called for the signals that end a process, but for those that are ignored."""
    before = {number: signal.getsignal(number) for number in _SIGNALS}
    for number, handler in before.items():
        if handler != signal.SIG_IGN:
            signal.signal(number, handle)
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextlib.contextmanager
def listening() -> Iterator[None]:
    """Have the signals that end a process raise `KeyboardInterrupt` within the block, so that a command cleans up.

    A signal that was to be ignored, as under ``nohup``, stays ignored. Signals reach the main thread alone: in any
    other, this does nothing.
    """
    global _received
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    _received = None
    hook = sys.unraisablehook
    sys.unraisablehook = functools.partial(_leave_out_interruptions, hook)
    try:
        with _handled_by(_raise):
            yield
    finally:
        sys.unraisablehook = hook
        _received = None


def _leave_out_interruptions(hook: Callable[[Any], object], unraisable: Any) -> None:
    """Print no traceback of an interruption where nobody could hear it: it is remembered."""
    if unraisable.exc_type is not KeyboardInterrupt:
        hook(unraisable)


def exit_code() -> int:
    """What a command that was interrupted ends with, as shells count it: 128 and the number of the signal."""
    return 128 + _last


def forget_last() -> None:
    """Begin a command: which signal ended an earlier one in this process says nothing of it."""
    global _last
    _last = signal.SIGINT


def was_interrupted() -> bool:
    """Whether a signal came that nobody may have heard."""
    return _received is not None


def raise_if_interrupted() -> None:
    """Raise an interruption that came before, and that nobody heard.

    Raises:
        KeyboardInterrupt: if there was one.
    """
    if was_interrupted():
        raise KeyboardInterrupt


@contextlib.contextmanager
def remembered_interruption() -> Iterator[None]:
    """Within the block, remember Ctrl-C for `raise_if_interrupted` where a program left it to Python.

    For what a library does in somebody else's program. Signals reach the main thread alone: in any other, this does
    nothing.
    """
    global _received
    is_main = threading.current_thread() is threading.main_thread()
    if not is_main or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield
        return
    _received = None
    signal.signal(signal.SIGINT, _raise)
    try:
        yield
        raise_if_interrupted()
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)
        _received = None


@contextlib.contextmanager
def interruption_at_the_end() -> Iterator[None]:
    """Let signals that come within the block be handled at its end.

    For imports: a module that is interrupted half-way leaves broken parts behind, and some libraries catch what is
    raised then and print it. Signals reach the main thread alone: in any other, this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    came: list[int] = []
    try:
        with _handled_by(lambda number, frame: came.append(number)):
            yield
    finally:
        for number in came[:1]:
            signal.raise_signal(number)


@contextlib.contextmanager
def deferred_interruption() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C and termination be noticed rather than raised; yields a function that says whether there was one.

    A second one raises `KeyboardInterrupt` at once. Signals reach the main thread alone: in any other, this does
    nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    pressed = False

    def notice(number: int, frame: object) -> None:
        nonlocal pressed
        if pressed:
            _raise(number, frame)
        pressed = True
        global _last
        _last = number
        logger.warning("Stopping after this update; press Ctrl-C again to stop at once, without saving")

    with _handled_by(notice):
        yield lambda: pressed
