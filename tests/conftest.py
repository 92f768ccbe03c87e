"""Settings that every test runs under."""

import os

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("LITEFOCUS_COMPILATION_CACHE", "off")

import jax

# Parity is a statement about formulas, not about the rounding of fast matrix units.
jax.config.update("jax_default_matmul_precision", "highest")
