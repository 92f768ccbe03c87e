"""Names of files: made of a prompt, or given by the user."""

import mimetypes
import re
import unicodedata

_LONGEST_SLUG = 48  # characters; file systems allow 255 bytes for a name, and a character takes up to four
_LONGEST_NAME = 180  # bytes, which leaves room for the seed, the suffix, and the names of partial files
_DEVICES = {"con", "prn", "aux", "nul", *(f"{port}{digit}" for port in ("com", "lpt") for digit in "0123456789¹²³")}
_FORBIDDEN = re.compile(r'[<>:"|?*\\]|[\x00-\x1f\x7f]')


def slug(prompt: str) -> str:
    """A prompt as a file name: lower-case words of any script, joined by hyphens.

    >>> slug("Rain on a tin roof!")
    'rain-on-a-tin-roof'
    """
    words = re.findall(r"\w+", unicodedata.normalize("NFKC", prompt).lower())
    name = ""
    for word in words:
        longer = f"{name}-{word}" if name else word[:_LONGEST_SLUG]
        if len(longer) > _LONGEST_SLUG:
            break
        name = longer
    return "sound" if not name or name in _DEVICES else name


def checked_name(name: str, suffixes: tuple[str, ...]) -> tuple[str, str | None]:
    """A name that a user gives a file, fit for every file system, and the suffix at its end if that is a known one.

    It may lie in folders below the output folder, as ``weather/rain`` does.

    Args:
        name: with or without a suffix.
        suffixes: those of the formats that can be written.

    Returns:
        The name without the suffix, and the suffix as it was written.

    Raises:
        ValueError: for a name that leads elsewhere, or that not every system can have, saying why.
    """
    stem = unicodedata.normalize("NFC", name.strip())
    suffix = next((stem[-len(known) :] for known in suffixes if stem.lower().endswith(known)), None)
    if suffix is not None:
        stem = stem[: -len(suffix)]
    elif (mimetypes.guess_type(stem)[0] or "").startswith("audio/"):
        raise ValueError(f"has a suffix that cannot be written; expected {' or '.join(suffixes)}, or none")
    if forbidden := _FORBIDDEN.search(stem):
        raise ValueError(f"holds {forbidden[0]!r}; expected a name without that character")
    for part in stem.split("/"):
        if part in ("", ".", ".."):
            raise ValueError("leads outside the output folder or to no file; expected a name, or folder/name")
        if part.split(".")[0].strip().lower() in _DEVICES:
            raise ValueError(f"holds {part!r}, which is a device on Windows; expected another name")
        if part != part.strip() or part.endswith("."):
            raise ValueError(f"holds {part!r}; expected no dot at the end and no space at either end")
        if len(part.encode()) > _LONGEST_NAME:
            raise ValueError(f"is {len(part.encode())} bytes long; expected at most {_LONGEST_NAME}")
    return stem, suffix
