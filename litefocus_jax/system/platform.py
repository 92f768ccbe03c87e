"""Compile programs for little memory, know how much there is, and give memory back to the system."""

import ctypes
import functools
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import jax
import jax.core

# XLA orders a program's operations for speed on CPUs and keeps results until they are wanted; this order wants them
# early instead. It takes two fifths of the temporary memory for the UNet at 160 s, and no more time.
_LITTLE_MEMORY = {"xla_cpu_scheduler_type": "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"}


class LowMemoryJit:
    """`jax.jit` for the large programs: on CPUs, XLA is asked to order operations for little memory.

    The request is made on first use, when the device is known, and dropped where XLA does not know it. Within another
    compiled function it is that function's compilation that counts.

    Args:
        function: a pure function.
        options: options of `jax.jit`.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self._function = function
        self._options = options
        functools.update_wrapper(self, function)

    @functools.cached_property
    def _jitted(self) -> Any:
        return jax.jit(self._function, compiler_options=_compiler_options(), **self._options)

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the compiled function, compiling it first for arguments of new shapes."""
        if _compiler_options() is not None and _is_traced((arguments, keywords)):
            return self._function(*arguments, **keywords)  # JAX takes such requests for whole programs alone
        return self._jitted(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        """Whatever else `jax.jit` offers, such as ``lower``."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._jitted, name)


def _is_traced(values: Any) -> bool:
    return any(isinstance(leaf, jax.core.Tracer) for leaf in jax.tree.leaves(values))


@functools.cache
def _compiler_options() -> dict[str, str] | None:
    if jax.default_backend() != "cpu":
        return None
    try:
        jax.jit(lambda: 0, compiler_options=_LITTLE_MEMORY).lower().compile()
    except Exception:  # options come and go with XLA's versions, and so does the error for one that it does not know
        return None
    return _LITTLE_MEMORY


def memory_limit() -> int | None:
    """Bytes that the arrays of this process can take on the default device, those that it holds already included.

    On an accelerator it is what JAX may allocate. On a CPU it is the memory that Linux calls available, and this
    process's own, within the limit of its control group; on other systems all memory that is built in.

    Returns:
        None where it is unknown.
    """
    statistics = jax.local_devices()[0].memory_stats()
    if statistics is not None and "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    if jax.default_backend() != "cpu":
        return None
    try:
        limit = _kilobytes("/proc/meminfo", "MemAvailable") + _kilobytes("/proc/self/status", "RssAnon")
    except (OSError, ValueError):
        try:
            limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    return min([limit, *_control_group_limits()])


def _kilobytes(path: str, name: str) -> int:
    """The number of bytes in an entry such as ``MemAvailable:  1024 kB`` of one of Linux's files."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", Path(path).read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{path} has no {name}")
    return 1024 * int(found.group(1))


def _control_group_limits() -> list[int]:
    """What containers set, in either version of Linux's control groups."""
    limits = []
    for path in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int(Path(path).read_text(encoding="utf-8")))
        except (OSError, ValueError):  # absent, or "max"
            continue
    return limits


def release_unused_memory() -> None:
    """Hand back what the C library keeps for later, where it is glibc; elsewhere do nothing.

    XLA's compiler works with many small pieces. After the UNet is compiled, glibc holds some 400 MB of them that
    nothing uses any more, and that would otherwise stay with the process until its end.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)
