"""LiteFocus sparse attention (arXiv 2407.10468) on plain JAX arrays."""

from litefocus_jax.ops.litefocus.attention import litefocus_attention, sample_cross_indices
from litefocus_jax.ops.litefocus.scores import scale_queries
from litefocus_jax.ops.litefocus.settings import PUBLISHED_TRAINING_LENGTH_IN_S, LiteFocusConfig

__all__ = [
    "PUBLISHED_TRAINING_LENGTH_IN_S",
    "LiteFocusConfig",
    "litefocus_attention",
    "sample_cross_indices",
    "scale_queries",
]
