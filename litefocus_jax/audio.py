"""Sound files, log-mel spectrograms and pictures of them."""

import functools
import itertools
import logging
import tempfile
import textwrap
import warnings
from collections.abc import Iterable
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float

from litefocus_jax.system.files import written_beside

logger = logging.getLogger(__name__)

SOUND_FORMATS = {".wav": "WAV", ".flac": "FLAC"}
PICTURE_FORMATS = {".png": "PNG"}

_QUIETEST = 1e-5  # floor of magnitudes before the logarithm, as AudioLDM was trained with
_PICTURE_RANGE_IN_DB = 80.0
_PICTURE_TICKS_IN_HZ = (250, 500, 1000, 2000, 4000, 8000, 16000)


def save_audio(
    path: str | Path, waveform: Float[np.ndarray, " samples"], sampling_rate: int, *, subtype: str = "PCM_16"
) -> None:
    """Write a mono sound file, as `save_audio_blocks` does."""
    save_audio_blocks(path, [waveform], sampling_rate, subtype=subtype)


def save_audio_blocks(
    path: str | Path,
    blocks: Iterable[Float[np.ndarray, " samples"]],
    sampling_rate: int,
    *,
    subtype: str = "PCM_16",
) -> int:
    """Write a mono sound file block by block, whole or not at all: beside its destination first, then renamed.

    A block is written before the next one is asked for, so that one at a time is in memory. An existing file is
    replaced, and missing folders are made. Integer formats hold [-1, 1]; what lies outside is clipped, and a warning
    is logged.

    Args:
        path: ends in ``.wav`` or ``.flac``.
        blocks: the sound, cut into pieces; full scale is 1.
        sampling_rate: samples per second.
        subtype: sample format as soundfile names it, such as ``"PCM_16"``, ``"PCM_24"`` or, for WAV, ``"FLOAT"``.

    Returns:
        The number of samples written.

    Raises:
        ValueError: when the suffix or the subtype is unknown, there is no block, or one is empty, not one-dimensional,
            or holds NaN or infinity.
        OSError: when the file cannot be written.
    """
    path = Path(path)
    file_format = _sound_format(path, subtype)
    samples = clipped = 0
    peak = 0.0
    blocks = iter(blocks)
    first = _checked(next(blocks, np.zeros(0)))  # before there is a file
    with (
        written_beside(path) as partial,
        soundfile.SoundFile(partial, "w", sampling_rate, 1, subtype=subtype, format=file_format) as file,
    ):
        for block in itertools.chain([first], map(_checked, blocks)):
            peak = max(peak, float(np.abs(block).max()))
            clipped += np.count_nonzero(np.abs(block) > 1.0)
            samples += block.size
            file.write(block if subtype in ("FLOAT", "DOUBLE") else np.clip(block, -1.0, 1.0))
    if clipped and subtype not in ("FLOAT", "DOUBLE"):
        logger.warning("%s: %d of %d samples are clipped; the peak is %.3g", path, clipped, samples, peak)
    return samples


def check_writable(path: str | Path, *, subtype: str = "PCM_16", overwrite: bool = True) -> None:
    """Find out whether `save_audio` could write a file, for callers with long work ahead of it. Nothing is left behind.

    Args:
        path: ends in ``.wav`` or ``.flac``.
        subtype: sample format as soundfile names it.
        overwrite: whether an existing file may be replaced.

    Raises:
        ValueError: when the suffix or the subtype is unknown.
        FileExistsError: when the file exists and ``overwrite`` is false.
        OSError: when the path is a folder, or its folder cannot be made or written to.
    """
    _sound_format(Path(path), subtype)
    _check_destination(Path(path), overwrite)


def check_picture_writable(path: str | Path, *, overwrite: bool = True) -> None:
    """Find out whether `spectrogram_picture` could write a file. Nothing is left behind.

    Raises:
        ValueError: when the suffix is not ``.png``.
        FileExistsError: when the file exists and ``overwrite`` is false.
        OSError: when the path is a folder, or its folder cannot be made or written to.
    """
    _known_format(Path(path), PICTURE_FORMATS, "a picture")
    _check_destination(Path(path), overwrite)


