"""One text, kept in a sound file or a picture, to be found again: its comment.

Each format has a place for a comment that other programs show. The text is ASCII, so that none of them can read it in
another way than it was written.
"""

import base64
import binascii
import logging
import warnings
import zlib
from pathlib import Path

import soundfile

from litefocus_jax.audio.formats import PICTURE_FORMATS, SOUND_FORMATS
from litefocus_jax.audio.riff import read_wav_comment

logger = logging.getLogger(__name__)

_MOST_IN_OPUS = 50_000  # characters; libsndfile writes more, and cannot open the file then
_COMPRESSED = "zlib, base64: "  # how a comment begins that is too long for Opus as it is
_LARGEST = 100_000_000  # characters, of a comment that is read


def fitting(comment: str | None, path: Path, subtype: str) -> str | None:
    """The comment if the file can hold it; otherwise None, and a warning is logged.

    Raises:
        ValueError: when it is not ASCII.
    """
    if comment is None:
        return None
    if not comment.isascii() or "\0" in comment:
        raise ValueError("comment holds more than ASCII, or a zero byte; escape it first, as json.dumps does")
    if subtype == "OPUS" and len(comment) > _MOST_IN_OPUS:
        compressed = _COMPRESSED + base64.b64encode(zlib.compress(comment.encode(), 9)).decode()
        if len(compressed) <= _MOST_IN_OPUS:
            return compressed
        logger.warning(
            "%s holds at most %d characters of text beside the sound: what it was made of, %d characters, is left out; "
            "another format holds all of it, or a file beside (--json)",
            path,
            _MOST_IN_OPUS,
            len(comment),
        )
        return None
    return comment


def read_comment(path: str | Path) -> str | None:
    """The comment of a sound file or picture, or None where there is none.

    Raises:
        ValueError: when the suffix is of no known format, or the file is damaged or of another format.
        OSError: when the file cannot be read.
    """
    path = Path(path)
    suffix = path.suffix.lower()
    if suffix not in SOUND_FORMATS and suffix not in PICTURE_FORMATS:
        known = ", ".join([*SOUND_FORMATS, *PICTURE_FORMATS])
        raise ValueError(f"{path} has the suffix {path.suffix!r}; expected one of {known}")
    with path.open("rb") as file:  # the libraries' errors would not say that there is no such file
        if not file.read(1):
            raise ValueError(f"{path} is empty")
    if suffix in PICTURE_FORMATS:
        return _picture_comment(path)
    if suffix == ".wav":
        return read_wav_comment(path)
    try:
        with soundfile.SoundFile(path) as file:
            comment = file.comment
        return _expanded(comment) if comment.startswith(_COMPRESSED) else comment or None
    except (soundfile.SoundFileError, RuntimeError, UnicodeDecodeError, binascii.Error, zlib.error) as error:
        raise ValueError(f"{path} is damaged, or no sound of this format: {error}") from None


def _expanded(comment: str) -> str:
    data = base64.b64decode(comment.removeprefix(_COMPRESSED), validate=True)
    return zlib.decompressobj().decompress(data, _LARGEST).decode("ascii")


def _picture_comment(path: Path) -> str | None:
    from PIL import Image

    try:
        with warnings.catch_warnings(action="ignore"), Image.open(path, formats=["PNG"]) as image:
            text = getattr(image, "text", {})  # of PNG alone; reads the file to its end
            return text.get("Comment")
    except Exception as error:  # Pillow has no class for what a damaged file makes it raise
        raise ValueError(f"{path} is damaged, or no picture of this format: {error}") from None
