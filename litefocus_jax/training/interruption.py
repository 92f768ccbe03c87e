"""Ctrl-C that waits for a good moment."""

import contextlib
import logging
import signal
import threading
from collections.abc import Callable, Iterator

logger = logging.getLogger(__name__)


@contextlib.contextmanager
def deferred_interruption() -> Iterator[Callable[[], bool]]:
    """Let Ctrl-C be noticed rather than raised; yields a function that says whether it was pressed.

    Pressed a second time it raises `KeyboardInterrupt` at once. Signals reach the main thread alone: in any other,
    this does nothing.
    """
    if threading.current_thread() is not threading.main_thread():
        yield lambda: False
        return
    before = signal.getsignal(signal.SIGINT)
    pressed = False

    def notice(number: int, frame: object) -> None:
        nonlocal pressed
        if pressed:
            raise KeyboardInterrupt
        pressed = True
        logger.warning("Stopping after this update; press Ctrl-C again to stop at once, without saving")

    signal.signal(signal.SIGINT, notice)
    try:
        yield lambda: pressed
    finally:
        signal.signal(signal.SIGINT, before)
