"""Pages of an Ogg file, numbered so that the same sound is the same file.

libsndfile draws the serial number of a stream from the time. It is in the header of every page, which a checksum covers
(RFC 3533, section 6).
"""

import struct
import zlib
from pathlib import Path

_SERIAL_NUMBER = 1
_HEADER = struct.Struct("<4sBBqIIIB")  # magic, version, flags, position, serial number, page number, checksum, segments
_REVERSED = bytes(int(f"{byte:08b}"[::-1], 2) for byte in range(256))  # each byte with its bits in the other order


def complete_ogg(path: Path) -> None:
    """Give the only stream of an Ogg file a fixed serial number, in place.

    Raises:
        ValueError: when the file does not consist of Ogg pages.
    """
    with path.open("r+b") as file:
        place = 0
        while header := file.read(_HEADER.size):
            if len(header) < _HEADER.size or header[:4] != b"OggS":
                raise ValueError(f"{path} is no Ogg file: there is no page at byte {place}")
            *fields, _, page_number, _, num_segments = _HEADER.unpack(header)
            lengths = file.read(num_segments)
            content = lengths + file.read(sum(lengths))
            unsigned = _HEADER.pack(*fields, _SERIAL_NUMBER, page_number, 0, num_segments) + content
            checksum = ogg_checksum(unsigned)
            file.seek(place)
            file.write(_HEADER.pack(*fields, _SERIAL_NUMBER, page_number, checksum, num_segments) + content)
            place += len(unsigned)


def ogg_checksum(page: bytes) -> int:
    """The checksum of a page whose own checksum is zero: CRC-32 by 0x04c11db7, begun with 0 and not inverted.

    zlib computes it with the bits of every byte, and of the result, in the other order, and inverts both ends.
    """
    mirrored = zlib.crc32(page.translate(_REVERSED), 0xFFFFFFFF) ^ 0xFFFFFFFF
    return int(f"{mirrored:032b}"[::-1], 2)
