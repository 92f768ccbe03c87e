"""A sound on disk for a while, for what has to hear all of it before it can begin."""

import math
import tempfile
from collections.abc import Iterable, Iterator
from types import TracebackType
from typing import Self

import numpy as np
from jaxtyping import Float

_SAMPLES_AT_A_TIME = 1 << 16


class Spool:
    """Samples in a temporary file, which is gone when the block ends; memory does not grow with their number."""

    def __init__(self, blocks: Iterable[Float[np.ndarray, "samples ..."]]) -> None:
        self.samples = 0
        self._channels: tuple[int, ...] = ()
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed when the block ends
        try:
            for block in blocks:
                self._file.write(np.ascontiguousarray(block, np.float32).tobytes())
                self.samples += len(block)
                self._channels = block.shape[1:]
        except BaseException:
            self._file.close()
            raise

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()

    def blocks(self, start: int = 0, stop: int | None = None) -> Iterator[Float[np.ndarray, "samples ..."]]:
        """The samples from ``start`` to before ``stop``, a few at a time; any number of times."""
        stop = self.samples if stop is None else stop
        for first in range(start, stop, _SAMPLES_AT_A_TIME):
            size = np.dtype(np.float32).itemsize * math.prod(self._channels)
            self._file.seek(first * size)
            values = np.frombuffer(self._file.read(min(_SAMPLES_AT_A_TIME, stop - first) * size), np.float32)
            yield values.reshape(-1, *self._channels)
