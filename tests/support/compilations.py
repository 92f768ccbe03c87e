"""What JAX compiles, as it says itself."""

import contextlib
import logging
from collections.abc import Iterator

import jax


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
