"""What counts as a waveform: one channel, and in files also two."""

import numpy as np
from jaxtyping import Float

STEREO = 2
"""Channels of a sound that has more than one."""


def checked(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
    """The waveform as float32.

    Raises:
        ValueError: when it is empty, not one-dimensional, or holds NaN or infinity.
    """
    waveform = np.asarray(waveform, np.float32)
    if waveform.ndim != 1 or waveform.size == 0:
        raise ValueError(f"waveform has shape {waveform.shape}; expected one axis, [samples], and at least one sample")
    if not np.isfinite(waveform).all():
        count = waveform.size - np.count_nonzero(np.isfinite(waveform))
        raise ValueError(
            f"waveform holds NaN or infinity in {count} of {waveform.size} samples; expected finite values"
        )
    return waveform


def checked_channels(block: Float[np.ndarray, "samples ..."]) -> Float[np.ndarray, "samples ..."]:
    """Sound of one channel, ``[samples]``, or of two, ``[samples, 2]``, as float32.

    Raises:
        ValueError: when it is empty, of another shape, or holds NaN or infinity.
    """
    block = np.asarray(block, np.float32)
    if block.ndim != 2 or block.shape[1] != STEREO:
        return checked(block)
    checked(block.reshape(-1))
    return block


def channels_of(block: Float[np.ndarray, "samples ..."]) -> int:
    """How many channels a block has: ``[samples]`` has one."""
    return 1 if block.ndim == 1 else block.shape[1]


def along_samples(
    curve: Float[np.ndarray, " samples"], block: Float[np.ndarray, "samples ..."]
) -> Float[np.ndarray, "samples ..."]:
    """A curve in time, which is the same for each channel of a block."""
    return curve.reshape(-1, *(1,) * (block.ndim - 1))
