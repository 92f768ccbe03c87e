"""Same-frequency attention within a reach of time, joined with the gathered tokens; linear in the length.

Time is cut into blocks, and the queries of a block see the keys of their own block and of the two beside it. Three
ways to compute that were weighed:

- Blocks folded into the batch, and one call of dense attention: every key is copied three times, and the gathered
  tokens once for every block and frequency, which soon is more than all else.
- Both sets apart, joined by their log-sum-exp: the gathered tokens are not copied, but there are two results to write
  and to read again, and back ends would have to return the log-sum-exp and its gradient.
- One loop over tiles, each a few neighbouring blocks, which is what happens here. A tile takes its keys out of the
  whole by a slice, scores both sets, and makes one softmax of them while they are in cache; its result takes the place
  of its queries. The copies are one of the queries, keys and values in the loop's order, as in dense attention, and one
  of the gathered tokens for each frequency, of which a cap makes few.

The loop is the same on all devices, and a tile spans all batch entries, heads and frequencies on accelerators. It does
not go through cuDNN, nor does the choice of back end in `litefocus_jax.ops.attention` apply.

Letters in shape comments: B batch, T time, F frequency, H heads, D head_dim, C gathered tokens; and of a tile
P pairs of batch entry and head, N frequencies, M blocks, R rows (queries of a block), W frames that a block sees.
"""

import dataclasses
import functools
import math
from typing import NamedTuple

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from litefocus_jax.ops.block_loop import map_in_place
from litefocus_jax.system.platform import current_platform


class DrawnTokens(NamedTuple):
    """Tokens that all queries see.

    Attributes:
        key: of each.
        value: of each.
        indices: their positions, distinct; None where they are not among the other tokens at hand.
    """

    key: Float[Array, "batch gathered heads head_dim"]
    value: Float[Array, "batch gathered heads head_dim"]
    indices: Int[Array, " gathered"] | None

    @classmethod
    def at(cls, key: Array, value: Array, indices: Int[Array, " gathered"]) -> "DrawnTokens":
        """Those of all tokens that stand at these positions."""
        return cls(key[:, indices], value[:, indices], indices)


# Blocks in a tile, each with a slice of its own; only a reach of a few frames would make them more.
_MOST_BLOCKS = 8


