"""Links in a model's folder: what they point at lies in that folder, or it is refused."""

from pathlib import Path

from litefocus_jax.checkpoint.errors import tensor_name


def stays_inside(path: Path, folder: Path) -> bool:
    """Whether a file, its symbolic links followed, lies in a folder or in the hub cache that the folder is part of.

    The hub's cache keeps ``snapshots/<revision>/<folder>/<file>`` as links to ``blobs/<hash>``.
    """
    try:
        target, folder = path.resolve(), folder.resolve()
    except (OSError, RuntimeError):  # a circle of links
        return False
    blobs = [parent.parent / "blobs" for parent in folder.parents if parent.name == "snapshots"]
    return any(target.is_relative_to(allowed) for allowed in (folder, *blobs))


def leaving(folder: Path) -> list[str]:
    """The links of a model's folder, and of the folders in it, that lead out of it, in words."""
    entries = [entry for place in (folder, *sorted(folder.glob("*/"))) for entry in sorted(place.iterdir())]
    return [
        f"{folder}: {tensor_name(str(entry.relative_to(folder)))} is a link that leads out of the folder; expected the "
        "file itself"
        for entry in entries
        if entry.is_symlink() and not stays_inside(entry, folder)
    ]
