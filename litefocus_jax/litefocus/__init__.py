"""LiteFocus sparse attention (arXiv 2407.10468) on plain JAX arrays."""

from litefocus_jax.litefocus.attention import litefocus_attention, sample_cross_indices
from litefocus_jax.litefocus.config import LiteFocusConfig
from litefocus_jax.litefocus.scores import scale_queries

__all__ = ["LiteFocusConfig", "litefocus_attention", "sample_cross_indices", "scale_queries"]
