"""Give memory back to the system."""

import ctypes


def release_unused_memory() -> None:
    """Hand back what the C library keeps for later, where it is glibc; elsewhere do nothing.

    XLA's compiler works with many small pieces. After the UNet is compiled, glibc holds some 400 MB of them that
    nothing uses any more, and that would otherwise stay with the process until its end.
    """
    try:
        trim = ctypes.CDLL(None).malloc_trim
    except (AttributeError, OSError, TypeError):
        return
    trim(0)
