"""Dense softmax attention and its back ends.

Three ways to the same numbers:

- ``plain``: one einsum, the whole score matrix in memory. Best where that matrix is small.
- ``tiled``: the score matrix is never held whole; memory grows with the number of keys, not with queries times keys,
  in the gradient too.
- ``cudnn``: the fused kernel of NVIDIA's library, for bfloat16 and float16.

Letters in shape comments: B batch, Q queries, K keys, H heads, D head_dim.
"""

import functools
import math
import os
from typing import Literal, get_args

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.ops.block_loop import map_in_place
from litefocus_jax.system.platform import current_platform

Backend = Literal["auto", "plain", "tiled", "cudnn"]

ENVIRONMENT_VARIABLE = "LITEFOCUS_ATTENTION"
"""Name of the variable whose value, a `Backend`, stands in for ``backend="auto"``."""

# With this few keys a tile is too small to repay the loop around it, or the fused kernel.
_FEW_KEYS = 64
_FIRST_GENERATION_WITH_CUDNN = 8


def dot_product_attention(
    query: Float[Array, "batch queries heads head_dim"],
    key: Float[Array, "batch keys heads head_dim"],
    value: Float[Array, "batch keys heads head_dim"],
    *,
    key_mask: Bool[Array, "batch keys"] | None = None,
    key_lengths: Int[Array, " batch"] | None = None,
    scale: float | None = None,
    backend: Backend = "auto",
) -> Float[Array, "batch queries heads head_dim"]:
    """Softmax attention with the softmax in float32, differentiable in every back end.

    Args:
        query: queries.
        key: keys, of the same dtype.
        value: values, of the same dtype.
        key_mask: True where a key may be attended to. A batch entry without any attends evenly to all its keys.
        key_lengths: number of keys, from the first, that may be attended to; at least 1. It says less than
            ``key_mask``, but cuDNN understands it.
        scale: factor on the scores; ``1 / sqrt(head_dim)`` when ``None``.
        backend: one of `Backend`. ``"auto"`` is the environment variable ``LITEFOCUS_ATTENTION`` where it is set,
            else the choice of `choose_backend`. Both are read while JAX traces, so a compiled function keeps its own.

    Returns:
        One vector per query and head, in the dtype of ``query``.

    Raises:
        ValueError: when shapes disagree, ``key_mask`` and ``key_lengths`` are both given, the back end is unknown, or
            cuDNN is asked for with a ``key_mask``.
    """
    _check_shapes(query, key, value, key_mask, key_lengths)
    factor = query.shape[-1] ** -0.5 if scale is None else scale
    chosen = _requested_backend(backend)
    if chosen == "auto":
        chosen = choose_backend(query, key, masked=key_mask is not None)

    if chosen == "cudnn":
        if key_mask is not None:
            raise ValueError(
                "backend 'cudnn' takes no key_mask; give key_lengths if the mask is a prefix, or use 'auto'"
            )
        return _cudnn(query, key, value, key_lengths, factor)
    if key_lengths is not None:
        key_mask = jnp.arange(key.shape[1])[None, :] < key_lengths[:, None]
    attend = _plain if chosen == "plain" else _tiled
    return attend(query, key, value, key_mask, scale=factor)


def choose_backend(
    query: Float[Array, "batch queries heads head_dim"], key: Float[Array, "batch keys heads head_dim"], *, masked: bool
) -> Backend:
    """The back end that ``"auto"`` stands for: by platform, dtype and shape.

    Args:
        query: queries; only shape and dtype are looked at.
        key: keys; only shape and dtype are looked at.
        masked: whether the call has a ``key_mask`` (``key_lengths`` do not count).
    """
    batch, queries, heads, head_dim = query.shape
    keys = key.shape[1]
    if keys <= _FEW_KEYS:
        return "plain"
    platform = current_platform()
    if platform.head_tile_rows is not None:
        return "tiled"
    half_precision = query.dtype in (jnp.bfloat16, jnp.float16)
    has_kernel = platform.gpu_generation >= _FIRST_GENERATION_WITH_CUDNN
    if has_kernel and half_precision and not masked and head_dim % 8 == 0 and head_dim <= 128:
        return "cudnn"
    return "plain" if batch * heads * queries * keys <= platform.tile_scores else "tiled"


def _requested_backend(backend: str) -> str:
    """The back end asked for by argument or, where that is ``"auto"``, by the environment."""
    name, source = backend, "backend"
    if backend == "auto":
        name, source = os.environ.get(ENVIRONMENT_VARIABLE) or "auto", ENVIRONMENT_VARIABLE
    if name not in get_args(Backend):
        raise ValueError(f"{source} = {name!r}; expected one of {', '.join(get_args(Backend))}")
    return name


