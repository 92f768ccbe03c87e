"""One sound over several devices: each holds a run of its frames.

In what is mapped over the mesh's data axis alone, the axis ``"time"`` is left to XLA's partitioner, which gives
convolutions the frames next to a device's own and adds up the sums of normalisations. What it does not find by itself
is here:

- Left to itself it spreads frames evenly, and over fewer devices where they do not divide. `split_time` asks for all
  devices; the last one then holds fewer frames.
- It cannot cut through loops over tiles. `map_frames` hands each device its own frames, for what treats every frame by
  itself.
- In attention every frame sees the others. `attend_across_time` exchanges time for pairs of batch entry and head, which
  do not see each other: a device gets all frames of its share of the pairs (DeepSpeed-Ulysses, arXiv 2309.14509), and
  any attention runs on them as it does on one device.

Letters in shape comments: B batch, N tokens of all frames, M tokens of a device's frames, H heads, P pairs of batch
entry and head, D head_dim.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.sharding import AxisType, PartitionSpec
from jaxtyping import Array, Float

TIME_AXIS = "time"
"""Name of the mesh's axis that the frames of a sound are spread along."""

_SPLIT = PartitionSpec(None, TIME_AXIS)


def is_time_split() -> bool:
    """Whether what JAX is tracing is for several devices that share the frames of a sound."""
    mesh = jax.sharding.get_abstract_mesh()
    split = (TIME_AXIS, AxisType.Auto) in zip(mesh.axis_names, mesh.axis_types, strict=True)
    return split and mesh.shape[TIME_AXIS] > 1


def split_time(x: Float[Array, "batch time *axes"]) -> Float[Array, "batch time *axes"]:
    """Have the devices share the frames of an array; without several devices along time, do nothing.

    Where a device would be left without frames, all of them have the whole array: so few are little work.
    """
    if not is_time_split():
        return x
    frames, devices = x.shape[1], _devices()
    share = -(-frames // devices)
    is_empty = share * (devices - 1) >= frames
    return jax.lax.with_sharding_constraint(x, PartitionSpec() if is_empty else _SPLIT)


def fill_shares(x: Float[Array, "batch time *axes"]) -> Float[Array, "batch padded_time *axes"]:
    """Add frames of zeros until all devices have the same number, which is how JAX hands arrays between programs."""
    return split_time(_pad(x, -x.shape[1] % _devices())) if is_time_split() else x


def cut_shares(x: Float[Array, "batch padded_time *axes"], frames: int) -> Float[Array, "batch time *axes"]:
    """Drop the frames that were added to fill the devices' shares."""
    return split_time(x[:, :frames]) if is_time_split() else x


def _devices() -> int:
    """How many share the frames."""
    return jax.sharding.get_abstract_mesh().shape[TIME_AXIS]


def map_frames(
    function: Callable[..., Array], x: Float[Array, "batch time *axes"], *shared: Any
) -> Float[Array, "batch time *axes"]:
    """Run a function on each device's own frames.

    Args:
        function: called with a device's frames ``[batch, own_time, ...]`` and ``shared``; returns an array of the same
            shape. Beyond the last frame there are zeros.
        x: the frames, split over the devices.
        shared: pytrees that every device sees whole. ``function`` may see no other traced values.
    """
    frames = x.shape[1]
    mapped = jax.shard_map(
        function,
        in_specs=(_SPLIT, *[PartitionSpec()] * len(shared)),
        out_specs=_SPLIT,
        axis_names={TIME_AXIS},
        # The models' loops begin with zeros, which the check takes for values that all devices share.
        check_vma=False,
    )(_pad(x, -frames % _devices()), *shared)
    return split_time(mapped[:, :frames])


def attend_across_time(
    attend: Callable[..., Array],
    query: Float[Array, "batch own_tokens heads head_dim"],
    key: Float[Array, "batch own_tokens heads head_dim"],
    value: Float[Array, "batch own_tokens heads head_dim"],
    *,
    num_frequencies: int,
    frames: int,
) -> Float[Array, "batch own_tokens heads head_dim"]:
    """Attention between the frames of all devices, within `map_frames`.

    Where the pairs of batch entry and head do not divide evenly among the devices, some get pairs of zeros.

    Args:
        attend: called as ``attend(query, key, value, num_frequencies=...)`` and run with single heads.
        query: of a device's own frames.
        key: likewise.
        value: likewise.
        num_frequencies: as ``attend`` takes it.
        frames: of all devices, padding not counted.
    """
    batch, own_tokens, heads, head_dim = query.shape
    devices = jax.lax.axis_size(TIME_AXIS)
    tokens, pairs = frames * num_frequencies, batch * heads

    def collect(array: Array) -> Array:  # [B, M, H, D] -> [P / devices, N, 1, D]
        array = array.swapaxes(1, 2).reshape(pairs, own_tokens, head_dim)
        array = jnp.pad(array, ((0, -pairs % devices), (0, 0), (0, 0)))
        array = jax.lax.all_to_all(array, TIME_AXIS, split_axis=0, concat_axis=1, tiled=True)
        return array[:, :tokens, None]

    mixed = attend(collect(query), collect(key), collect(value), num_frequencies=num_frequencies)
    mixed = _pad(mixed[:, :, 0], own_tokens * devices - tokens)
    mixed = jax.lax.all_to_all(mixed, TIME_AXIS, split_axis=1, concat_axis=0, tiled=True)[:pairs]
    return mixed.reshape(batch, heads, own_tokens, head_dim).swapaxes(1, 2)


def _pad(x: Array, count: int) -> Array:
    """Zeros after the end of the second axis."""
    return jnp.pad(x, ((0, 0), (0, count), *[(0, 0)] * (x.ndim - 2))) if count else x
