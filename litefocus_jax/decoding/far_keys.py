"""Attention of a tile to itself and, through a sample of keys, to the rest of the sound.

Letters in shape comments: C channels.
"""

from typing import NamedTuple

import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from litefocus_jax.attention import dot_product_attention

_NEVER = -1e9  # added to a score, makes it count for nothing


class FarKeys(NamedTuple):
    """Keys and values of frames that are spread over a whole sound.

    Attributes:
        keys: all frequencies of one frame after another.
        values: likewise.
        frames: the frames' numbers within the sound.
    """

    keys: Float[Array, "tokens channels"]
    values: Float[Array, "tokens channels"]
    frames: Int[Array, " frames"]

    @property
    def frequencies(self) -> int:
        """Tokens of one frame."""
        return self.keys.shape[0] // self.frames.shape[0]


def attend_near_and_far(
    query: Float[Array, "tokens channels"],
    key: Float[Array, "tokens channels"],
    value: Float[Array, "tokens channels"],
    far: FarKeys,
    *,
    start: Int[Array, ""],
    near: tuple[Int[Array, ""], Int[Array, ""]],
    total: Int[Array, ""],
) -> Float[Array, "tokens channels"]:
    """Softmax attention over a whole sound, of which a window and a sample of frames are at hand.

    The window's own keys count as they are. Each key of the sample from outside of the window stands for as many as
    there are for each of them: the logarithm of that number is added to its score. With all frames of the sound in the
    window or in the sample, this is attention to the whole sound.

    Args:
        query: of the window's tokens, in order of time.
        key: likewise.
        value: likewise.
        far: the sample.
        start: number of the window's first frame within the sound.
        near: first frame of the window whose keys count, and the one after the last; numbers within the window.
        total: frames of the sound.
    """
    window = jnp.arange(query.shape[0] // far.frequencies)
    is_near = (window >= near[0]) & (window < near[1])
    is_far = (far.frames < start + near[0]) | (far.frames >= start + near[1])
    stands_for = (total - (near[1] - near[0])) / jnp.maximum(1, is_far.sum())
    bias = jnp.concatenate(
        [
            jnp.where(is_near, 0.0, _NEVER),
            jnp.where(is_far, jnp.log(jnp.maximum(stands_for, 1e-6)), _NEVER),
        ]
    )
    scale = query.shape[-1] ** -0.5

    # One more channel, in which all queries are 1, adds a number of each key's own to its scores.
    def with_channel(tokens: Array, channel: Array | float) -> Array:  # [1, tokens, one head, C + 1]
        column = jnp.broadcast_to(jnp.asarray(channel, tokens.dtype), tokens.shape[:1])
        return jnp.concatenate([tokens, column[:, None]], axis=1)[None, :, None]

    mixed = dot_product_attention(
        with_channel(query, 1.0),
        with_channel(jnp.concatenate([key, far.keys]), jnp.repeat(bias, far.frequencies) / scale),
        with_channel(jnp.concatenate([value, far.values]), 0.0),
        scale=scale,
    )
    return mixed[0, :, 0, :-1]
