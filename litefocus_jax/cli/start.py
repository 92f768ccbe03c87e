"""What a command does before it computes: find the device."""

from litefocus_jax.cli.console import messages


def find_devices(*, quiet: bool = False) -> None:
    """Start JAX, and say in one line if it runs on the CPU where a GPU or a TPU was prepared for.

    Args:
        quiet: say nothing.

    Raises:
        DeviceError: when a device is asked for that is not there.
    """
    from litefocus_jax.system.devices import start_jax

    fallback = start_jax().fallback
    if fallback is not None and not quiet:
        messages.print(fallback, markup=False)
