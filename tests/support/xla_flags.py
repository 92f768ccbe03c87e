"""Flags of XLA, which it reads from the environment when JAX first asks for a device."""

import os
import subprocess
import sys

_FAST = "--xla_cpu_use_fusion_emitters=false"


def fast_to_compile(given: str) -> str:
    """Flags with which programs that are not optimised compile three times as fast.

    XLA's newer emitters of fused loops take so much longer than its older ones where optimisations are off, and half
    as long where they are on. A release of XLA that does not know a flag ends the process, so another one tries it.
    Workers and commands inherit what was found.

    Args:
        given: flags to keep.
    """
    if _FAST in given:
        return given
    flags = f"{given} {_FAST}".strip()
    environment = os.environ | {"XLA_FLAGS": flags}
    tried = subprocess.run([sys.executable, "-c", "import jax; jax.devices()"], env=environment, capture_output=True)
    return given if tried.returncode else flags


def with_devices(count: int) -> dict[str, str]:
    """Variables of the environment of a new process that shall have so many virtual devices."""
    flags = f"{os.environ.get('XLA_FLAGS', '')} --xla_force_host_platform_device_count={count}"
    return {"XLA_FLAGS": flags.strip(), "JAX_PLATFORMS": "cpu"}
