"""Adapters as people name them on the command line: a file, and how much of it."""

import math
from pathlib import Path
from typing import NamedTuple

import typer


class AskedAdapter(NamedTuple):
    """A low-rank adapter that was asked for.

    Attributes:
        path: its file or folder.
        scale: how much of it is added.
    """

    path: Path
    scale: float


def parse_adapter(text: str) -> AskedAdapter:
    """``FILE`` or ``FILE:STRENGTH``; a colon within a name that exists belongs to the name.

    Raises:
        typer.BadParameter: when there is no such file, or the strength is no finite number.
    """
    name, colon, strength = text.rpartition(":")
    if not colon or Path(text).exists():
        name, strength = text, "1"
    try:
        scale = float(strength)
    except ValueError:
        scale = math.nan
    if not math.isfinite(scale):
        raise typer.BadParameter(
            f"{text!r} has the strength {strength!r}; expected FILE:STRENGTH with a number, such as 0.5",
            param_hint="--lora",
        )
    if not Path(name).exists():
        raise typer.BadParameter(
            f"{name!r} does not exist; expected a folder as finetune --lora writes it, or a file of safetensors",
            param_hint="--lora",
        )
    return AskedAdapter(Path(name), scale)
