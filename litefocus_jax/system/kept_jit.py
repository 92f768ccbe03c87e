"""Compiled functions that later processes need not trace again: what JAX traced is kept beside what XLA compiled."""

import functools
import hashlib
import logging
import re
import threading
from collections.abc import Callable, Hashable, Iterable
from pathlib import Path
from typing import Any

import flax
import jax
import jax.export
import jaxlib
from jax.sharding import Mesh

import litefocus_jax
from litefocus_jax.system.compilation_cache import program_store
from litefocus_jax.system.platform import current_platform, is_traced
from litefocus_jax.system.program_store import ProgramStore

logger = logging.getLogger(__name__)

# Whatever JAX's tracing goes by that a user may set; such a setting makes another program.
_SETTINGS = (
    "default_matmul_precision",
    "default_prng_impl",
    "enable_custom_prng",
    "enable_x64",
    "numpy_dtype_promotion",
    "random_seed_offset",
    "softmax_custom_jvp",
    "threefry_partitionable",
)
# With these a function runs differently altogether: it is left to JAX.
_UNUSUAL_SETTINGS = ("disable_jit", "debug_nans", "debug_infs")

# Functions are known by their names, whose code is part of the digest of all code; what has no name of its own is not.
_ADDRESS = re.compile(r"<function ([\w.]+) at 0x[0-9a-f]+>")
_NAMELESS = (" at 0x", "<locals>", "<lambda>", "...")

_Key = tuple[Hashable, ...]


class KeptJit:
    """`jax.jit` for functions of networks, whose tracing keeps Python busy for a good part of a second.

    Before XLA can look for its compiled program, JAX has to trace the function and to write it down for XLA. Here that
    too is kept, in JAX's own format for it (`jax.export`: StableHLO, which nothing executes but by compiling it), in
    the folder of compiled programs, under a digest of all that it comes from: structure, shapes and types of the
    arguments, what is static, the platform, JAX's settings and versions, and the package's own code. What is found
    there is neither traced nor written down again.

    Left to `jax.jit` are calls on platforms that do not keep what is traced (`Platform.keeps_traces`), without a folder
    of compiled programs, within other compiled functions, on several devices, and of what cannot be kept.

    Args:
        function: a pure function of positional pytrees of arrays, and of static keywords.
        jit: what compiles it: `jax.jit`, or `LowMemoryJit`.
        static_argnames: the keywords.
        results: the named tuples in what it returns.
    """

    def __init__(
        self,
        function: Callable[..., Any],
        *,
        jit: Callable[..., Any] = jax.jit,
        static_argnames: str | tuple[str, ...] = (),
        results: Iterable[type] = (),
    ) -> None:
        self._function, self._jit = function, jit
        self._plain = jit(function, static_argnames=static_argnames)
        self._results = tuple(results)
        self._programs: dict[_Key, Any] = {}
        self._lock = threading.RLock()
        functools.update_wrapper(self, function)

    def __call__(self, *arguments: Any, **static: Any) -> Any:
        """Call the compiled function, compiling it first for arguments of new shapes."""
        program, leaves = self._program(arguments, static)
        return self._plain(*arguments, **static) if program is None else program(*leaves)

    def lower(self, *arguments: Any, **static: Any) -> Any:
        """The program for such arguments, for which shapes will do, not compiled yet; as of `jax.jit`."""
        program, _ = self._program(arguments, static)
        return self._plain.lower(*arguments, **static) if program is None else program.lowered

    def eval_shape(self, *arguments: Any, **static: Any) -> Any:
        """Shapes and types of the results for such arguments; as of `jax.jit`."""
        program, _ = self._program(arguments, static)
        return self._plain.eval_shape(*arguments, **static) if program is None else program.shapes

    def __getattr__(self, name: str) -> Any:
        """Whatever else `jax.jit` offers, such as ``trace``."""
        if name.startswith("_"):
            raise AttributeError(name)
        return getattr(self._plain, name)

    def _program(self, arguments: tuple[Any, ...], static: dict[str, Any]) -> "tuple[_Program | None, list[Any]]":
        """The compiled function of the arguments' leaves, None where it is left to `jax.jit`; and the leaves."""
        platform, store = current_platform(), program_store()
        if not platform.keeps_traces or store is None or any(_setting(name) for name in _UNUSUAL_SETTINGS):
            return None, []
        if any(_spans_devices(value) for value in static.values()):
            return None, []
        leaves, structure = jax.tree.flatten(arguments)
        if not all(hasattr(leaf, "dtype") for leaf in leaves) or is_traced(leaves) or _lie_elsewhere(leaves):
            return None, []
        shapes = tuple([(leaf.shape, leaf.dtype) for leaf in leaves])
        key = (structure, shapes, *static.items(), platform, *map(_setting, _SETTINGS))
        with self._lock:
            if key not in self._programs:
                self._programs[key] = self._kept_program(store, key, leaves, structure, static)
            return self._programs[key], leaves

    def _kept_program(
        self, store: ProgramStore, key: _Key, leaves: list[Any], structure: Any, static: dict[str, Any]
    ) -> "_Program | None":
        name = self._name_on_disk(key)
        if name is None:
            return None
        for result in self._results:
            _register(result)
        kept = store.get(name)
        if kept is None:
            kept = self._traced(leaves, structure, static)
            store.put(name, kept)
        try:
            return _Program(self.__name__, jax.export.deserialize(bytearray(kept)), self._jit) if kept else None
        except Exception as error:  # which errors there may be is not said
            logger.debug("what was traced of %s cannot be read: %s", self.__name__, error)
            return None

    def _traced(self, leaves: list[Any], structure: Any, static: dict[str, Any]) -> bytes:
        """What is kept: nothing for what cannot be, so that later processes do not try again."""

        def flat(*leaves: Any) -> Any:
            return self._function(*jax.tree.unflatten(structure, leaves), **static)

        shapes = [jax.ShapeDtypeStruct(leaf.shape, leaf.dtype) for leaf in leaves]
        try:
            return bytes(jax.export.export(jax.jit(flat))(*shapes).serialize())
        except Exception as error:  # what JAX can export differs from one version to the other
            logger.debug("%s is traced at every start: %s", self.__name__, error)
            return b""

    def _name_on_disk(self, key: _Key) -> str | None:
        """A digest of all that the program comes from, or None where that cannot be said in words."""
        text = _ADDRESS.sub(r"<function \1>", repr(key))
        if any(sign in text for sign in _NAMELESS):
            return None
        parts = (self._function.__module__, self._function.__qualname__, text, *_origin())
        return f"{self.__name__}-{hashlib.sha256(repr(parts).encode()).hexdigest()}"


