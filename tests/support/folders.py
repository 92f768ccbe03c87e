"""Folders that last as long as a run of the tests, for what is made once and read by many."""

import tempfile
from pathlib import Path


def new_folder(name: str) -> Path:
    """A place for a folder of this name, which is not made yet; no two callers get the same."""
    return Path(tempfile.mkdtemp(prefix="litefocus-jax-")) / name