def log_mel_spectrogram(
    waveform: Float[np.ndarray, " samples"],
    sampling_rate: int,
    *,
    num_mels: int = 64,
    n_fft: int = 1024,
    hop_length: int = 160,
    fmin: float = 0.0,
    fmax: float = 8000.0,
    frames_at_a_time: int = 4096,
) -> Float[np.ndarray, "frames mels"]:
    """Natural logarithm of mel-weighted magnitudes; the defaults are those AudioLDM2's latents were trained on.

    Frames are centred on every ``hop_length``-th sample, of which there are ``1 + samples // hop_length``; the ends are
    reflected. The window is a periodic Hann window. Magnitudes, not powers, are weighted by `mel_filters` and floored
    at 1e-5. The spectra of ``frames_at_a_time`` frames are held at once, which are many times the size of the sound.

    Raises:
        ValueError: when the waveform is empty, not one-dimensional, or not finite, or the frequencies are out of order.
    """
    waveform = _checked(waveform)
    padding = n_fft // 2
    # A single sample has nothing to reflect.
    padded = np.pad(waveform, padding, mode="reflect" if waveform.size > 1 else "edge")
    frames = np.lib.stride_tricks.sliding_window_view(padded, n_fft)[::hop_length]  # [frames, n_fft]
    window = hann_window(n_fft)
    filters = mel_filters(sampling_rate, n_fft=n_fft, num_mels=num_mels, fmin=fmin, fmax=fmax)
    logarithms = np.empty((len(frames), num_mels), np.float32)
    for start in range(0, len(frames), frames_at_a_time):
        part = slice(start, start + frames_at_a_time)
        magnitudes = np.abs(np.fft.rfft(frames[part] * window))  # [frames, bins]
        logarithms[part] = np.log(np.maximum(magnitudes @ filters, _QUIETEST))
    return logarithms


def hann_window(n_fft: int) -> Float[np.ndarray, " n_fft"]:
    """A periodic Hann window, float32."""
    return (0.5 - 0.5 * np.cos(2.0 * np.pi * np.arange(n_fft) / n_fft)).astype(np.float32)


@functools.lru_cache(maxsize=8)
def mel_filters(
    sampling_rate: int, *, n_fft: int, num_mels: int, fmin: float, fmax: float
) -> Float[np.ndarray, "bins mels"]:
    """Triangular filters of unit area in hertz on Slaney's mel scale, as librosa builds them; read-only float32.

    Slaney, "Auditory Toolbox" (Interval Research, technical report 1998-010).

    Raises:
        ValueError: unless ``0 <= fmin < fmax <= sampling_rate / 2``.
    """
    if not 0.0 <= fmin < fmax <= sampling_rate / 2:
        raise ValueError(f"fmin = {fmin:g} and fmax = {fmax:g}; expected 0 <= fmin < fmax <= {sampling_rate / 2:g} Hz")
    frequencies = np.fft.rfftfreq(n_fft, 1.0 / sampling_rate)[:, None]  # [bins, 1]
    lowest, highest = _hertz_to_mel(np.array([fmin, fmax]))
    edges = _mel_to_hertz(np.linspace(lowest, highest, num_mels + 2))
    lower, centre, upper = edges[:-2], edges[1:-1], edges[2:]
    rising, falling = (frequencies - lower) / (centre - lower), (upper - frequencies) / (upper - centre)
    filters = np.maximum(0.0, np.minimum(rising, falling)) * (2.0 / (upper - lower))
    filters = filters.astype(np.float32)
    filters.flags.writeable = False
    return filters


