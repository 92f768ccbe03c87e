"""Whether files could be written, for callers with long work ahead of them."""

import tempfile
from pathlib import Path

from litefocus_jax.audio.formats import PICTURE_FORMATS, check_suffix, sound_format
from litefocus_jax.system.files import sweep


def check_writable(
    path: str | Path, *, subtype: str | None = None, sampling_rate: int | None = None, overwrite: bool = True
) -> None:
    """Find out whether `save_audio` could write a file, for callers with long work ahead of it. Nothing is left behind.

    Args:
        path: ends in a suffix of `SOUND_FORMATS`.
        subtype: sample format or codec as soundfile names it; the usual one of the suffix unless given.
        sampling_rate: samples per second, where it is known.
        overwrite: whether an existing file may be replaced.

    Raises:
        ValueError: when the suffix, the subtype or the rate cannot be honoured.
        FileExistsError: when the file exists and ``overwrite`` is false.
        OSError: when the path is a folder, or its folder cannot be made or written to.
    """
    sound_format(Path(path), subtype, sampling_rate)
    check_file(Path(path), overwrite=overwrite)


def check_picture_writable(path: str | Path, *, overwrite: bool = True) -> None:
    """Find out whether `spectrogram_picture` could write a file. Nothing is left behind.

    Raises:
        ValueError: when the suffix is not ``.png``.
        FileExistsError: when the file exists and ``overwrite`` is false.
        OSError: when the path is a folder, or its folder cannot be made or written to.
    """
    check_suffix(Path(path), PICTURE_FORMATS, "a picture")
    check_file(Path(path), overwrite=overwrite)


def check_file(path: Path, *, overwrite: bool) -> None:
    """Find out whether a file of any kind could be written. Nothing is left behind.

    Raises:
        FileExistsError: when the file exists and ``overwrite`` is false.
        OSError: when the path is a folder, or its folder cannot be made or written to.
    """
    if path.is_dir():
        raise IsADirectoryError(f"{path} is a folder; expected the name of a file")
    sweep(path)
    if (path.exists() or path.is_symlink()) and not overwrite:  # a link to nowhere is there too
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
