"""What a shell completes for options with many values; nothing here may take longer than a keystroke."""

from pathlib import Path

_MODELS = ("foley", "cvssp/audioldm2", "cvssp/audioldm2-large", "cvssp/audioldm2-music")
_MARKERS = ("model.json", "model_index.json")


def complete_model(incomplete: str) -> list[str]:
    """Models that are known by name, and folders that begin as typed: those of a model, and those on the way."""
    known = [name for name in _MODELS if name.startswith(incomplete)]
    parent, _, beginning = incomplete.rpartition("/")
    prefix = f"{parent}/" if "/" in incomplete else ""
    try:
        folders = sorted(path for path in Path(prefix or ".").expanduser().iterdir() if path.is_dir())
    except OSError:
        return known
    for folder in folders:
        if folder.name.startswith(beginning) and (beginning or not folder.name.startswith(".")):
            is_model = any((folder / marker).is_file() for marker in _MARKERS)
            known.append(f"{prefix}{folder.name}{'' if is_model else '/'}")
    return known
