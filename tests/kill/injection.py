"""A signal that a process sends to itself at a chosen change of the disk."""

import builtins
import functools
import io
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

_CHANGES = ("rename", "replace", "link", "mkdir", "rmdir", "unlink", "remove", "fsync")


class Injection:
    """Counts the changes that this process makes to a folder, and sends a signal before or after one of them.

    Args:
        folder: the changes within it count, and everything that waits for the disk.
        at: number of the change, from 1; 0 for none.
        number: the signal.
        after: whether it comes after the change.
    """

    def __init__(self, folder: Path, at: int, number: int, *, after: bool) -> None:
        self.count = 0
        self._counted = threading.RLock()
        self._folder, self._at, self._number, self._after = str(folder), at, number, after

    def install(self) -> None:
        """Stand in the place of the functions that change the disk."""
        for name in _CHANGES:
            setattr(os, name, self._counting(getattr(os, name), is_opening=False))
        opened = self._counting(io.open, is_opening=True)
        io.open = builtins.open = opened

    def _counting(self, function: Callable[..., Any], *, is_opening: bool) -> Callable[..., Any]:
        @functools.wraps(function)
        def counted(*arguments: Any, **options: Any) -> Any:
            target = arguments[0] if arguments else None
            mode = options.get("mode", arguments[1] if len(arguments) > 1 else "r")
            is_ours = isinstance(target, int) or str(target).startswith(self._folder)
            if not is_ours or (is_opening and not set(str(mode)) & set("wax+")):
                return function(*arguments, **options)
            with self._counted:
                self.count += 1
                is_due = self.count == self._at
            if is_due and not self._after:
                self._send()
            try:
                return function(*arguments, **options)
            finally:  # a change that the system refuses is one too
                if is_due and self._after:
                    self._send()

        return counted

    def _send(self) -> None:
        os.kill(os.getpid(), self._number)
        if self._number == signal.SIGKILL:
            signal.pause()
