"""Packages that come with an extra, and are imported only where they are used."""

import importlib
import re
import shlex
from importlib.metadata import PackageNotFoundError, requires
from types import ModuleType

from litefocus_jax.system.interruption import interruption_at_the_end


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
        with interruption_at_the_end():
            return importlib.import_module(name)
    except ModuleNotFoundError as error:
        packages = packages_of(extra) or [str(error.name)]
        # By their own names, which any index knows: where this package came from is not known here.
        raise MissingExtraError(
            f"{purpose} needs the package {error.name}, which is not installed: pip install {shlex.join(packages)}; or "
            f"in a clone of the repository: pip install -e '.[{extra}]'"
        ) from None


def packages_of(extra: str) -> list[str]:
    """What pip is to be given for an extra, such as ``optax>=0.2.7``; nothing where this package is not installed."""
    try:
        requirements = requires("litefocus-jax") or []
    except PackageNotFoundError:
        return []
    found = []
    for requirement in requirements:
        package, _, condition = requirement.partition(";")
        if re.fullmatch(rf"extra == ['\"]{re.escape(extra)}['\"]", condition.strip()):
            found.append(package.strip())
    return found
