"""Which device JAX runs on, and why not on another: its start, without the noise that it makes where one is missing."""

import contextlib
import dataclasses
import functools
import importlib.util
import logging
import os
import re
import sys
import tempfile
from collections.abc import Iterator

import jax

logger = logging.getLogger(__name__)

# Packages that are installed for an accelerator alone.
_PLUGINS = {"jax_cuda12_plugin": "NVIDIA GPU", "jax_cuda13_plugin": "NVIDIA GPU", "libtpu": "TPU"}
_LONGEST_REASON = 160  # characters


class DeviceError(ValueError):
    """The device that was asked for is not there."""


@dataclasses.dataclass(frozen=True)
class Start:
    """How JAX started.

    Attributes:
        devices: of this process, the default one first.
        noise: what JAX and the libraries below it had to say, line by line.
    """

    devices: tuple[jax.Device, ...]
    noise: tuple[str, ...] = ()

    @property
    def fallback(self) -> str | None:
        """One line on what it runs on and why not on an accelerator, where one was prepared for; otherwise None."""
        if self.devices[0].platform != "cpu" or _asked():
            return None
        if reason := _reason(self.noise):
            return f"Running on the CPU, not on an accelerator: {reason} (all of it: --verbose)"
        if prepared := [name for name in _PLUGINS if importlib.util.find_spec(name) is not None]:
            return f"Running on the CPU: {prepared[0]} is installed, but JAX sees no {_PLUGINS[prepared[0]]}"
        return None


@functools.cache
def start_jax() -> Start:
    """Have JAX look for its devices, which it does once in a process, and keep what it says about that.

    Raises:
        DeviceError: when there is no device such as ``JAX_PLATFORMS`` or ``jax.config`` asks for.
    """
    with _noise_kept() as noise:
        try:
            devices = tuple(jax.local_devices())
        except (RuntimeError, AssertionError) as error:
            raise DeviceError(_missing(str(error))) from error
    for line in noise:
        logger.debug("%s", line)
    return Start(devices, tuple(noise))


def _asked() -> str:
    """The platforms that the user asked for, such as ``JAX_PLATFORMS`` says; empty where JAX may choose."""
    return jax.config.jax_platforms or ""  # pyright: ignore[reportAttributeAccessIssue]


def _missing(reason: str) -> str:
    asked = _asked()
    reason = re.sub(r"^Unable to initialize backend '\w*': ?|\s*\(set JAX_PLATFORMS=.*|\s*\(you may need.*", "", reason)
    reason = f" ({_shortened(reason)})" if reason.strip() else ""
    if not asked:
        return f"JAX cannot start a device that it has a plugin for{reason}; set JAX_PLATFORMS=cpu to do without it"
    return (
        f"JAX_PLATFORMS = {asked!r}, but there is no such device here{reason}; unset it, so that JAX takes what there "
        "is, or set it to cpu"
    )


def _reason(noise: tuple[str, ...]) -> str | None:
    """The line of JAX's noise that says what went wrong: that of an exception, or else the first that is no advice."""
    lines = [line.strip() for line in noise if line.strip()]
    raised = [line for line in lines if re.match(r"[\w.]*(Error|Exception)\b:? ", line)]
    failures = [
        line for line in lines if re.search(r"fail|could not|cannot|unable|not found|may be present", line, re.I)
    ]
    chosen = next(iter([*raised[-1:], *failures, *lines]), None)
    return None if chosen is None else _shortened(chosen)


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= _LONGEST_REASON else f"{text[:_LONGEST_REASON].rstrip()} ..."


class _Keeper(logging.Handler):
    """Keeps what is logged, tracebacks included."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__(logging.WARNING)
        self._lines = lines

    def emit(self, record: logging.LogRecord) -> None:
        try:
            text = self.format(record)
        except Exception:  # JAX has messages that lack their arguments
            text = str(record.msg)
        self._lines += text.splitlines()


@contextlib.contextmanager
def _noise_kept() -> Iterator[list[str]]:
    """Keep what JAX logs and what libraries in C++ write to standard error; yields the lines, whole at the end."""
    lines: list[str] = []
    jax_logger = logging.getLogger("jax")
    handlers, propagate = jax_logger.handlers, jax_logger.propagate
    jax_logger.handlers, jax_logger.propagate = [_Keeper(lines)], False
    try:
        with _standard_error_kept(lines):
            yield lines
    finally:
        jax_logger.handlers, jax_logger.propagate = handlers, propagate


@contextlib.contextmanager
def _standard_error_kept(lines: list[str]) -> Iterator[None]:
    try:
        sys.stderr.flush()
        saved = os.dup(2)
    except (OSError, ValueError, AttributeError):  # a process without standard error
        yield
        return
    try:
        with tempfile.TemporaryFile() as file:
            os.dup2(file.fileno(), 2)
            try:
                yield
            finally:
                with contextlib.suppress(OSError, ValueError, AttributeError):
                    sys.stderr.flush()
                os.dup2(saved, 2)
                file.seek(0)
                lines += file.read().decode(errors="replace").splitlines()
    finally:
        os.close(saved)
