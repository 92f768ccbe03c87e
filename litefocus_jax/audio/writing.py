"""Sound files, written block by block, whole or not at all."""

import contextlib
import itertools
import logging
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import soundfile
from jaxtyping import Float

from litefocus_jax.audio.finish import NO_FINISH, Finish, finished
from litefocus_jax.audio.formats import FLOATING_SUBTYPES, sound_format
from litefocus_jax.audio.ogg import complete_ogg
from litefocus_jax.audio.riff import complete_wav
from litefocus_jax.audio.stages import faded
from litefocus_jax.audio.tags import fitting
from litefocus_jax.audio.waveforms import channels_of, checked_channels
from litefocus_jax.system.files import written_beside

logger = logging.getLogger(__name__)

_PIECE = 8192  # samples written at once: what Vorbis makes of a sound hangs on them, and it crashes on a long one
_OPUS_FADE_IN_S = 0.02  # without it, the encoder ends a sound that does not end in silence with a click


def save_audio(
    path: str | Path,
    waveform: Float[np.ndarray, "samples ..."],
    sampling_rate: int,
    *,
    subtype: str | None = None,
    finish: Finish = NO_FINISH,
    comment: str | None = None,
    overwrite: bool = True,
) -> None:
    """Write a sound file, as `save_audio_blocks` does."""
    save_audio_blocks(
        path, [waveform], sampling_rate, subtype=subtype, finish=finish, comment=comment, overwrite=overwrite
    )


def save_audio_blocks(
    path: str | Path,
    blocks: Iterable[Float[np.ndarray, "samples ..."]],
    sampling_rate: int,
    *,
    subtype: str | None = None,
    finish: Finish = NO_FINISH,
    comment: str | None = None,
    overwrite: bool = True,
) -> int:
    """Write a sound file block by block, whole or not at all: beside its destination first, then renamed.

    A block is written before the next one is asked for, so that one at a time is in memory. An existing file is
    replaced unless ``overwrite`` is false, and missing folders are made. All but ``FLOAT`` and ``DOUBLE`` hold [-1, 1];
    what lies outside is clipped, and a warning is logged. The same sound and arguments make the same bytes at any time.
    The last 20 ms of an Opus file are faded out, since its encoder would end it with a click.

    Args:
        path: ends in ``.wav``, ``.flac``, ``.mp3``, ``.ogg`` (Vorbis) or ``.opus``.
        blocks: the sound, cut into pieces, ``[samples]`` or with left and right ``[samples, 2]``; full scale is 1.
        sampling_rate: samples per second of the blocks. MP3 and Opus hold some rates alone; see ``finish``.
        subtype: sample format as soundfile names it, such as ``"PCM_16"``, ``"PCM_24"`` or, for WAV, ``"FLOAT"``; the
            usual one of the format unless given.
        finish: what is done to the sound first: trimmed, resampled, faded, brought to a loudness or a peak.
        comment: ASCII text that is kept in the file, and other programs show as its comment; `read_comment` finds it.
        overwrite: replace a file of that name.

    Returns:
        The number of samples written, of each channel.

    Raises:
        ValueError: when the suffix, the subtype or the rate cannot be honoured, there is no block, or one is empty, of
            another shape, or holds NaN or infinity.
        FinishError: when the sound is silent or too short for its finish.
        FileExistsError: when the file is there by the time that it is complete, and may not be replaced.
        OSError: when the file cannot be written.
    """
    path = Path(path)
    blocks = iter(blocks)
    first = checked_channels(next(blocks, np.zeros(0)))  # before there is a file
    channels = channels_of(first)
    made, rate = finished(
        itertools.chain([first], map(checked_channels, blocks)), sampling_rate, finish, name=str(path)
    )
    known, subtype = sound_format(path, subtype, rate)
    if subtype == "OPUS":
        made = _ending_without_a_click(made, rate)
    comment = fitting(comment, path, subtype)
    is_floating = subtype in FLOATING_SUBTYPES
    samples = clipped = 0
    peak = 0.0
    with written_beside(path, overwrite=overwrite) as partial, _as_os_errors(path):
        with soundfile.SoundFile(partial, "w", rate, channels, subtype=subtype, format=known.container) as file:
            if comment is not None and known.container != "WAV":
                file.comment = comment
            for block in _in_pieces(made):
                peak = max(peak, float(np.abs(block).max(initial=0.0)))
                clipped += np.count_nonzero(np.abs(block) > 1.0)
                samples += len(block)
                file.write(block if is_floating else np.clip(block, -1.0, 1.0))
        if known.container == "WAV":
            complete_wav(partial, comment)
        elif known.container == "OGG":
            complete_ogg(partial)
    if clipped and not is_floating:
        logger.warning("%s: %d of %d samples are clipped; the peak is %.3g", path, clipped, channels * samples, peak)
    return samples


@contextlib.contextmanager
def _as_os_errors(path: Path) -> Iterator[None]:
    """Have soundfile's own errors, such as those of a full disk, be ones that say which file could not be written.

    Raises:
        OSError: in their place.
    """
    try:
        yield
    except (soundfile.SoundFileError, AssertionError) as error:  # it asserts that all was written
        raise OSError(f"{path} cannot be written: {error or 'the disk took only a part of it'}") from error


def _in_pieces(blocks: Iterable[Float[np.ndarray, "samples ..."]]) -> Iterator[Float[np.ndarray, "samples ..."]]:
    """The same sound in blocks of equal length; the last may be shorter."""
    held = np.zeros(0, np.float32)
    for block in blocks:
        held = np.concatenate([held, block]) if held.size else block
        whole = len(held) - len(held) % _PIECE
        yield from np.split(held[:whole], whole // _PIECE) if whole else ()
        held = held[whole:]
    if held.size:
        yield held


def _ending_without_a_click(
    blocks: Iterable[Float[np.ndarray, "samples ..."]], rate: int
) -> Iterable[Float[np.ndarray, "samples ..."]]:
    samples = round(_OPUS_FADE_IN_S * rate)
    blocks = iter(blocks)
    beginning: list[np.ndarray] = []
    while sum(map(len, beginning)) < samples and (block := next(blocks, None)) is not None:
        beginning.append(block)
    return faded(itertools.chain(beginning, blocks), 0, min(samples, sum(map(len, beginning))))
