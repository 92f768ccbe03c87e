"""Settings that every test runs under."""

import atexit
import os
import shutil
import signal
import tempfile
from collections.abc import Iterator

import psutil
import pytest

from tests.support.xla_flags import fast_to_compile

# A shell lets what it starts in the background ignore Ctrl-C, which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# What one worker compiles, or a process that a test starts, the others read. Workers inherit the folder.
if "LITEFOCUS_COMPILATION_CACHE" not in os.environ:
    os.environ["LITEFOCUS_COMPILATION_CACHE"] = tempfile.mkdtemp(prefix="litefocus-jax-programs-")
    atexit.register(shutil.rmtree, os.environ["LITEFOCUS_COMPILATION_CACHE"], ignore_errors=True)
# Most programs of tests run once or twice, and to optimise them takes longer than that. New processes inherit this.
os.environ.setdefault("JAX_DISABLE_MOST_OPTIMIZATIONS", "1")
os.environ["XLA_FLAGS"] = fast_to_compile(os.environ.get("XLA_FLAGS", ""))

import jax

from litefocus_jax.system.compilation_cache import use_compilation_cache

use_compilation_cache()
# Tests compile many thousand small programs, once each.
jax.config.update("jax_persistent_cache_min_compile_time_secs", 0.2)
# Parity is a statement about formulas, not about the rounding of fast matrix units.
jax.config.update("jax_default_matmul_precision", "highest")

_MOST_MEMORY = 3e9  # bytes that a process may hold at the end of a file, before it forgets the programs of JAX


@pytest.fixture(autouse=True)
def optimised_where_it_pays(request: pytest.FixtureRequest) -> Iterator[None]:
    """Tests that run for long are compiled as the programs of users are."""
    is_long = request.node.get_closest_marker("slow") is not None
    before = os.environ["JAX_DISABLE_MOST_OPTIMIZATIONS"]
    jax.config.update("jax_disable_most_optimizations", before == "1" and not is_long)
    yield
    jax.config.update("jax_disable_most_optimizations", before == "1")


@pytest.fixture(autouse=True, scope="module")
def programs_of_other_files_are_forgotten() -> Iterator[None]:
    """JAX keeps every program that was compiled: gigabytes, at the end."""
    yield
    if psutil.Process().memory_info().rss > _MOST_MEMORY:
        jax.clear_caches()
