"""Prompts from a file."""

from pathlib import Path


def read_prompts(path: Path) -> list[str]:
    """The lines of a file, without empty ones and those that start with ``#``.

    Raises:
        ValueError: when the file is not UTF-8 text.
        OSError: when it cannot be read.
    """
    try:
        lines = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except UnicodeDecodeError as error:
        raise ValueError(f"{path} is not UTF-8 text: {error}") from None
    return [line for line in lines if line and not line.startswith("#")]
