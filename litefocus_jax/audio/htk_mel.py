"""Mel filters on HTK's scale, ``1127 ln(1 + f / 700)``, with peaks of 1: those of torchaudio and of VGGish.

O'Shaughnessy, "Speech Communication: Human and Machine" (1987); Young et al., "The HTK Book", section 5.4.
"""

import functools
from typing import Literal

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.mel import check_band, triangles

_SCALE, _BREAK_IN_HZ = 1127.0, 700.0


@functools.lru_cache(maxsize=8)
def htk_filters(
    sampling_rate: int,
    *,
    n_fft: int,
    num_mels: int,
    fmin: float,
    fmax: float,
    straight_in: Literal["hertz", "mel"] = "hertz",
) -> Float[np.ndarray, "bins mels"]:
    """Triangular filters whose centres are equally far apart in mel; read-only float64.

    Args:
        sampling_rate: in hertz.
        n_fft: samples of the Fourier transform.
        num_mels: number of filters.
        fmin: where the first one begins, in hertz.
        fmax: where the last one ends, in hertz.
        straight_in: the unit in which the sides of a triangle are straight: ``"hertz"`` in torchaudio (and CLAP),
            ``"mel"`` in HTK itself (and VGGish), which leaves frequency 0 out.

    Raises:
        ValueError: unless ``0 <= fmin < fmax <= sampling_rate / 2``.
    """
    check_band(fmin, fmax, sampling_rate)
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / sampling_rate)
    edges = np.linspace(_to_mel(fmin), _to_mel(fmax), num_mels + 2)
    if straight_in == "mel":
        frequencies = _to_mel(frequencies)
    else:
        edges = _BREAK_IN_HZ * np.expm1(edges / _SCALE)
    filters = triangles(frequencies, edges)
    if straight_in == "mel":
        filters[0] = 0.0
    filters.flags.writeable = False
    return filters


def _to_mel(hertz: float | np.ndarray) -> np.ndarray:
    return _SCALE * np.log1p(np.asarray(hertz) / _BREAK_IN_HZ)