def near_attention(
    query: Float[Array, "batch tokens heads head_dim"],
    key: Float[Array, "batch tokens heads head_dim"],
    value: Float[Array, "batch tokens heads head_dim"],
    drawn: DrawnTokens | None,
    *,
    num_frequencies: int,
    reach: int,
    count_once: bool,
) -> Float[Array, "batch tokens heads head_dim"]:
    """Attend to the same frequency at times near by, and to gathered tokens; differentiable.

    Frame t is in block ``t // reach``. A query in block b sees the tokens of its own frequency in blocks b - 1, b and
    b + 1, as far as they exist; the last one may be cut short.

    Args:
        query: one query per token, time-major.
        key: one key per token.
        value: one value per token.
        drawn: tokens that all queries see, with their positions for ``count_once``; or None.
        num_frequencies: frequencies in each time frame.
        reach: frames in a block.
        count_once: whether a gathered token that a query sees anyway counts once for it, and not twice.

    Returns:
        One vector per token and head, in the dtype of ``query``.
    """
    batch, tokens, heads, _ = query.shape
    gathered = 0 if drawn is None else drawn.key.shape[1]
    tiling = _choose_tiling(batch * heads, tokens // num_frequencies, num_frequencies, reach, gathered)
    return _attend(query, key, value, drawn, tiling=tiling, count_once=count_once)


@dataclasses.dataclass(frozen=True)
class _Tiling:
    """What a tile holds: a few blocks of time, or a part of one that is long.

    Attributes:
        times: frames in all.
        num_frequencies: frequencies in all.
        reach: frames in a block.
        pairs: pairs of batch entry and head in a tile: one or all.
        frequencies: frequencies in a tile: one or all.
        blocks: blocks of time in a tile; 1 where ``parts`` is more.
        parts: tiles that share a block.
    """

    times: int
    num_frequencies: int
    reach: int
    pairs: int
    frequencies: int
    blocks: int
    parts: int

    @property
    def rows(self) -> int:
        """Queries of one block in a tile, for each pair and frequency."""
        return math.ceil(self.reach / self.parts)

    @property
    def stretches(self) -> int:
        """Runs of ``blocks`` blocks that cover all frames."""
        return math.ceil(self.times / (self.reach * self.blocks))

    @property
    def tiles(self) -> int:
        """Tiles that differ in time alone."""
        return self.stretches * self.parts

    @property
    def padded_times(self) -> int:
        """Frames in all blocks."""
        return self.stretches * self.blocks * self.reach


def _choose_tiling(pairs: int, times: int, num_frequencies: int, reach: int, gathered: int) -> _Tiling:
    """Tiles whose scores stay in cache on a CPU, and elsewhere tiles large enough to fill the device."""
    platform = current_platform()
    if platform.head_tile_rows is not None:
        pairs, frequencies, rows = 1, 1, platform.head_tile_rows
    else:
        frequencies = num_frequencies
        rows = max(1, platform.tile_scores // (pairs * frequencies * (3 * reach + gathered)))
    # Equal tiles, so that the least is computed in vain.
    all_blocks = math.ceil(times / reach)
    most = min(_MOST_BLOCKS, max(1, rows // reach))
    blocks = math.ceil(all_blocks / math.ceil(all_blocks / most))
    parts = math.ceil(reach / rows)
    return _Tiling(times, num_frequencies, reach, pairs, frequencies, blocks, parts)


class _Keys(NamedTuple):
    """What the tiles of one group see, a group being the tiles that differ in time alone.

    Attributes:
        key: with a block of padding before and after.
        value: likewise.
        cross_key: gathered keys, laid out as the matrix product wants them, or it would turn them round in every tile.
        cross_value: gathered values.
        cross_indices: positions of the gathered tokens, where a token of both sets counts once.
    """

    key: Float[Array, "pairs frequencies padded_times head_dim"]
    value: Float[Array, "pairs frequencies padded_times head_dim"]
    cross_key: Float[Array, "pairs head_dim gathered"] | None
    cross_value: Float[Array, "pairs gathered head_dim"] | None
    cross_indices: Int[Array, " gathered"] | None


@functools.partial(jax.jit, static_argnames=("tiling", "count_once"))
def _attend(
    query: Array, key: Array, value: Array, drawn: DrawnTokens | None, *, tiling: _Tiling, count_once: bool
) -> Array:
    batch, tokens, heads, head_dim = query.shape
    dtype, times, reach = query.dtype, tiling.times, tiling.reach
    if not current_platform().gains_from_half_precision:
        query, key, value = (array.astype(jnp.float32) for array in (query, key, value))
        drawn = drawn and drawn._replace(key=drawn.key.astype(jnp.float32), value=drawn.value.astype(jnp.float32))
    groups = batch * heads * tiling.num_frequencies // (tiling.pairs * tiling.frequencies)

    def fold(array: Array, before: int, after: int) -> Array:  # [B, T * F, H, D] -> [groups, P, N, T, D], padded
        array = array.reshape(batch, times, tiling.num_frequencies, heads, head_dim).transpose(0, 3, 2, 1, 4)
        array = array.reshape(groups, tiling.pairs, tiling.frequencies, times, head_dim)
        # Padding repeats the first and the last frame, which every query near it sees: it is without effect on the
        # largest score, and need not be hidden before that is known.
        edges = jax.lax.stop_gradient((array[..., :1, :], array[..., -1:, :]))
        start, end = (jnp.repeat(edge, count, axis=3) for edge, count in zip(edges, (before, after), strict=True))
        return jnp.concatenate([start, array, end], axis=3)

    def fold_drawn(array: Array) -> Array:  # [B, C, H, D] -> [groups, P, C, D]
        array = array.transpose(0, 2, 1, 3)
        array = array.reshape(-1, tiling.pairs, array.shape[2], head_dim)
        # One copy for each group of frequencies: with a cap on C, small beside the keys of all times.
        return jnp.repeat(array, tiling.num_frequencies // tiling.frequencies, axis=0)

    # [groups, P, N, stretches, M, parts * R, D]; a block is padded where it has less than its parts' rows.
    padding, shape = tiling.padded_times - times, (tiling.stretches, tiling.blocks, reach, head_dim)
    queries = fold((query.astype(jnp.float32) * head_dim**-0.5).astype(query.dtype), 0, padding)
    queries = queries.reshape(*queries.shape[:3], *shape)
    queries = jnp.pad(queries, (*[(0, 0)] * 5, (0, tiling.parts * tiling.rows - reach), (0, 0)))
    # -> [groups, stretches, parts, P, N, M, R, D] -> [groups * tiles, P, N, M, R, D]
    queries = queries.reshape(*queries.shape[:5], tiling.parts, tiling.rows, head_dim).transpose(0, 3, 5, 1, 2, 4, 6, 7)
    apart = queries.shape
    queries = queries.reshape(-1, *apart[3:])

    counted_once = drawn.indices if drawn is not None and count_once else None
    keys = _Keys(
        key=fold(key, reach, padding + reach),
        value=fold(value, reach, padding + reach),
        cross_key=None if drawn is None else fold_drawn(drawn.key).swapaxes(2, 3),
        cross_value=None if drawn is None else fold_drawn(drawn.value),
        cross_indices=None if counted_once is None else jnp.tile(counted_once, (groups, 1)),
    )
    mixed = map_in_place(functools.partial(_attend_tile, tiling), keys, queries, groups=groups)

    mixed = mixed.reshape(apart).transpose(0, 3, 4, 1, 5, 2, 6, 7)  # [groups, P, N, stretches, M, parts, R, D]
    mixed = mixed.reshape(*mixed.shape[:5], -1, head_dim)[..., :reach, :]
    mixed = mixed.reshape(batch, heads, tiling.num_frequencies, tiling.padded_times, head_dim)[:, :, :, :times]
    return mixed.transpose(0, 3, 2, 1, 4).reshape(batch, tokens, heads, head_dim).astype(dtype)


def _attend_tile(
    tiling: _Tiling, keys: _Keys, query: Float[Array, "pairs frequencies blocks rows head_dim"], number: Int[Array, ""]
) -> Float[Array, "pairs frequencies blocks rows head_dim"]:
    """One softmax over both sets; queries come scaled."""
    reach, blocks = tiling.reach, tiling.blocks
    first = number % tiling.tiles // tiling.parts * blocks  # of the tile's blocks

    def around(array: Array) -> Array:  # [P, N, T, D] -> [P, N, M, 3 * W, D]
        # Slices that are each one piece of memory: XLA copies the pieces of one slice element by element.
        starts = [(first + block) * reach for block in range(blocks)]
        return jnp.stack([jax.lax.dynamic_slice_in_dim(array, start, 3 * reach, axis=2) for start in starts], axis=2)

    def score(equation: str, key: Array) -> Array:  # [P, N, M, R, keys]
        return jnp.einsum(equation, query, key, preferred_element_type=jnp.float32)

    def weigh(scores: Array, seen: Array | None) -> Array:  # [P, N, M, R, keys], with [.., keys]
        weights = jnp.exp(scores - peak)
        return weights if seen is None else jnp.where(seen[..., None, :], weights, 0.0)

    def mix(equation: str, weights: Array, value: Array) -> Array:  # [P, N, M, R, D]
        return jnp.einsum(equation, weights.astype(value.dtype), value, preferred_element_type=jnp.float32)

    # The largest score of all keys, hidden ones too: none of those is other than a key that is seen.
    near, far = score("pnmrd,pnmkd->pnmrk", around(keys.key)), None
    peak = near.max(axis=-1, keepdims=True)
    if keys.cross_key is not None:
        far = score("pnmrd,pdk->pnmrk", keys.cross_key)
        peak = jnp.maximum(peak, far.max(axis=-1, keepdims=True))
    peak = jax.lax.stop_gradient(peak)

    start = (first + jnp.arange(blocks))[:, None] * reach
    time = start - reach + jnp.arange(3 * reach)
    # A block after the last frame sees padding, since a softmax of nothing has no gradient.
    weights = weigh(near, (time >= 0) & (time < jnp.maximum(tiling.times, start + 1)))
    total = weights.sum(axis=-1, keepdims=True)
    mixed = mix("pnmrk,pnmkd->pnmrd", weights, around(keys.value))
    if far is not None and keys.cross_value is not None:
        weights = weigh(far, _seen_once(tiling, keys.cross_indices, number, first))
        total = total + weights.sum(axis=-1, keepdims=True)
        mixed = mixed + mix("pnmrk,pkd->pnmrd", weights, keys.cross_value)
    # Dividing [rows, D] after the products is cheaper than dividing [rows, keys] before them.
    return (mixed / total).astype(query.dtype)


def _seen_once(
    tiling: _Tiling, cross_indices: Array | None, number: Array, first: Array
) -> Array | None:  # [N, M, C], or None where gathered tokens count whether they are near or not
    if cross_indices is None:
        return None
    # A tile of one frequency counts them off from group to group; a tile of all is in the only group.
    frequency = number // tiling.tiles % tiling.num_frequencies + jnp.arange(tiling.frequencies)
    block = first + jnp.arange(tiling.blocks)
    is_own_frequency = cross_indices % tiling.num_frequencies == frequency[:, None]  # [N, C]
    is_near = jnp.abs(cross_indices // tiling.num_frequencies // tiling.reach - block[:, None]) <= 1  # [M, C]
    return ~(is_own_frequency[:, None] & is_near)
