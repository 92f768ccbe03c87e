"""The picture of a sound on the page: its waveform above its spectrogram, both in dBFS, with spans marked."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.levels import amplitude
from litefocus_jax.audio.picture import draw_levels
from litefocus_jax.system.files import written_beside

_TICKS_IN_HZ = (250, 1000, 4000, 16000)
_LEVELS_IN_DBFS = (0, -6, -12)
_BELOW_ITS_LABEL = 0.93  # of the height: the page writes in the corner
_COLUMNS = 1600  # of the waveform: the least and the greatest sample in each


def sound_picture(
    path: Path,
    waveform: Float[np.ndarray, " samples"],
    sampling_rate: int,
    spans: Sequence[tuple[float, float]] = (),
) -> None:
    """Draw a sound as PNG.

    Args:
        path: of the picture.
        waveform: full scale is 1.
        sampling_rate: samples per second.
        spans: seconds that are marked.

    Raises:
        ValueError: when the waveform is empty or not finite.
        OSError: when the file cannot be written.
    """
    from matplotlib.figure import Figure

    seconds = len(waveform) / sampling_rate
    figure = Figure(figsize=(9.0, 4.4), dpi=110, layout="constrained")
    upper, lower = figure.subplots(2, 1, sharex=True, height_ratios=[1, 2])
    starts = np.unique(np.linspace(0, len(waveform), _COLUMNS, endpoint=False).astype(int))
    least, greatest = (each.reduceat(waveform, starts) for each in (np.minimum, np.maximum))
    upper.fill_between(starts / sampling_rate, least, greatest, step="post", color="#3b528b", linewidth=0.4)
    upper.set_ylim(-1.0, 1.0)
    amplitudes = [amplitude(level) for level in _LEVELS_IN_DBFS]
    ticks = [*(-each for each in amplitudes), 0.0, *amplitudes[::-1]]
    names = [*map(str, _LEVELS_IN_DBFS), "-∞", *map(str, _LEVELS_IN_DBFS[::-1])]
    upper.set_yticks(ticks, names, fontsize=7)
    upper.set_ylabel("dBFS")
    image = draw_levels(lower, waveform, sampling_rate, _TICKS_IN_HZ)
    figure.colorbar(image, ax=lower, pad=0.01, aspect=24, label="dBFS")
    for axes in (upper, lower):
        for start, end in spans:
            axes.axvspan(start, end, color="#22a884", alpha=0.35)
    upper.set_xlim(0.0, seconds)
    figure.get_layout_engine().set(rect=(0.0, 0.0, 1.0, _BELOW_ITS_LABEL))  # pyright: ignore[reportOptionalMemberAccess, reportCallIssue]
    with written_beside(path) as partial:
        figure.savefig(partial, format="png")
