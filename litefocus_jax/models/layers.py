"""Building blocks shared by the UNet and the VAE.

Letters in shape comments: B batch, T time, F frequency, C channels, G groups, N tokens.
"""

import functools
import math
from collections.abc import Callable

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.models import parameters
from litefocus_jax.ops.block_loop import map_in_place
from litefocus_jax.ops.convolution import convolve_3x3, convolve_doubled
from litefocus_jax.parallel.time_axis import FrameShares
from litefocus_jax.system.platform import current_platform


class GroupNorm(nnx.Module):
    """Group normalisation over every axis between batch and channels, with statistics in float32.

    The numbers are those of ``torch.nn.GroupNorm``. Sums are first taken per channel and only then per group, so that
    the large array is read in its own layout and never reshaped. ``nnx.GroupNorm`` reshapes it into five dimensions,
    which takes three times as long on a CPU, and knows nothing of devices that share the frames.

    Raises:
        ValueError: when ``num_groups`` does not divide ``num_channels``.
    """

    def __init__(self, num_groups: int, num_channels: int, *, epsilon: float, rngs: nnx.Rngs) -> None:
        if num_channels % num_groups:
            raise ValueError(f"num_channels = {num_channels} is not a multiple of num_groups = {num_groups}")
        self.num_groups = num_groups
        self.epsilon = epsilon
        self.shares: FrameShares | None = None  # of frames that several devices share
        self.scale = parameters.ones((num_channels,), rngs)
        self.bias = parameters.zeros((num_channels,), rngs)

    @functools.partial(jax.jit, static_argnames="by_frequency")
    def __call__(
        self, x: Float[Array, "batch *axes channels"], *, by_frequency: bool = False
    ) -> Float[Array, "batch *axes channels"]:
        """Normalise each group of each batch entry to mean 0 and variance 1, then scale and shift each channel.

        Args:
            x: of several devices that share frames, those of this one.
            by_frequency: whether such devices have all frames of some frequencies each, for the time being.
        """
        batch, *axes, channels = x.shape
        tokens = math.prod(axes)
        group_size = channels // self.num_groups
        x_float = x.reshape(batch, tokens, channels).astype(jnp.float32)

        def of_channels(groups: Array) -> Array:  # [B, G] -> [B, 1, C]
            return jnp.repeat(groups, group_size, axis=-1)[:, None]

        def group_mean(channel_sums: Array) -> Array:
            return of_channels(
                channel_sums.reshape(batch, self.num_groups, group_size).sum(axis=-1) / (tokens * group_size)
            )

        if self.shares is None:
            # Squares are taken after centring: E[x^2] - E[x]^2 loses every digit when the mean outweighs the deviation.
            mean = group_mean(x_float.sum(axis=1))
            variance = group_mean(jnp.square(x_float - mean).sum(axis=1))
        else:
            own = x_float.reshape(x.shape)
            moments = self.shares.moments_of_all(own, self.num_groups, spread_over_frequencies=by_frequency)
            mean, variance = map(of_channels, moments)
        scale = self.scale[...].astype(jnp.float32) * jax.lax.rsqrt(variance + self.epsilon)
        shift = self.bias[...].astype(jnp.float32) - mean * scale
        return (x_float * scale + shift).astype(x.dtype).reshape(x.shape)


Normalise = Callable[[GroupNorm, Array], Array]
"""How a group normalisation is run on its input; `GroupNorm.__call__`, or a function that looks beyond its input."""


class LayerNorm(nnx.Module):
    """Layer normalisation over the last axis, with statistics in float32.

    Unlike ``nnx.LayerNorm``, which answers in the wider of both types, it answers in the type of its input.
    """

    def __init__(self, features: int, *, epsilon: float, rngs: nnx.Rngs) -> None:
        self.epsilon = epsilon
        self.scale = parameters.ones((features,), rngs)
        self.bias = parameters.zeros((features,), rngs)

    @jax.jit
    def __call__(self, x: Float[Array, "*axes features"]) -> Float[Array, "*axes features"]:
        """Normalise each vector to mean 0 and variance 1, then scale and shift each feature."""
        x_float = x.astype(jnp.float32)
        centred = x_float - x_float.mean(axis=-1, keepdims=True)
        variance = jnp.square(centred).mean(axis=-1, keepdims=True)
        parameter_shape = (1,) * (x.ndim - 1) + (x.shape[-1],)
        scale = self.scale[...].astype(jnp.float32).reshape(parameter_shape)
        bias = self.bias[...].astype(jnp.float32).reshape(parameter_shape)
        return (centred * jax.lax.rsqrt(variance + self.epsilon) * scale + bias).astype(x.dtype)


