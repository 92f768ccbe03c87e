"""Packages that come with an extra, and are imported only where they are used."""

import importlib
from types import ModuleType


class MissingExtraError(ValueError):
    """A package that only some need is not installed."""


def import_extra(name: str, *, extra: str = "train", purpose: str = "training") -> ModuleType:
    """Import one of the packages that an extra installs.

    Args:
        name: name of the module, such as ``"optax"``.
        extra: extra of this package, as ``pyproject.toml`` names it.
        purpose: what needs the module, to begin the message with.

    Raises:
        MissingExtraError: when it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"{purpose} needs the package {error.name}, which is not installed; in your clone of litefocus-jax: "
            f"pip install -e '.[{extra}]'"
        ) from None
