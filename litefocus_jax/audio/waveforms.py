"""What counts as a waveform."""

import numpy as np
from jaxtyping import Float


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