class _Program:
    """A function that was traced before, for arguments of certain shapes, given as leaves.

    Args:
        name: of the function.
        exported: what JAX traced.
        jit: what compiles it.
    """

    def __init__(self, name: str, exported: jax.export.Exported, jit: Callable[..., Any]) -> None:
        def call(*leaves: Any) -> Any:
            return exported.call(*leaves)

        call.__name__ = name
        self._arguments = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in exported.in_avals]
        self._jitted = jit(call)
        results = [jax.ShapeDtypeStruct(aval.shape, aval.dtype) for aval in exported.out_avals]
        self.shapes = jax.tree.unflatten(exported.out_tree, results)

    @functools.cached_property
    def lowered(self) -> Any:
        """Ready to be compiled; whoever compiles it, it is compiled once."""
        return self._jitted.lower(*self._arguments)

    def __call__(self, *leaves: Any) -> Any:
        # JAX takes what an exported program returns for bound to its device, and `jax.jit` would make another program
        # of arguments that are, though they lie on the same one.
        return self._compiled(*leaves)

    @functools.cached_property
    def _compiled(self) -> Any:
        return self.lowered.compile()


def _lie_elsewhere(leaves: list[Any]) -> bool:
    """Whether arrays lie on another device than the default one, or on several; all lie where the first does."""
    first = next((leaf for leaf in leaves if isinstance(leaf, jax.Array)), None)
    return first is not None and first.devices() != {jax.local_devices()[0]}


def _spans_devices(static: Any) -> bool:
    return isinstance(static, Mesh) or getattr(static, "mesh", None) is not None


def _setting(name: str) -> Any:
    """A setting of JAX, such as ``enable_x64``: as the contexts of this thread have it, where it has such."""
    in_context: Any = getattr(jax, name, None)
    return in_context.value if hasattr(in_context, "value") else getattr(jax.config, f"jax_{name}", None)


@functools.cache
def _register(result: type) -> None:
    name = f"{result.__module__}.{result.__qualname__}"
    jax.export.register_namedtuple_serialization(result, serialized_name=name)


@functools.cache
def _origin() -> tuple[str, ...]:
    """What is the same for all programs of a process: the code, the versions, the device."""
    digest = hashlib.sha256()
    root = Path(litefocus_jax.__file__).parent
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    versions = (jax.__version__, jaxlib.__version__, flax.__version__)
    return (digest.hexdigest(), *versions, jax.local_devices()[0].device_kind)
