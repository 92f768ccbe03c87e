"""Compiled programs, kept between runs: the UNet takes some ten seconds to compile, and a moment to read back."""

import logging
import os
from pathlib import Path
from typing import Any

import jax

from litefocus_jax.system.files import expanded
from litefocus_jax.system.program_store import ProgramStore

logger = logging.getLogger(__name__)

ENVIRONMENT_VARIABLE = "LITEFOCUS_COMPILATION_CACHE"
"""Name of the variable that gives another folder for the cache, or turns it off with ``off``."""

# To read one takes about a hundredth of a second.
_SHORTEST_COMPILATION_IN_S = 0.02

_stores: dict[str | None, ProgramStore] = {}


def default_folder() -> Path:
    """Where compiled programs are kept: the user's cache folder, as the XDG specification names it."""
    root = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(root) / "litefocus-jax" / "compiled"


def use_compilation_cache() -> Path | None:
    """Have JAX keep compiled programs on disk, unless its cache is already configured.

    JAX's own settings (``JAX_COMPILATION_CACHE_DIR``, ``jax.config``) win over ours. A folder that cannot be made is
    logged and otherwise ignored: the cache only saves time.

    Returns:
        The folder in use, or None where the cache is turned off.
    """
    decided = jax.config.jax_compilation_cache_dir  # pyright: ignore[reportAttributeAccessIssue]
    if decided is not None:
        return Path(decided)
    chosen = os.environ.get(ENVIRONMENT_VARIABLE, "")
    if chosen.lower() == "off":
        return None
    folder = expanded(chosen) if chosen else default_folder()
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        logger.warning("compiled programs cannot be kept in %s: %s", folder, error)
        return None
    _stores[str(folder)] = ProgramStore(folder)
    _keep_in(_stores[str(folder)], folder)
    jax.config.update("jax_compilation_cache_dir", str(folder))
    jax.config.update("jax_persistent_cache_min_compile_time_secs", _SHORTEST_COMPILATION_IN_S)
    return folder


def program_store() -> ProgramStore | None:
    """Where what is compiled is kept, or None where nothing is, or where JAX's own settings say where."""
    return _stores.get(jax.config.jax_compilation_cache_dir)  # pyright: ignore[reportAttributeAccessIssue]


def _keep_in(store: ProgramStore, folder: Path) -> None:
    """Have JAX use a store for this folder, in the place of its own.

    JAX has no public way for that. Where a version of it has another inside, its own store serves as before.
    """
    try:
        from jax._src import compilation_cache

        own = compilation_cache.get_file_cache
    except (ImportError, AttributeError):
        return

    def get_file_cache(path: str) -> Any:
        return (store, path) if Path(path) == folder else own(path)

    compilation_cache.get_file_cache = get_file_cache