def conv_3x3(in_channels: int, out_channels: int, rngs: nnx.Rngs) -> nnx.Conv:
    """A convolution that keeps the size, by the algorithm that is fastest for its shape."""
    return parameters.conv(in_channels, out_channels, (3, 3), padding=1, conv_general_dilated=convolve_3x3, rngs=rngs)


class ResnetBlock(nnx.Module):
    """Two normalised 3x3 convolutions with a skip around them (diffusers' ``ResnetBlock2D``).

    Args:
        in_channels: channels of the input.
        out_channels: channels of the output; when they differ, the skip goes through a 1x1 convolution.
        time_embed_dim: width of the time embedding added between the convolutions, or ``None`` for none.
        num_groups: groups of both normalisations.
        epsilon: added to both variances.
        output_scale_factor: the sum of both branches is divided by it.
        rngs: source of the initial weights.
    """

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        time_embed_dim: int | None,
        num_groups: int,
        epsilon: float,
        output_scale_factor: float = 1.0,
        rngs: nnx.Rngs,
    ) -> None:
        self.output_scale_factor = output_scale_factor
        self.norm1 = GroupNorm(num_groups, in_channels, epsilon=epsilon, rngs=rngs)
        self.conv1 = conv_3x3(in_channels, out_channels, rngs)
        self.time_emb_proj = (
            None if time_embed_dim is None else parameters.linear(time_embed_dim, out_channels, rngs=rngs)
        )
        self.norm2 = GroupNorm(num_groups, out_channels, epsilon=epsilon, rngs=rngs)
        self.conv2 = conv_3x3(out_channels, out_channels, rngs)
        self.conv_shortcut = (
            None if in_channels == out_channels else parameters.conv(in_channels, out_channels, (1, 1), rngs=rngs)
        )

    @jax.jit
    def __call__(
        self,
        x: Float[Array, "batch time frequency in_channels"],
        time_embedding: Float[Array, "#batch time_embed_dim"] | None = None,
    ) -> Float[Array, "batch time frequency out_channels"]:
        """Add the block's change to its input.

        Raises:
            ValueError: when the block was built with a ``time_embed_dim`` and ``time_embedding`` is missing.
        """
        return self.transform(x, time_embedding)

    def transform(
        self,
        x: Float[Array, "batch time frequency in_channels"],
        time_embedding: Float[Array, "#batch time_embed_dim"] | None = None,
        *,
        normalise: Normalise = GroupNorm.__call__,
    ) -> Float[Array, "batch time frequency out_channels"]:
        """`__call__` with the normalisations run by ``normalise``, and without a trace of its own."""
        hidden = self.conv1(jax.nn.silu(normalise(self.norm1, x)))
        if self.time_emb_proj is not None:
            if time_embedding is None:
                raise ValueError("time_embedding is missing; this block was built with a time_embed_dim")
            hidden = hidden + self.time_emb_proj(jax.nn.silu(time_embedding))[:, None, None, :]
        hidden = self.conv2(jax.nn.silu(normalise(self.norm2, hidden)))
        skip = x if self.conv_shortcut is None else self.conv_shortcut(x)
        total = skip + hidden
        return total if self.output_scale_factor == 1.0 else total / self.output_scale_factor


class Downsample(nnx.Module):
    """Halve time and frequency with a strided 3x3 convolution (diffusers' ``Downsample2D``).

    Args:
        channels: channels of input and output.
        padding: zeros added on every side. 0 stands for diffusers' encoder, which pads the far sides alone, by one.
        rngs: source of the initial weights.
    """

    def __init__(self, channels: int, *, padding: int, rngs: nnx.Rngs) -> None:
        sides = (padding, padding) if padding else (0, 1)
        self.conv = parameters.conv(channels, channels, (3, 3), strides=2, padding=(sides, sides), rngs=rngs)

    def __call__(
        self, x: Float[Array, "batch time frequency channels"]
    ) -> Float[Array, "batch half_time half_frequency channels"]:
        """Halve both axes, rounding up with ``padding=1`` and down with ``padding=0``."""
        return self.conv(x)