def _check_shapes(query: Array, key: Array, value: Array, key_mask: Array | None, key_lengths: Array | None) -> None:
    for name, array in (("query", query), ("key", key), ("value", value)):
        if array.ndim != 4:
            raise ValueError(f"{name} has shape {array.shape}; expected [batch, tokens, heads, head_dim]")
    batch, _, heads, head_dim = query.shape
    keys = key.shape[1]
    for name, array in (("key", key), ("value", value)):
        if array.shape != (batch, keys, heads, head_dim):
            expected = (batch, keys, heads, head_dim)
            raise ValueError(f"{name} has shape {array.shape}; expected {expected} to go with query {query.shape}")
    if keys == 0:
        raise ValueError(f"key has shape {key.shape}; expected at least one key")
    if key_mask is not None and key_lengths is not None:
        raise ValueError("key_mask and key_lengths are both given; expected one of them")
    if key_mask is not None and (key_mask.shape != (batch, keys) or key_mask.dtype != jnp.bool_):
        raise ValueError(f"key_mask is {key_mask.dtype}{key_mask.shape}; expected bool{(batch, keys)}")
    if key_lengths is not None and key_lengths.shape != (batch,):
        raise ValueError(f"key_lengths has shape {key_lengths.shape}; expected {(batch,)}")


def _cudnn(query: Array, key: Array, value: Array, key_lengths: Array | None, scale: float) -> Array:
    batch, queries, keys = *query.shape[:2], key.shape[1]
    if key_lengths is None and keys % 2:
        key_lengths = jnp.full(batch, keys)

    # JAX refuses to differentiate the kernel at odd lengths.
    def make_even(array: Array) -> Array:
        return jnp.pad(array, ((0, 0), (0, array.shape[1] % 2), (0, 0), (0, 0)))

    mixed = jax.nn.dot_product_attention(
        make_even(query),
        make_even(key),
        make_even(value),
        scale=scale,
        key_value_seq_lengths=None if key_lengths is None else key_lengths.astype(jnp.int32),
        implementation="cudnn",
    )
    return mixed[:, :queries]


@functools.partial(jax.jit, static_argnames="scale")
def _plain(query: Array, key: Array, value: Array, key_mask: Array | None, scale: float) -> Array:
    scores = jnp.einsum("bqhd,bkhd->bhqk", query, key, preferred_element_type=jnp.float32) * scale
    if key_mask is not None:
        scores = jnp.where(key_mask[:, None, None, :], scores, jnp.finfo(jnp.float32).min)
    weights = jax.nn.softmax(scores, axis=-1).astype(value.dtype)
    return jnp.einsum("bhqk,bkhd->bqhd", weights, value)


@functools.partial(jax.jit, static_argnames="scale")
def _tiled(query: Array, key: Array, value: Array, key_mask: Array | None, scale: float) -> Array:
    """Loop over groups of heads and over blocks of queries; each block of queries makes room for its result."""
    batch, queries, heads, head_dim = query.shape
    keys, dtype = key.shape[1], query.dtype
    platform = current_platform()
    if platform.head_tile_rows is not None:
        group, rows = 1, platform.head_tile_rows
    else:
        group = batch * heads
        rows = max(1, platform.tile_scores // (group * keys))
    if not platform.gains_from_half_precision:
        query, key, value = (array.astype(jnp.float32) for array in (query, key, value))
    # Equal blocks, so that fewer rows of padding than blocks are computed in vain.
    blocks = math.ceil(queries / rows)
    rows = math.ceil(queries / blocks)

    def fold(array: Array) -> Array:  # [B, N, H, D] -> [groups, group, N, D]
        return array.transpose(0, 2, 1, 3).reshape(-1, group, array.shape[1], head_dim)

    # Scaling [Q, D] here saves a pass over the scores in every tile.
    query = (query.astype(jnp.float32) * scale).astype(query.dtype)
    query_blocks = jnp.pad(fold(query), ((0, 0), (0, 0), (0, blocks * rows - queries), (0, 0)))
    query_blocks = query_blocks.reshape(-1, group, blocks, rows, head_dim).swapaxes(1, 2)
    query_blocks = query_blocks.reshape(-1, group, rows, head_dim)  # [groups * blocks, group, rows, D]
    if key_mask is not None:
        key_mask = jnp.repeat(key_mask, heads, axis=0).reshape(-1, group, 1, keys)

    def attend_tile(shared: tuple[Array, Array, Array | None], query: Array, number: Array) -> Array:
        del number
        key, value, key_mask = shared  # [group, K, D] twice, [group, 1, K]
        scores = jnp.einsum("gqd,gkd->gqk", query, key, preferred_element_type=jnp.float32)
        if key_mask is not None:
            scores = jnp.where(key_mask, scores, jnp.finfo(jnp.float32).min)
        weights = jnp.exp(scores - scores.max(axis=-1, keepdims=True))
        total = weights.sum(axis=-1, keepdims=True)
        # Dividing [rows, D] after the product is cheaper than dividing [rows, K] before it.
        mixed = jnp.einsum("gqk,gkd->gqd", weights.astype(value.dtype), value, preferred_element_type=jnp.float32)
        return (mixed / total).astype(query.dtype)

    shared = (fold(key), fold(value), key_mask)
    mixed = map_in_place(attend_tile, shared, query_blocks, groups=batch * heads // group)
    mixed = mixed.reshape(-1, blocks, group, rows, head_dim).swapaxes(1, 2)  # [groups, group, blocks, rows, D]
    mixed = mixed.reshape(batch, heads, blocks * rows, head_dim)[:, :, :queries]
    return mixed.transpose(0, 2, 1, 3).astype(dtype)
