"""Compiled programs in a folder, as JAX's cache wants them kept, each with a digest of its bytes."""

import hashlib
import logging
from pathlib import Path

from litefocus_jax.system.files import written_beside

logger = logging.getLogger(__name__)

_DIGEST_BYTES = hashlib.sha256().digest_size


class ProgramStore:
    """JAX's own cache of compiled programs, but for what is damaged: it is found, and replaced.

    JAX asks for a program by its key before it compiles it, and puts it here after. Its own store leaves an entry that
    exists as it is, also one that a full disk or a killed process left in half; it then warns and compiles at every
    run, for ever. Here programs are written whole or not at all, those whose digest is wrong are as good as absent,
    and whatever JAX compiled takes the place of what was there.

    Args:
        folder: where they are kept; made when the first is.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder
        self._is_told = False

    def get(self, key: str) -> bytes | None:
        """The program of a key; None where there is none that is whole."""
        try:
            stored = self._file(key).read_bytes()
        except OSError:
            return None
        digest, program = stored[:_DIGEST_BYTES], stored[_DIGEST_BYTES:]
        if hashlib.sha256(program).digest() != digest:
            logger.info("%s is damaged, and is going to be replaced", self._file(key))
            return None
        return program

    def put(self, key: str, value: bytes) -> None:
        """Keep a program. One that cannot be kept is logged once and otherwise ignored: only time is lost."""
        try:
            with written_beside(self._file(key)) as partial:
                partial.write_bytes(hashlib.sha256(value).digest() + value)
        except OSError as error:
            log = logger.debug if self._is_told else logger.warning
            log("compiled programs cannot be kept in %s, so that every run compiles: %s", self._path, error.strerror)
            self._is_told = True

    def _file(self, key: str) -> Path:
        return self._path / f"{key}-cache"
