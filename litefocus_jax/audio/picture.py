"""Pictures of sound: mel spectrograms on an absolute scale."""

import textwrap
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.formats import PICTURE_FORMATS, check_suffix
from litefocus_jax.audio.mel import hann_window, hertz_to_mel, magnitude_blocks, mel_bands
from litefocus_jax.system.files import written_beside

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.image import AxesImage

QUIETEST_IN_DBFS = -100.0
"""What is drawn black: this level, and all below."""

TICKS_IN_HZ = (250, 500, 1000, 2000, 4000, 8000, 16000)
"""Frequencies that are written beside a spectrogram."""

_NUM_BANDS, _N_FFT, _HOP_LENGTH = 128, 2048, 256


def band_levels(
    waveform: Float[np.ndarray, " samples"], sampling_rate: int, *, num_bands: int = _NUM_BANDS, n_fft: int = _N_FFT
) -> Float[np.ndarray, "frames bands"]:
    """Level of each of some bands, even on the mel scale up to half the sampling rate, every 256 samples.

    Returns:
        dBFS: 0 is a sine at full scale (AES17), whose peaks are 1. Nothing is below `QUIETEST_IN_DBFS`.

    Raises:
        ValueError: when the waveform is empty, not one-dimensional, or not finite.
    """
    # A sine at full scale has the energy sum(window^2) / 2; its positive frequencies hold half of n_fft times that.
    full_scale = n_fft * float(np.square(hann_window(n_fft), dtype=np.float64).sum()) / 4.0
    bands = mel_bands(sampling_rate, n_fft=n_fft, num_mels=num_bands)
    quietest = 10.0 ** (QUIETEST_IN_DBFS / 10.0)
    levels = [
        10.0 * np.log10(np.maximum(np.square(magnitudes) @ bands / full_scale, quietest))
        for magnitudes in magnitude_blocks(waveform, n_fft, _HOP_LENGTH)
    ]
    return np.maximum(np.concatenate(levels), QUIETEST_IN_DBFS)  # some processors' logarithms end a little below


def draw_levels(
    axes: "Axes", waveform: Float[np.ndarray, " samples"], sampling_rate: int, ticks_in_hz: Sequence[int] = TICKS_IN_HZ
) -> "AxesImage":
    """Draw `band_levels` on some axes of matplotlib, from `QUIETEST_IN_DBFS` to 0 dBFS, with their names.

    Args:
        axes: to draw on: seconds to the right, kilohertz upwards.
        waveform: full scale is 1.
        sampling_rate: samples per second.
        ticks_in_hz: frequencies that are written at the side, as far as there are any.

    Raises:
        ValueError: when the waveform is empty, not one-dimensional, or not finite.
    """
    fmax = sampling_rate / 2
    image = axes.imshow(
        band_levels(waveform, sampling_rate).T,
        origin="lower",
        aspect="auto",
        extent=(0.0, len(waveform) / sampling_rate, 0.0, float(hertz_to_mel(np.array(fmax)))),
        cmap="magma",
        vmin=QUIETEST_IN_DBFS,
        vmax=0.0,
    )
    ticks = [hertz for hertz in ticks_in_hz if hertz <= fmax]
    axes.set_yticks(hertz_to_mel(np.array(ticks)), [f"{hertz / 1000:g}" for hertz in ticks])
    axes.set_xlabel("seconds")
    axes.set_ylabel("kHz")
    return image


def spectrogram_picture(
    path: str | Path,
    waveform: Float[np.ndarray, " samples"],
    sampling_rate: int,
    *,
    title: str | None = None,
    comment: str | None = None,
) -> None:
    """Draw a mel spectrogram as PNG: seconds to the right, kilohertz upwards on the mel scale, level as colour.

    The file is written whole or not at all. The scale is the same for every sound: colour spans -100 to 0 dBFS in each
    of 128 bands, where 0 dBFS is a sine at full scale. What is quiet looks quiet, and silence is black.

    Args:
        path: ends in ``.png``.
        waveform: full scale is 1.
        sampling_rate: samples per second.
        title: one or two lines above the picture, such as the prompt.
        comment: text that is kept in the file, under ``Comment``.

    Raises:
        ValueError: when the suffix is not ``.png``, or the waveform is empty, not one-dimensional, or not finite.
        OSError: when the file cannot be written.
    """
    # Not pyplot, which picks a window system and keeps every figure alive.
    from matplotlib.figure import Figure

    path = Path(path)
    check_suffix(path, PICTURE_FORMATS, "a picture")
    figure = Figure(figsize=(9.0, 3.4), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    image = draw_levels(axes, waveform, sampling_rate)
    axes.spines[:].set_visible(False)
    axes.tick_params(length=3, color="0.6")
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30, ticks=np.arange(QUIETEST_IN_DBFS, 1.0, 20.0))
    bar.set_label("dBFS")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(length=0)
    if title:
        lines = textwrap.wrap(title, width=100, max_lines=2, placeholder=" …")
        # A prompt is text: its dollar signs are not formulas.
        axes.set_title("\n".join(lines), loc="left", fontsize=11, parse_math=False)
    with written_beside(path) as partial, warnings.catch_warnings():
        # A prompt in a script that the font lacks is drawn with boxes; the picture is still right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(partial, format="png", metadata=None if comment is None else {"Comment": comment})
