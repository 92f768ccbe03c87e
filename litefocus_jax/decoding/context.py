"""What a tile has to know about the whole sound, beside its own frames.

These are the moments of every group normalisation, measured on many tiles together and used in the place of a tile's
own, and keys of frames elsewhere, for the attention of the VAE's middle block.

Letters in shape comments: C channels.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Float32, Int

from litefocus_jax.models.layers import GroupNorm
from litefocus_jax.ops.attention import dot_product_attention

# Added to variances before they are compared, so that those of silence can be; as small as what the norms add.
_SMALLEST_VARIANCE = 1e-6


class Moments(NamedTuple):
    """What a group normalisation divides by and takes away, for each group of channels.

    Attributes:
        mean: mean of all values of a group.
        variance: variance of all values of a group.
        count: number of these values.
    """

    mean: Float[Array | np.ndarray, " groups"]
    variance: Float[Array | np.ndarray, " groups"]
    count: Float[Array | np.ndarray, ""]


class Correction(NamedTuple):
    """What turns the moments of a sample into those of all.

    Attributes:
        shift: difference of the means, in standard deviations of the sample.
        ratio: ratio of the variances.
    """

    shift: Float[Array, " groups"]
    ratio: Float[Array, " groups"]


def measure(
    norm: GroupNorm,
    x: Float[Array, "batch time frequency channels"],
    mask: Bool[Array, "batch time"],
    *,
    axes: tuple[str, ...] = (),
) -> Moments:
    """Moments over the batch and over the times where the mask is true, in float32.

    Args:
        norm: the normalisation.
        x: its input.
        mask: what counts.
        axes: of a mesh whose devices have other parts of the batch, which count too.
    """
    frequency, channels = x.shape[2:]
    group_size = channels // norm.num_groups
    inside = mask[:, :, None, None]

    def of_all(part: Array) -> Array:
        return jax.lax.psum(part, axes) if axes else part

    count = of_all(mask.sum().astype(jnp.float32)) * (frequency * group_size)

    def group_mean(values: Array) -> Array:
        sums = of_all(jnp.where(inside, values, 0.0).sum(axis=(0, 1, 2)))  # [C]
        return sums.reshape(norm.num_groups, group_size).sum(axis=-1) / count

    x = x.astype(jnp.float32)
    mean = group_mean(x)
    return Moments(mean, group_mean(jnp.square(x - jnp.repeat(mean, group_size))), count)


def normalise(
    norm: GroupNorm, x: Float[Array, "batch *axes channels"], moments: Moments
) -> Float[Array, "batch *axes channels"]:
    """What the normalisation makes of its input where the moments are known beforehand."""
    group_size = x.shape[-1] // norm.num_groups
    mean, variance = (jnp.repeat(value, group_size) for value in (moments.mean, moments.variance))
    scale = norm.scale[...].astype(jnp.float32) / jnp.sqrt(variance + norm.epsilon)
    shift = norm.bias[...].astype(jnp.float32) - mean * scale
    axes = (1,) * (x.ndim - 1)
    return (x.astype(jnp.float32) * scale.reshape(*axes, -1) + shift.reshape(*axes, -1)).astype(x.dtype)


def merge(first: Moments, second: Moments) -> Moments:
    """Moments of two parts together, in float64 on the host (Chan, Golub and LeVeque 1983)."""
    first, second = (Moments(*(np.asarray(value, np.float64) for value in moments)) for moments in (first, second))
    count = first.count + second.count
    share = second.count / count
    difference = second.mean - first.mean
    mean = first.mean + share * difference
    variance = first.variance + share * (second.variance - first.variance) + share * (1 - share) * difference**2
    return Moments(mean, variance, count)


def correction_between(sample: Moments, whole: Moments) -> Correction:
    """The correction that takes the moments of a sample to those of all, both measured in the same network."""
    variance = np.asarray(sample.variance, np.float64) + _SMALLEST_VARIANCE
    shift = (np.asarray(whole.mean, np.float64) - np.asarray(sample.mean, np.float64)) / np.sqrt(variance)
    ratio = (np.asarray(whole.variance, np.float64) + _SMALLEST_VARIANCE) / variance
    return Correction(_float32(shift), _float32(ratio))


def no_correction(num_groups: int) -> Correction:
    """The correction that changes nothing."""
    return Correction(jnp.zeros(num_groups), jnp.ones(num_groups))


def correct(sample: Moments, correction: Correction) -> Moments:
    """The moments of all, estimated from those of a sample and their correction."""
    variance = sample.variance + _SMALLEST_VARIANCE
    mean = sample.mean + correction.shift * jnp.sqrt(variance)
    return Moments(mean, jnp.maximum(0.0, correction.ratio * variance - _SMALLEST_VARIANCE), sample.count)


def _float32(values: np.ndarray) -> Float32[Array, " groups"]:
    return jnp.asarray(values, jnp.float32)


_NEVER = -1e9  # added to a score, makes it count for nothing


class FarKeys(NamedTuple):
    """Keys and values of frames that are spread over a whole sound.

    Attributes:
        keys: all frequencies of one frame after another.
        values: all frequencies of one frame after another.
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
    """Softmax attention over a whole sound, of which a window and a sample of frames are available.

    The window's own keys count as they are. Each key of the sample from outside of the window stands for as many as
    there are for each of them: the logarithm of that number is added to its score. With all frames of the sound in the
    window or in the sample, this is attention to the whole sound.

    Args:
        query: queries of the window's tokens, in order of time.
        key: keys of the same tokens.
        value: values of the same tokens.
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

    # One more channel, in which all queries are 1, adds to the scores of each key a number of its own.
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
