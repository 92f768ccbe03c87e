"""Places that last as long as a run of the tests, for what is made once and read by many."""

import tempfile
from pathlib import Path


def new_path(name: str) -> Path:
    """Where a folder or a file of this name can be made; no two callers get the same."""
    return Path(tempfile.mkdtemp(prefix="litefocus-jax-")) / name
