"""Tokenizers, of which a folder may hold one beside much else."""

import shutil
from pathlib import Path

FILES = (
    "tokenizer.json",
    "tokenizer_config.json",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab.json",
    "merges.txt",
    "spiece.model",
)
"""What there may be of one; beside them may lie a whole model."""


def copy_tokenizer(source: Path, target: Path) -> bool:
    """Copy what a folder holds of a tokenizer to a new one.

    Args:
        source: of a tokenizer, or a model.
        target: made, where there is anything to copy.

    Returns:
        Whether there was.
    """
    found = [source / name for name in FILES if (source / name).is_file()]
    if found:
        target.mkdir()
    for path in found:
        shutil.copyfile(path, target / path.name)
    return bool(found)