class Upsample(nnx.Module):
    """Nearest-neighbour resize of time and frequency, then a 3x3 convolution (diffusers' ``Upsample2D``)."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        self.conv = conv_3x3(channels, channels, rngs)
        self.convolve_doubled = convolve_doubled
        self.shares: FrameShares | None = None  # of frames that several devices share

    def __call__(
        self, x: Float[Array, "batch time frequency channels"], size: tuple[int, int] | None = None
    ) -> Float[Array, "batch new_time new_frequency channels"]:
        """Resize to ``size`` (time, frequency); both are doubled when it is ``None``."""
        doubled = (2 * x.shape[1], 2 * x.shape[2])
        time, frequency = size or doubled
        if (time, frequency) == doubled and not self._doubles_one_too_many(x.shape[1]):
            assert self.conv.bias is not None
            return self.convolve_doubled(x, self.conv.kernel[...]) + self.conv.bias[...]
        return self.conv(_resize_nearest(_resize_nearest(x, time, axis=1), frequency, axis=2))

    def _doubles_one_too_many(self, own: int) -> bool:
        """Whether a sound whose frames several devices share has an odd number of them after this layer."""
        shares = self.shares
        return shares is not None and shares.frames_where(2 * own) != 2 * shares.frames_where(own)


def _resize_nearest(x: Array, size: int, axis: int) -> Array:
    """Nearest neighbour along one axis: output position i shows input position floor(i * old / new)."""
    old = x.shape[axis]
    return jnp.take(x, np.arange(size) * old // size, axis=axis)


def sinusoidal_embedding(
    timesteps: Float[Array, " steps"], features: int, *, flip_sin_to_cos: bool, freq_shift: float
) -> Float[Array, "steps features"]:
    """Sines and cosines of the timesteps at geometrically spaced frequencies, 1 down to about 1/10000, in float32.

    Args:
        timesteps: positions in the noise schedule; need not be whole.
        features: width of the result. An odd width ends with a zero.
        flip_sin_to_cos: put the cosines first.
        freq_shift: subtracted from the number of frequencies where their spacing is worked out.
    """
    half = features // 2
    frequencies = jnp.exp(-math.log(10000) * jnp.arange(half, dtype=jnp.float32) / (half - freq_shift))
    angles = timesteps.astype(jnp.float32)[:, None] * frequencies[None, :]  # [S, features // 2]
    waves = (jnp.cos(angles), jnp.sin(angles)) if flip_sin_to_cos else (jnp.sin(angles), jnp.cos(angles))
    return jnp.pad(jnp.concatenate(waves, axis=-1), ((0, 0), (0, features % 2)))


class TimestepEmbedding(nnx.Module):
    """Two linear layers with a silu between them, from sinusoids to the embedding that every resnet block reads."""

    def __init__(self, in_features: int, time_embed_dim: int, *, rngs: nnx.Rngs) -> None:
        self.linear_1 = parameters.linear(in_features, time_embed_dim, rngs=rngs)
        self.linear_2 = parameters.linear(time_embed_dim, time_embed_dim, rngs=rngs)

    def __call__(self, sinusoids: Float[Array, "*batch in_features"]) -> Float[Array, "*batch time_embed_dim"]:
        """Embed sinusoids; they are cast to the weights' dtype by the caller."""
        return self.linear_2(jax.nn.silu(self.linear_1(sinusoids)))


class FeedForward(nnx.Module):
    """Gated feed-forward (GEGLU, arXiv 2002.05202) with the exact, erf-based gelu."""

    def __init__(self, features: int, *, expansion: int = 4, rngs: nnx.Rngs) -> None:
        self.proj_in = parameters.linear(features, 2 * expansion * features, rngs=rngs)
        self.proj_out = parameters.linear(expansion * features, features, rngs=rngs)

    @jax.jit
    def __call__(self, x: Float[Array, "*batch features"]) -> Float[Array, "*batch features"]:
        """Transform each vector on its own."""
        features = x.shape[-1]
        vectors = x.reshape(-1, features)
        # On a CPU the wide hidden vectors are kept in cache by working through the tokens in blocks, which is a quarter
        # faster than writing them all to memory and reading them back.
        hidden_floats = current_platform().hidden_floats
        rows = len(vectors) if hidden_floats is None else hidden_floats // self.proj_in.out_features
        blocks = -(-len(vectors) // max(1, rows))
        if blocks == 1:
            return self._transform(x)
        rows = -(-len(vectors) // blocks)
        padded = jnp.pad(vectors, ((0, blocks * rows - len(vectors)), (0, 0)))
        transformed = map_in_place(FeedForward._transform_block, self, padded.reshape(blocks, rows, features))
        return transformed.reshape(-1, features)[: len(vectors)].reshape(x.shape)

    def _transform_block(self, block: Array, number: Array) -> Array:
        del number
        return self._transform(block)

    def _transform(self, x: Array) -> Array:
        value, gate = jnp.split(self.proj_in(x), 2, axis=-1)
        return self.proj_out(value * jax.nn.gelu(gate, approximate=False))