def spectrogram_picture(
    path: str | Path, waveform: Float[np.ndarray, " samples"], sampling_rate: int, *, title: str | None = None
) -> None:
    """Draw a mel spectrogram as PNG: seconds to the right, kilohertz upwards on the mel scale, level as colour.

    The file is written whole or not at all. Colour spans the 80 dB below the loudest point.

    Args:
        path: ends in ``.png``.
        waveform: full scale is 1.
        sampling_rate: samples per second.
        title: one or two lines above the picture, such as the prompt.

    Raises:
        ValueError: when the suffix is not ``.png``, or the waveform is empty, not one-dimensional, or not finite.
        OSError: when the file cannot be written.
    """
    # Not pyplot, which picks a window system and keeps every figure alive.
    from matplotlib.figure import Figure

    path = Path(path)
    _known_format(path, PICTURE_FORMATS, "a picture")
    fmax = sampling_rate / 2
    mel = log_mel_spectrogram(waveform, sampling_rate, num_mels=128, n_fft=2048, hop_length=256, fmax=fmax)
    level = (mel - mel.max()) * (20.0 / np.log(10.0))  # dB below the loudest point
    seconds = len(waveform) / sampling_rate
    top = float(_hertz_to_mel(np.array(fmax)))

    figure = Figure(figsize=(9.0, 3.4), dpi=200, layout="constrained")
    axes = figure.add_subplot()
    image = axes.imshow(
        level.T,
        origin="lower",
        aspect="auto",
        extent=(0.0, seconds, 0.0, top),
        cmap="magma",
        vmin=-_PICTURE_RANGE_IN_DB,
        vmax=0.0,
    )
    ticks = [hertz for hertz in _PICTURE_TICKS_IN_HZ if hertz <= fmax]
    axes.set_yticks(_hertz_to_mel(np.array(ticks)), [f"{hertz / 1000:g}" for hertz in ticks])
    axes.set_xlabel("seconds")
    axes.set_ylabel("kHz")
    axes.spines[:].set_visible(False)
    axes.tick_params(length=3, color="0.6")
    bar = figure.colorbar(image, ax=axes, pad=0.01, aspect=30, ticks=np.arange(-_PICTURE_RANGE_IN_DB, 1.0, 20.0))
    bar.set_label("dB")
    bar.outline.set_visible(False)  # pyright: ignore[reportCallIssue]
    bar.ax.tick_params(length=0)
    if title:
        lines = textwrap.wrap(title, width=100, max_lines=2, placeholder=" …")
        # A prompt is text: its dollar signs are not formulas.
        axes.set_title("\n".join(lines), loc="left", fontsize=11, parse_math=False)
    with written_beside(path) as partial, warnings.catch_warnings():
        # A prompt in a script that the font lacks is drawn with boxes; the picture is still right.
        warnings.filterwarnings("ignore", message="Glyph .* missing from font")
        figure.savefig(partial, format="png")


def _hertz_to_mel(hertz: np.ndarray) -> np.ndarray:
    """Slaney's mel scale: linear up to 1 kHz (15 mel), logarithmic above with 27 mel for a factor of 6.4."""
    return np.where(
        hertz < 1000.0, hertz * 3.0 / 200.0, 15.0 + 27.0 * np.log(np.maximum(hertz, 1.0) / 1000.0) / np.log(6.4)
    )


def _mel_to_hertz(mel: np.ndarray) -> np.ndarray:
    return np.where(mel < 15.0, mel * 200.0 / 3.0, 1000.0 * 6.4 ** ((mel - 15.0) / 27.0))


def _checked(waveform: Float[np.ndarray, " samples"]) -> Float[np.ndarray, " samples"]:
    waveform = np.asarray(waveform, np.float32)
    if waveform.ndim != 1 or waveform.size == 0:
        raise ValueError(f"waveform has shape {waveform.shape}; expected one axis, [samples], and at least one sample")
    if not np.isfinite(waveform).all():
        count = waveform.size - np.count_nonzero(np.isfinite(waveform))
        raise ValueError(
            f"waveform holds NaN or infinity in {count} of {waveform.size} samples; expected finite values"
        )
    return waveform


def _known_format(path: Path, formats: dict[str, str], what: str) -> str:
    if path.suffix.lower() not in formats:
        known = " or ".join(formats)
        raise ValueError(f"{path} has the suffix {path.suffix!r}; expected {known} for {what}")
    return formats[path.suffix.lower()]


def _sound_format(path: Path, subtype: str) -> str:
    file_format = _known_format(path, SOUND_FORMATS, "a sound")
    if not soundfile.check_format(file_format, subtype):
        known = ", ".join(sorted(soundfile.available_subtypes(file_format)))
        raise ValueError(f"subtype = {subtype!r} is not a sample format of {file_format}; expected one of {known}")
    return file_format


def _check_destination(path: Path, overwrite: bool) -> None:
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected the name of a file")
    if path.exists() and not overwrite:
        raise FileExistsError(f"{path} exists; choose another name, or overwrite it (--overwrite)")
    existing = next(folder for folder in path.absolute().parents if folder.exists())
    if not existing.is_dir():
        raise NotADirectoryError(f"{path} cannot be written: {existing} is a file, not a folder")
    try:
        # Asking for permissions proves nothing: quotas, read-only mounts and the like show only when a file is written.
        with tempfile.TemporaryFile(dir=existing):
            pass
    except OSError as error:
        raise PermissionError(f"{path} cannot be written: {existing} takes no files ({error.strerror})") from None
