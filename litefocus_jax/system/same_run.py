"""Is this the same run? For whatever is kept on disk while it is made, and gone on with in another process."""

import hashlib
import json
from collections.abc import Collection, Mapping
from typing import Any

from litefocus_jax.system.messages import shown

_LONGEST = 1000  # characters of a value in a message


def differing_parts(stored: Mapping[str, str], current: Mapping[str, str]) -> list[str]:
    """Names of the parts of a model that have another digest than is stored, or none there.

    Args:
        stored: digests by name, as an earlier process wrote them.
        current: those of now.
    """
    return [name for name, value in current.items() if stored.get(name) != value]


def differences(stored: Mapping[str, Any], current: Mapping[str, Any], *, free: Collection[str] = ()) -> list[str]:
    """What is not as it was, in words, such as ``seed was 0 and is 4``; empty for the same run.

    Args:
        stored: facts by name, as JSON returned them.
        current: those of now, as JSON can hold them.
        free: names of facts that may differ.
    """
    current = json.loads(json.dumps(current))
    return [
        f"{name} was {shown(stored.get(name), _LONGEST)} and is {shown(value, _LONGEST)}"
        for name, value in current.items()
        if stored.get(name) != value and name not in free
    ]


def digest(*pieces: bytes) -> str:
    """128 bits of SHA-256 over some pieces, each with its length, as hexadecimal digits."""
    hashed = hashlib.sha256()
    for piece in pieces:
        hashed.update(len(piece).to_bytes(8, "little"))
        hashed.update(piece)
    return hashed.hexdigest()[:32]
