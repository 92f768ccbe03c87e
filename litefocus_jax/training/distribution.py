"""What each device holds while a model is trained: its share of the clips, and all weights or a share of them."""

import dataclasses
from collections.abc import Callable
from typing import Any, Literal, get_args

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec
from jaxtyping import Array

from litefocus_jax.parallel.mesh import DATA_AXIS, EVERYWHERE
from litefocus_jax.parallel.processes import gathered, is_first, lay_out, processes_of

Shard = Literal["none", "fsdp"]
"""What of the weights is spread over the devices: nothing, or all (fully sharded data parallelism)."""

PER_CLIP = PartitionSpec(DATA_AXIS)


@dataclasses.dataclass(frozen=True)
class Distribution:
    """The devices of a training, and what lies on which.

    Every device works through its share of each batch. With ``"none"`` it holds all weights. With ``"fsdp"`` it holds
    its share of each array of two axes or more, of weights, average and moments, and of the weights that stay as they
    are; an array is put together where the loss needs it, once more for the gradient, and dropped. Biases and the like
    are whole everywhere: they are next to nothing.

    Attributes:
        mesh: with one axis, `DATA_AXIS`.
        shard: of the weights.
    """

    mesh: Mesh
    shard: Shard = "none"

    @classmethod
    def of(cls, mesh: Mesh | None, shard: Shard = "none") -> "Distribution":
        """That over a user's mesh; the first device unless given.

        Raises:
            ValueError: when the mesh has other axes or lacks devices of a process, or what is to be spread is unknown.
        """
        if shard not in get_args(Shard):
            raise ValueError(f"shard = {shard!r}; expected {' or '.join(map(repr, get_args(Shard)))}")
        mesh = Mesh(np.array(jax.devices()[:1]), (DATA_AXIS,)) if mesh is None else mesh
        if mesh.axis_names != (DATA_AXIS,):
            raise ValueError(f"mesh has the axes {mesh.axis_names}; expected one, {DATA_AXIS!r}")
        # A process that trains alone would wait for the others whenever it writes a checkpoint.
        if absent := sorted(set(range(jax.process_count())) - set(processes_of(mesh))):
            raise ValueError(
                f"mesh has no device of the processes {absent}; expected jax.devices(), those of all "
                f"{jax.process_count()} processes, which all train together"
            )
        return cls(Mesh(mesh.devices, mesh.axis_names, axis_types=(AxisType.Auto,)), shard)

    @property
    def is_first(self) -> bool:
        """Whether this process is the one that writes and speaks."""
        return is_first(self.mesh)

    def specs(self, tree: Any) -> Any:
        """How each array of a tree lies: along its longest axis that the devices divide evenly, or whole everywhere."""
        return jax.tree.map(lambda leaf: self._spec(leaf.shape), tree)

    def shardings(self, tree: Any) -> Any:
        """`specs`, on the mesh."""
        return jax.tree.map(lambda leaf: NamedSharding(self.mesh, self._spec(leaf.shape)), tree)

    def _spec(self, shape: tuple[int, ...]) -> PartitionSpec:
        even = [axis for axis, size in enumerate(shape) if size and size % self.mesh.size == 0]
        if self.shard == "none" or self.mesh.size == 1 or len(shape) < 2 or not even:
            return EVERYWHERE
        longest = max(even, key=lambda axis: (shape[axis], axis))
        return PartitionSpec(*[None] * longest, DATA_AXIS)

    def bytes_of_each(self, tree: Any) -> int:
        """What each device holds of a tree of arrays, or of `jax.ShapeDtypeStruct` in their place."""
        return sum(
            leaf.size * leaf.dtype.itemsize // (1 if self._spec(leaf.shape) == EVERYWHERE else self.mesh.size)
            for leaf in jax.tree.leaves(tree)
        )

    def lay_out(self, tree: Any) -> Any:
        """Lay out arrays that every process has whole."""
        return jax.tree.map(lay_out, tree, self.shardings(tree))

    def replicate(self, tree: Any) -> Any:
        """Copy arrays that every process has whole to all devices."""
        return jax.tree.map(lambda leaf: lay_out(leaf, NamedSharding(self.mesh, EVERYWHERE)), tree)

    def to_host(self, tree: Any) -> Any:
        """All arrays whole, as numpy has them; every process calls this, and gets them."""
        return gathered(self.mesh, tree)

    def put_together(self, tree: Any, specs: Any) -> Any:
        """Arrays whole, on each device, out of the shares of all; within `jax.shard_map`."""

        def whole(leaf: Array, spec: PartitionSpec) -> Array:
            if spec == EVERYWHERE:
                return leaf
            return jax.lax.all_gather(leaf, DATA_AXIS, axis=len(spec) - 1, tiled=True)

        return jax.tree.map(whole, tree, specs)

    def mean_gradient(self, gradient: Any, specs: Any) -> Any:
        """The mean over devices of the gradients of what `put_together` was given; within `jax.shard_map`.

        Those of shares are sums already: what takes arrays apart again is the transpose of what puts them together.
        """

        def mean(leaf: Array, spec: PartitionSpec) -> Array:
            return jax.lax.pmean(leaf, DATA_AXIS) if spec == EVERYWHERE else leaf / self.mesh.size

        return jax.tree.map(mean, gradient, specs)

    def dropping(self, function: Callable[..., Any]) -> Callable[..., Any]:
        """A function for differentiation that puts arrays together once more, instead of keeping them whole."""
        if self.shard == "none":
            return function
        return jax.checkpoint(function, policy=lambda primitive, *_, **__: primitive.name != "all_gather")

    def padded(self, clips: int, parts: int = 1) -> int:
        """Clips of a batch so that all devices have as many, in each of some parts: the last one is repeated."""
        return -(-clips // (self.mesh.size * parts)) * self.mesh.size * parts

    def own_clips(self, clips: int, parts: int = 1) -> list[int]:
        """Places in a batch that the devices of this process work on, in order, each once."""
        rows = NamedSharding(self.mesh, PER_CLIP).addressable_devices_indices_map((self.padded(clips, parts),))
        places = {min(row, clips - 1) for share in rows.values() for row in _range(share, self.padded(clips, parts))}
        return sorted(places)

    def spread_clips(self, own: Any, clips: int, parts: int = 1) -> Any:
        """Give every device its clips.

        Args:
            own: a pytree of arrays that begin with the axis of clips, of `own_clips` alone.
            clips: of the whole batch.
            parts: that each device's share is cut into.
        """
        place = {number: row for row, number in enumerate(self.own_clips(clips, parts))}
        padded = self.padded(clips, parts)

        def spread(array: Any) -> jax.Array:
            there = np.asarray(array)

            def rows(index: Any) -> np.ndarray:
                return there[[place[min(row, clips - 1)] for row in _range(index, padded)]]

            sharding = NamedSharding(self.mesh, PER_CLIP)
            return jax.make_array_from_callback((padded, *there.shape[1:]), sharding, rows, dtype=there.dtype)

        return jax.tree.map(spread, own)

    def clip_weights(self, clips: int, parts: int = 1) -> tuple[Array, Array | None]:
        """The place of each clip that devices work on, and how much it counts.

        Returns:
            Places in the batch, ``[padded]``; and weights of the same shape with which the mean over all is that over
            the batch's own clips, or None where none is repeated.
        """
        padded = self.padded(clips, parts)
        rows = jnp.arange(padded)
        weights = None if padded == clips else (rows < clips) * jnp.float32(padded / clips)
        return jnp.minimum(rows, clips - 1), weights


def _range(index: Any, length: int) -> range:
    """The places of a device's share, as JAX names it: a tuple with one slice for each axis."""
    return range(*index[0].indices(length))
