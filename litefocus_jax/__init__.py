"""Long sound from text in JAX: AudioLDM2 in Flax NNX with LiteFocus sparse attention.

The public names stand in ``__init__.pyi``, where type checkers find them. They are loaded on first use, so that
importing the package costs nothing.
"""

import importlib
import re
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

_HOMES = {
    name: module
    for module, name in re.findall(
        r"^from (\S+) import \w+ as (\w+)$",
        Path(__file__).with_suffix(".pyi").read_text(encoding="utf-8"),
        re.MULTILINE,
    )
}

__all__ = ["__version__", *_HOMES]  # pyright: ignore[reportUnsupportedDunderAll]

try:
    __version__ = version("litefocus-jax")
except PackageNotFoundError:  # a source tree that was never installed
    __version__ = "0+unknown"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return __all__
