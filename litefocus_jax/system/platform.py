"""What a platform is good at, said once; programs compiled for little memory, and how much of it there is."""

import contextlib
import ctypes
import dataclasses
import functools
import os
import re
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from pathlib import Path
from typing import Any

import jax
from jax.core import Tracer

from litefocus_jax.system.devices import start_jax

Options = tuple[tuple[str, str], ...]
"""Pairs of name and value: options of XLA's compiler."""


@dataclasses.dataclass(frozen=True)
class Platform:
    """A kind of processor, and the choices that its programs are made with.

    The defaults are those of accelerators; `platform_named` knows the others.

    Attributes:
        name: as JAX calls it: ``"cpu"``, ``"gpu"`` or ``"tpu"``.
        gpu_generation: major version of an NVIDIA GPU's compute capability (8 is Ampere, the first with a fused kernel
            of attention), or 0.
        default_dtype: floating-point type of the UNet and the text encoders where nobody asks for one.
        head_tile_rows: queries in a tile of attention, where a tile is one head; None where it spans all heads.
        tile_scores: scores in a tile of attention, at most, where it spans all heads.
        hidden_floats: floats in a block of a feed-forward network's hidden vectors, or None where all are made at once.
        gains_from_half_precision: whether products of half-precision matrices are faster than of float32 ones.
        uses_winograd: whether large float32 convolutions go by Winograd's algorithm.
        longest_call_in_steps: steps of denoising in one call of a compiled program, at most.
        loops_over_layers: whether programs are made small by loops over layers that are alike.
        calls_queued_ahead: calls that wait on the device behind the one that runs.
        keeps_traces: whether what JAX traces of the networks is kept beside what XLA compiles (`KeptJit`).
        little_memory_options: have XLA make a program that takes little memory.
    """

    name: str
    gpu_generation: int = 0
    default_dtype: str = "bfloat16"
    head_tile_rows: int | None = None
    tile_scores: int = 2**26  # 256 MiB: enough to fill the device
    hidden_floats: int | None = None
    gains_from_half_precision: bool = True
    uses_winograd: bool = False
    longest_call_in_steps: int = 10  # which keep an accelerator busy
    loops_over_layers: bool = False
    calls_queued_ahead: int = 1
    keeps_traces: bool = False
    little_memory_options: Options = ()

    def for_one_of(self, devices: int) -> "Platform":
        """The choices of a device that shares a sound with others, and holds its share of it alone.

        A tile that fills a device would outweigh the rest of what it holds. A small part of a share of it, of at least
        `_LEAST_TILE_SCORES`, still has more rows than a matrix unit takes at a time.
        """
        return dataclasses.replace(self, tile_scores=max(_LEAST_TILE_SCORES, self.tile_scores // (4 * devices)))


_LEAST_TILE_SCORES = 2**20

_CPU = Platform(
    "cpu",
    default_dtype="float32",
    head_tile_rows=256,  # so that a tile stays in cache between its two matrix products
    hidden_floats=2**21,  # 8 MB
    gains_from_half_precision=False,
    uses_winograd=True,
    longest_call_in_steps=1,  # a single step takes long enough that the user wants to see each one
    calls_queued_ahead=0,
    keeps_traces=True,
    # XLA orders a program's operations for speed on CPUs and keeps results until they are wanted; this order wants them
    # early instead. It takes two fifths of the temporary memory for the UNet at 160 s, and no more time.
    little_memory_options=(("xla_cpu_scheduler_type", "CPU_SCHEDULER_TYPE_MEMORY_OPTIMIZED"),),
)

_target: ContextVar[Platform | None] = ContextVar("target", default=None)
# Compiled programs remember the target that they were traced for, so that no other target is given them.
_part_of_every_program = jax.make_user_context(None)


def platform_named(name: str, gpu_generation: int = 0) -> Platform:
    """The platform that JAX calls by a name.

    Args:
        name: ``"cpu"``, ``"gpu"``, ``"tpu"``, or that of another accelerator.
        gpu_generation: major version of an NVIDIA GPU's compute capability.
    """
    if name == "cpu":
        return _CPU
    return Platform(name, gpu_generation, loops_over_layers=name == "tpu")


def current_platform() -> Platform:
    """The platform that programs are made for: the one of `targeting`, else the one at hand."""
    return _target.get() or _platform_at_hand()


def _platform_at_hand() -> Platform:
    start_jax()
    major = str(getattr(jax.local_devices()[0], "compute_capability", "")).partition(".")[0]
    return platform_named(jax.default_backend(), int(major) if major.isdigit() else 0)


@contextlib.contextmanager
def targeting(platform: Platform) -> Iterator[None]:
    """Within this context, and this thread, make programs as for another platform than the one at hand.

    Whatever reads `current_platform` makes the other platform's choices. Functions that are compiled already are
    traced anew, and again after the context: JAX keeps programs of different targets apart.

    Args:
        platform: from `platform_named`, or one with other choices.
    """
    token = _target.set(platform)
    try:
        with _part_of_every_program(platform):
            yield
    finally:
        _target.reset(token)


class LowMemoryJit:
    """`jax.jit` for the large programs: where the platform has options for it, XLA is asked for little memory.

    The request is made when a program is, and dropped where XLA does not know it. Within another compiled function it
    is that function's compilation that counts.

    Args:
        function: a pure function.
        options: options of `jax.jit`.
    """

    def __init__(self, function: Callable[..., Any], **options: Any) -> None:
        self._function = function
        self._options = options
        self._jitted_with: dict[Options, Any] = {}
        functools.update_wrapper(self, function)

    def _jitted(self) -> Any:
        asked = _known_to_xla(current_platform().little_memory_options)
        if asked not in self._jitted_with:
            compiler_options = dict(asked) or None
            self._jitted_with[asked] = jax.jit(self._function, compiler_options=compiler_options, **self._options)
        return self._jitted_with[asked]

    def __call__(self, *arguments: Any, **keywords: Any) -> Any:
        """Call the compiled function, compiling it first for arguments of new shapes."""
        if _known_to_xla(current_platform().little_memory_options) and is_traced((arguments, keywords)):
            return self._function(*arguments, **keywords)  # JAX takes such requests for whole programs alone
        return self._jitted()(*arguments, **keywords)

    def __getattr__(self, name: str) -> Any:
        """Whatever else `jax.jit` offers, such as ``lower``."""
        if name.startswith("__"):
            raise AttributeError(name)
        return getattr(self._jitted(), name)


def is_traced(values: Any) -> bool:
    """Whether a function that JAX traces is being called with these arguments."""
    return any(isinstance(leaf, Tracer) for leaf in jax.tree.leaves(values))


@functools.cache
def _known_to_xla(options: Options) -> Options:
    """The options, or none where this version of XLA does not know them."""
    if not options:
        return ()
    try:
        jax.jit(lambda: 0, compiler_options=dict(options)).lower().compile()
    except Exception:  # options come and go with XLA's versions, and so does the error for one that it does not know
        return ()
    return options


def memory_limit(root: Path = Path("/")) -> int | None:
    """Bytes that the arrays of this process can take on the default device, those that it holds already included.

    On an accelerator it is what JAX may allocate. On a CPU it is the memory that Linux calls available, and this
    process's own, within the limit of its control group; on other systems all memory that is built in.

    Args:
        root: the folder with Linux's ``proc`` and ``sys``.

    Returns:
        None where it is unknown.
    """
    start_jax()
    statistics = jax.local_devices()[0].memory_stats()
    if statistics is not None and "bytes_limit" in statistics:
        return statistics["bytes_limit"]
    if _platform_at_hand().name != "cpu":
        return None
    try:
        limit = _kilobytes(root / "proc/meminfo", "MemAvailable") + _kilobytes(root / "proc/self/status", "RssAnon")
    except (OSError, ValueError):
        try:
            limit = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
        except (AttributeError, OSError, ValueError):
            return None
    return min([limit, *_control_group_limits(root)])


def _kilobytes(path: Path, name: str) -> int:
    """The number of bytes in an entry such as ``MemAvailable:  1024 kB`` of one of Linux's files."""
    found = re.search(rf"^{name}:\s+(\d+) kB$", path.read_text(encoding="utf-8"), re.MULTILINE)
    if found is None:
        raise ValueError(f"{path} has no {name}")
    return 1024 * int(found.group(1))


def _control_group_limits(root: Path) -> list[int]:
    """What containers set, in either version of Linux's control groups."""
    limits = []
    for path in ("sys/fs/cgroup/memory.max", "sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            limits.append(int((root / path).read_text(encoding="utf-8")))
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
