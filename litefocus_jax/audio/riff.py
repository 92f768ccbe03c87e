"""Chunks of a WAV file: what libsndfile writes otherwise at every call, and text of any length.

libsndfile puts the time into the PEAK chunk of floating-point files, and holds all texts of a file in two kilobytes,
past which it drops them without a word. So we make the one the same at all times, and write the other ourselves: a LIST
chunk of the kind INFO at the end of the file, with the text as the comment, ICMT ("Multimedia Programming Interface and
Data Specifications 1.0", IBM and Microsoft 1991). Readers that do not look for it pass over it.
"""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

_HEADER = struct.Struct("<4sI")
_LARGEST = 2**32 - 1  # bytes that a chunk can say it has


class Chunk(NamedTuple):
    """A chunk: its name, where its content begins in the file, and how many bytes that has."""

    name: bytes
    start: int
    size: int


def complete_wav(path: Path, comment: str | None) -> None:
    """Make a WAV file that libsndfile has written depend on its sound alone, and add a comment.

    Args:
        path: the file, which is changed in place.
        comment: ASCII text, or None for none.

    Raises:
        ValueError: when the file would be larger than WAV can be.
    """
    with path.open("r+b") as file:
        chunks = list(_chunks(file, path))
        for chunk in chunks:
            if chunk.name == b"PEAK":
                # By the name of a chunk to be passed over, as other readers warn of one that they do not know.
                file.seek(chunk.start - _HEADER.size)
                file.write(_HEADER.pack(b"JUNK", chunk.size) + bytes(chunk.size))
        end = file.seek(0, 2)
        added = b"" if comment is None else _info(comment)
        padding = end % 2 if added else 0
        size = end + padding + len(added)
        if size - _HEADER.size > _LARGEST:
            raise ValueError(f"{path.name} would have {size} bytes, and WAV holds 4 GB; write .flac or .ogg instead")
        file.write(bytes(padding) + added)
        file.seek(0)
        file.write(_HEADER.pack(b"RIFF", size - _HEADER.size))


def read_wav_comment(path: Path) -> str | None:
    """The comment of a WAV file, or None where it has none.

    Raises:
        ValueError: when the file is no WAV file, is cut short, or its comment is not text.
        OSError: when it cannot be read.
    """
    with path.open("rb") as file:
        for chunk in _chunks(file, path):
            if chunk.name == b"LIST" and chunk.size >= 4:
                file.seek(chunk.start)
                comment = _comment_in(file.read(chunk.size))
                if comment is not None:
                    try:
                        return comment.rstrip(b"\0").decode("utf-8")
                    except UnicodeDecodeError as error:
                        raise ValueError(f"{path} is damaged: its comment is not text: {error}") from None
    return None


def _info(comment: str) -> bytes:
    text = comment.encode("ascii") + b"\0"
    content = b"INFO" + _HEADER.pack(b"ICMT", len(text)) + text + bytes(len(text) % 2)
    return _HEADER.pack(b"LIST", len(content)) + content


def _comment_in(content: bytes) -> bytes | None:
    """The comment in the content of a LIST chunk."""
    if content[:4] != b"INFO":
        return None
    place = 4
    while place + _HEADER.size <= len(content):
        name, size = _HEADER.unpack_from(content, place)
        place += _HEADER.size
        if name == b"ICMT":
            return content[place : place + size]
        place += size + size % 2
    return None


def _chunks(file: BinaryIO, path: Path) -> Iterator[Chunk]:
    header = file.read(12)
    if len(header) < 12 or header[:4] != b"RIFF" or header[8:] != b"WAVE":
        raise ValueError(f"{path} is no WAV file: it does not begin with RIFF and WAVE")
    end = file.seek(0, 2)
    place = len(header)
    while place < end:
        file.seek(place)
        content = file.read(_HEADER.size)
        name, size = _HEADER.unpack(content) if len(content) == _HEADER.size else (b"", 0)
        place += _HEADER.size
        if place + size > end:
            raise ValueError(f"{path} is cut short: it ends at byte {end}, where a part should go on to {place + size}")
        if name:
            yield Chunk(name, place, size)
        place += size + size % 2
