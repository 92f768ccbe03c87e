"""Settings that every test runs under."""

import os
import signal

# A shell lets what it starts in the background ignore Ctrl-C, which some tests send.
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)

os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("JAX_PLATFORMS", "cpu")
os.environ.setdefault("LITEFOCUS_COMPILATION_CACHE", "off")

import jax

# Parity is a statement about formulas, not about the rounding of fast matrix units.
jax.config.update("jax_default_matmul_precision", "highest")
