"""Results that are not finite, named by the stage that returned them."""

from typing import Any

import jax
import jax.numpy as jnp

from litefocus_jax.generate import wait_for


class NonFiniteError(ValueError):
    """A stage of the generation returned NaN or infinity."""


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
