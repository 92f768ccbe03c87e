"""What JAX compiles, as it says itself, and where it is kept."""

import contextlib
import logging
from collections.abc import Iterator
from pathlib import Path

import jax
import pytest

from litefocus_jax.system.compilation_cache import use_compilation_cache


@contextlib.contextmanager
def programs_kept_in(folder: Path) -> Iterator[Path]:
    """Compiled programs are kept in this folder within this context."""
    before = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    jax.config.update("jax_compilation_cache_dir", None)
    try:
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv("LITEFOCUS_COMPILATION_CACHE", str(folder))
            use_compilation_cache()
            yield folder
    finally:
        jax.config.update("jax_compilation_cache_dir", before)


@contextlib.contextmanager
def compilations() -> Iterator[list[str]]:
    """Messages of `jax.log_compiles` about all that is compiled within this context.

    Each names a function. There are several for each compilation, and none without one.
    """
    messages: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            messages.append(record.getMessage())

    def compiled_to_see_that_it_is_told(x: jax.Array) -> jax.Array:
        return x

    listener, logger = Listener(), logging.getLogger("jax")
    logger.addHandler(listener)
    try:
        with jax.log_compiles():
            jax.jit(compiled_to_see_that_it_is_told)(0)
            assert any(compiled_to_see_that_it_is_told.__name__ in message for message in messages)
            messages.clear()
            yield messages
    finally:
        logger.removeHandler(listener)
