"""Waiting for a device in a way that Ctrl-C ends; results that are not finite, named by the stage they come from."""

import atexit
import time
from typing import Any

import jax
import jax.numpy as jnp

_POLL_INTERVAL_IN_S = 0.005


class NonFiniteError(ValueError):
    """A stage of the generation returned NaN or infinity."""


def wait_for(result: jax.Array, *, queued: Any = None) -> None:
    """Wait until an array is computed, in a way that Ctrl-C can end.

    Args:
        result: the array.
        queued: arrays that the device was asked to compute after it.
    """
    try:
        while not result.is_ready():  # pyright: ignore[reportAttributeAccessIssue]
            time.sleep(_POLL_INTERVAL_IN_S)
    except KeyboardInterrupt:
        # A program that ends now would tear Python down under XLA's running threads, which crashes it.
        atexit.register(jax.block_until_ready, (result, queued))
        raise


def require_finite(stage: str, arrays: Any) -> None:
    """Wait for the arrays of a stage, in a way that Ctrl-C can end, and look for NaN and infinity in them.

    Raises:
        NonFiniteError: naming the stage.
    """
    for array in jax.tree.leaves(arrays):
        wait_for(array)  # reading a value would wait too, but not for Ctrl-C
    finite = all(bool(jnp.isfinite(leaf).all()) for leaf in jax.tree.leaves(arrays) if leaf.dtype != bool)
    if not finite:
        raise NonFiniteError(
            f"the {stage} returned NaN or infinity. In float16 values overflow easily: try dtype 'bfloat16' or "
            "'float32', or fewer extremes of guidance_scale"
        )
