"""The packages that only training needs; they come with the extra ``train``."""

import importlib
from types import ModuleType


class MissingExtraError(ValueError):
    """A package that training needs is not installed."""


def import_extra(name: str) -> ModuleType:
    """Import one of the packages that the extra ``train`` installs.

    Args:
        name: name of the module, such as ``"optax"``.

    Raises:
        MissingExtraError: when it is not installed; the message says how to install it.
    """
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        raise MissingExtraError(
            f"training needs the package {error.name}, which is not installed: pip install 'litefocus-jax[train]'"
        ) from None
