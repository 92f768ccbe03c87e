"""LiteFocus sparse attention (arXiv 2407.10468) on plain JAX arrays."""
