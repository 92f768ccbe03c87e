"""Waiting for a device in a way that Ctrl-C ends; results that are not finite, named by the stage they come from."""

import concurrent.futures
import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from litefocus_jax.system.interruption import raise_if_interrupted

# How long Ctrl-C may go unnoticed where Python does not wake a waiting thread for it, as on Windows. A result is
# noticed at once.
_POLL_INTERVAL_IN_S = 0.05


class NonFiniteError(ValueError):
    """A stage of the generation returned NaN or infinity."""


def wait_for(result: jax.Array, *, queued: Any = None) -> None:
    """Wait until an array is computed, in a way that Ctrl-C can end.

    JAX blocks without listening to signals, so that another thread does the waiting. It is kept for later calls, which
    take some 0.1 ms more than `jax.block_until_ready` does.

    After Ctrl-C the device still finishes what it was given. A program that ends then would tear Python down under
    XLA's running threads, which crashes it; Python therefore waits for the other thread before it ends.

    Args:
        result: the array.
        queued: arrays that the device was asked to compute after it.
    """
    try:
        computed = _waiting_threads().submit(jax.block_until_ready, result)
        while not computed.done():
            concurrent.futures.wait([computed], timeout=_POLL_INTERVAL_IN_S)
            raise_if_interrupted()
    except KeyboardInterrupt:
        _waiting_threads().submit(jax.block_until_ready, queued)
        raise
    computed.result()  # raises what the device has to say


@functools.cache
def _waiting_threads() -> concurrent.futures.ThreadPoolExecutor:
    """Threads that are made when they are wanted: one, unless several threads of a program wait at the same time."""
    return concurrent.futures.ThreadPoolExecutor(thread_name_prefix="waiting")


def require_finite(stage: str, arrays: Any, *, dtype: str | None = None) -> None:
    """Wait for the arrays of a stage, in a way that Ctrl-C can end, and look for NaN and infinity in them.

    Args:
        stage: its name.
        arrays: what it returned.
        dtype: of its weights, for the advice that is given; that of the arrays unless given.

    Raises:
        NonFiniteError: naming the stage.
    """
    for array in jax.tree.leaves(arrays):
        wait_for(array)  # reading a value would wait too, but not for Ctrl-C
    # On the host: on the device each of their shapes would take two programs of its own, compiled at every start.
    finite = all(np.isfinite(np.asarray(leaf)).all() for leaf in jax.tree.leaves(arrays) if leaf.dtype != bool)
    if not finite:
        is_half = any(leaf.dtype == jnp.float16 for leaf in jax.tree.leaves(arrays)) or dtype == "float16"
        advice = "In float16 values overflow easily: try dtype 'bfloat16' or 'float32', or" if is_half else "Try"
        raise NonFiniteError(f"the {stage} returned NaN or infinity. {advice} fewer extremes of guidance_scale")
