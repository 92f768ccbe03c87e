"""Where batches come from, and which part of one a process of several reads."""

import dataclasses
from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import jax
import numpy as np

from litefocus_jax.training.distribution import Distribution
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.updates import NamedBatch


class Source(Protocol):
    """Where the batches come from."""

    def batch(self, index: int) -> NamedBatch[Batch]:
        """The batch of update ``index``, counted from 0: always the same one, so that a resumed run is exact.

        It is called from a thread of its own, while the device computes the update before.
        """
        ...


@runtime_checkable
class SharedSource(Protocol):
    """A source of which a process of several reads its own clips alone; of any other, each reads all of them."""

    def share(self, index: int, clips: Sequence[int]) -> NamedBatch[Batch]:
        """Some clips of the batch of an update, by their places in it, with the names of all clips of the batch."""
        ...


@dataclasses.dataclass(frozen=True)
class ValidationClips:
    """Clips to validate with that are read when training begins, by each process its own.

    Attributes:
        source: of the batches.
        count: of the batches, from the first one.
        batch_size: clips in each.
    """

    source: Source
    count: int
    batch_size: int

    @classmethod
    def of(cls, batches: "Sequence[Batch] | ValidationClips") -> "ValidationClips":
        """Batches that are there already, or the clips as they are."""
        if isinstance(batches, ValidationClips):
            return batches
        return cls(_Given(batches), len(batches), len(batches[0].latents.mean) if batches else 1)

    def spread(self, distribution: Distribution) -> list[Batch]:
        """All batches, with each device's clips on that device."""
        return [load(self.source, index, self.batch_size, 1, distribution).batch for index in range(self.count)]


@dataclasses.dataclass(frozen=True)
class _Given:
    """A source of batches that are there already."""

    batches: Sequence[Batch]

    def batch(self, index: int) -> NamedBatch[Batch]:
        return NamedBatch(self.batches[index])


def load(source: Source, index: int, batch_size: int, parts: int, distribution: Distribution) -> NamedBatch[Batch]:
    """A batch, with each device's clips on that device.

    Args:
        source: read for the clips of this process's devices alone, if it can be.
        index: of the update.
        batch_size: clips of the whole batch.
        parts: that each device's share is worked through in.
        distribution: over devices.

    Raises:
        ValueError: when the source gives another number of clips.
    """
    batch, names = own_share(source, index, batch_size, parts, distribution)
    return NamedBatch(distribution.spread_clips(batch, batch_size, parts), names)


def own_share(source: Source, index: int, batch_size: int, parts: int, distribution: Distribution) -> NamedBatch[Batch]:
    """The clips of a batch that the devices of this process work on; arguments and errors are those of `load`."""
    clips = distribution.own_clips(batch_size, parts)
    is_shared = isinstance(source, SharedSource)
    batch, names = source.share(index, clips) if is_shared else source.batch(index)
    counts, expected = {len(array) for array in jax.tree.leaves(batch)}, len(clips) if is_shared else batch_size
    if counts != {expected}:
        raise ValueError(
            f"batch {index} of the source has arrays of {sorted(counts)} clips; expected batch_size = {batch_size}"
            + (f", or {expected} for the share of one process" if expected != batch_size else "")
        )
    if not is_shared and len(clips) < batch_size:
        batch = jax.tree.map(lambda array: np.asarray(array)[clips], batch)
    return NamedBatch(batch, names)
