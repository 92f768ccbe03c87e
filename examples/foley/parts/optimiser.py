"""How weights are moved: AdamW, or Muon for the kernels of convolutions."""

from typing import Any

import jax
import jax.numpy as jnp
import optax
import optax.contrib
from jaxtyping import Array

_WARM_UP_SHARE = 0.05
_LONGEST_WARM_UP = 200
_CLIP_NORM = 1.0
_WEIGHT_DECAY = 1e-3
_ROOT_MEAN_SQUARE_OF_ADAMW = 0.2  # of its changes, as arXiv 2502.16982 found


def optimiser(
    steps: int,
    learning_rate: float,
    *,
    betas: tuple[float, float] = (0.9, 0.99),
    last_share: float = 0.0,
    orthogonal: bool = False,
) -> optax.GradientTransformation:
    """AdamW with a clipped gradient, a short linear warm-up, and a cosine decay to a share of the learning rate.

    Args:
        steps: until the learning rate is at its last.
        learning_rate: at its highest.
        betas: decays of AdamW's moments.
        last_share: of the learning rate that is left at the end.
        orthogonal: move the kernels of convolutions by Muon instead (Jordan, "Muon", 2024), in steps as long as
            AdamW's (Liu et al., arXiv 2502.16982).
    """
    warm_up = max(1, min(_LONGEST_WARM_UP, int(_WARM_UP_SHARE * steps)))
    schedule = optax.warmup_cosine_decay_schedule(
        0.1 * learning_rate, learning_rate, warm_up, max(steps, warm_up + 1), end_value=last_share * learning_rate
    )
    if orthogonal:
        method = optax.contrib.muon(
            schedule,
            consistent_rms=_ROOT_MEAN_SQUARE_OF_ADAMW,
            weight_decay=_WEIGHT_DECAY,
            adam_b1=betas[0],
            adam_b2=betas[1],
            adam_weight_decay=_WEIGHT_DECAY,
            muon_weight_dimension_numbers=_kernels,
        )
    else:
        method = optax.adamw(schedule, b1=betas[0], b2=betas[1], weight_decay=_WEIGHT_DECAY)
    # Muon asks for the direction of each kernel's gradient alone. By the norm of all together, one array with a large
    # gradient (the vocoder's last bias, where a crop is silent) would take the others' say away.
    clip = _each_clipped() if orthogonal else optax.clip_by_global_norm(_CLIP_NORM)
    return optax.chain(clip, method)


def _each_clipped() -> optax.GradientTransformation:
    """Scale every array of the gradient down to `_CLIP_NORM`, where it is longer."""

    def clip(gradients: Any, weights: Any) -> Any:
        del weights
        return jax.tree.map(
            lambda gradient: gradient / jnp.maximum(1.0, jnp.linalg.norm(gradient) / _CLIP_NORM), gradients
        )

    return optax.stateless(clip)


def _kernels(weights: Any) -> Any:
    """Of every kernel ``[taps, in, out]`` with several channels on either side, the axes that make it a matrix."""

    def axes(weight: Array) -> optax.contrib.MuonDimensionNumbers | None:
        is_matrix = weight.ndim == 3 and min(weight.shape[1:]) > 1
        return optax.contrib.MuonDimensionNumbers((0, 1), (2,)) if is_matrix else None

    return jax.tree.map(axes, weights)
