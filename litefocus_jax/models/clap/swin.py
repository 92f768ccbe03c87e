"""The layers of a Swin transformer (Liu et al., arXiv 2103.14030): attention within windows of an image.

Letters in shape comments: B batch, H height, W width, C channels, w side of a window, N windows of an image.
"""

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.models import parameters
from litefocus_jax.models.layers import LayerNorm
from litefocus_jax.models.text_layers import Activation, multi_head_attention

_EPSILON = 1e-5  # PyTorch's default


class WindowAttention(nnx.Module):
    """Attention of the tokens of a window to one another, with a learnt bias for every distance."""

    def __init__(self, channels: int, *, num_heads: int, window: int, qkv_bias: bool, rngs: nnx.Rngs) -> None:
        self.num_heads, self.window = num_heads, window
        self.query, self.key, self.value = (
            parameters.linear(channels, channels, use_bias=qkv_bias, rngs=rngs) for _ in range(3)
        )
        self.output = parameters.linear(channels, channels, rngs=rngs)
        self.distance_bias = parameters.embeddings(((2 * window - 1) ** 2, num_heads), rngs)

    def __call__(
        self, windows: Float[Array, "windows tokens channels"], mask: Bool[Array, "#windows 1 #tokens tokens"]
    ) -> Float[Array, "windows tokens channels"]:
        """Mix the tokens of each window, looking only at those under the mask."""
        bias = self.distance_bias[...][_distances(self.window)]  # [w * w, w * w, heads]
        mixed = multi_head_attention(
            self.query(windows),
            self.key(windows),
            self.value(windows),
            num_heads=self.num_heads,
            scale=(windows.shape[-1] // self.num_heads) ** -0.5,
            mask=mask,
            bias=bias.transpose(2, 0, 1)[None],
        )
        return self.output(mixed)


class SwinBlock(nnx.Module):
    """Attention in windows, which lie half a window further with ``shift``, and a feed-forward network."""

    def __init__(
        self,
        channels: int,
        *,
        num_heads: int,
        window: int,
        shift: int,
        expansion: float,
        activation: Activation,
        qkv_bias: bool,
        epsilon: float,
        rngs: nnx.Rngs,
    ) -> None:
        self.window, self.shift, self.activation = window, shift, activation
        self.attention_norm = LayerNorm(channels, epsilon=epsilon, rngs=rngs)
        self.attention = WindowAttention(channels, num_heads=num_heads, window=window, qkv_bias=qkv_bias, rngs=rngs)
        self.output_norm = LayerNorm(channels, epsilon=epsilon, rngs=rngs)
        self.intermediate = parameters.linear(channels, int(expansion * channels), rngs=rngs)
        self.output = parameters.linear(int(expansion * channels), channels, rngs=rngs)

    def __call__(
        self, image: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch height width channels"]:
        """Add the block's changes to its input."""
        image = image + self._attend(self.attention_norm(image))
        return image + self.output(self.activation(self.intermediate(self.output_norm(image))))

    def _attend(self, image: Array) -> Array:
        batch, height, width, channels = image.shape
        window, shift = self.window, self.shift
        padded = jnp.pad(image, ((0, 0), (0, -height % window), (0, -width % window), (0, 0)))
        rows, columns = padded.shape[1] // window, padded.shape[2] // window
        shifted = jnp.roll(padded, (-shift, -shift), axis=(1, 2))
        windows = shifted.reshape(batch, rows, window, columns, window, channels)
        windows = windows.transpose(0, 1, 3, 2, 4, 5).reshape(-1, window * window, channels)  # [B * N, w * w, C]
        mask = np.tile(_neighbours(rows, columns, window, shift), (batch, 1, 1, 1))
        mixed = self.attention(windows, jnp.asarray(mask))
        mixed = mixed.reshape(batch, rows, columns, window, window, channels).transpose(0, 1, 3, 2, 4, 5)
        mixed = jnp.roll(mixed.reshape(padded.shape), (shift, shift), axis=(1, 2))
        return mixed[:, :height, :width]


class PatchMerging(nnx.Module):
    """Halve both sides of an image: four neighbours become one token of twice the channels."""

    def __init__(self, channels: int, *, rngs: nnx.Rngs) -> None:
        self.norm = LayerNorm(4 * channels, epsilon=_EPSILON, rngs=rngs)
        self.reduction = parameters.linear(4 * channels, 2 * channels, use_bias=False, rngs=rngs)

    def __call__(
        self, image: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch half_height half_width twice_channels"]:
        """Merge; both sides are even."""
        neighbours = [image[:, row::2, column::2] for column in range(2) for row in range(2)]
        return self.reduction(self.norm(jnp.concatenate(neighbours, axis=-1)))


class SwinStage(nnx.Module):
    """Blocks, every other one with its windows shifted, and at last a merging of patches, if there is another stage."""

    def __init__(
        self,
        channels: int,
        *,
        depth: int,
        num_heads: int,
        window: int,
        fills_image: bool,
        expansion: float,
        activation: Activation,
        qkv_bias: bool,
        epsilon: float,
        merges: bool,
        rngs: nnx.Rngs,
    ) -> None:
        self.blocks = nnx.List(
            SwinBlock(
                channels,
                num_heads=num_heads,
                window=window,
                shift=0 if number % 2 == 0 or fills_image else window // 2,
                expansion=expansion,
                activation=activation,
                qkv_bias=qkv_bias,
                epsilon=epsilon,
                rngs=rngs,
            )
            for number in range(depth)
        )
        self.downsample = PatchMerging(channels, rngs=rngs) if merges else None

    @jax.jit
    def __call__(
        self, image: Float[Array, "batch height width channels"]
    ) -> Float[Array, "batch new_height new_width new_channels"]:
        """Run the stage."""
        for block in self.blocks:
            image = block(image)
        return image if self.downsample is None else self.downsample(image)


def _distances(window: int) -> Int[np.ndarray, "tokens tokens"]:
    """The number of the distance between every two tokens of a window, row by row."""
    row, column = np.divmod(np.arange(window * window), window)
    down, right = (place[:, None] - place + window - 1 for place in (row, column))
    return down * (2 * window - 1) + right


def _neighbours(rows: int, columns: int, window: int, shift: int) -> Bool[np.ndarray, "windows 1 #tokens tokens"]:
    """Which tokens of a window were neighbours before the image was shifted around its edges."""
    if shift == 0:
        return np.ones((rows * columns, 1, 1, window * window), bool)

    def regions(size: int) -> np.ndarray:
        places = np.arange(size)
        return (places >= size - window).astype(int) + (places >= size - shift)

    region = 3 * regions(rows * window)[:, None] + regions(columns * window)
    region = region.reshape(rows, window, columns, window).transpose(0, 2, 1, 3).reshape(-1, window * window)
    return (region[:, :, None] == region[:, None, :])[:, None]
