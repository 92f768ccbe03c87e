"""The blocks of the UNet, one per resolution level on each way, and the one at the bottom.

Letters in shape comments: B batch, T time, F frequency, C channels.
"""

from typing import NamedTuple

import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from litefocus_jax.models.layers import Downsample, ResnetBlock, Upsample
from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.transformer import (
    AttentionOfLevel,
    Prompt,
    PromptKeys,
    TokenAttention,
    Transformer,
)
from litefocus_jax.parallel.time_axis import FrameShares

BlockKeys = tuple[tuple[PromptKeys | None, ...], ...]
"""Per transformer of a block, per layer of the transformer: what it reads of the prompt."""


class Prompts(NamedTuple):
    """Both encodings of the prompt; None in a network whose transformers read none.

    Attributes:
        generated: the language model's vectors; read by the first two transformers after a resnet block.
        text: the second text encoder's states; read by the third and fourth.
    """

    generated: Prompt | None
    text: Prompt | None

    def at(self, place: int) -> Prompt | None:
        """What a transformer reads, by its number among those that follow a resnet block."""
        return self.generated if place < 2 else self.text


class AttentionLayers(nnx.Module):
    """The transformers of a block: after each of its resnet blocks, one per entry of ``cross_attention_dim``.

    They stand in one flat list, as in the checkpoint.
    """

    def __init__(self, config: UNetConfig, level: int, num_layers: int, *, rngs: nnx.Rngs) -> None:
        dims = config.cross_attention_dim_per_level[level]
        self.per_layer = len(dims)
        self.shares: FrameShares | None = None  # of frames that several devices share
        self.transformers = nnx.List(
            Transformer(
                config.block_out_channels[level],
                config.num_heads_per_level[level],
                num_layers=config.transformer_layers_per_level[level],
                cross_attention_dim=dim,
                num_groups=config.norm_num_groups,
                use_linear_projection=config.use_linear_projection,
                rngs=rngs,
            )
            for _ in range(num_layers)
            for dim in dims
        )

    def project_prompts(self, prompts: Prompts) -> BlockKeys:
        """Keys and values of every cross-attention of the block."""
        return tuple(
            transformer.project_prompt(prompts.at(index % self.per_layer))
            for index, transformer in enumerate(self.transformers)
        )

    def __call__(self, layer: int, x: Array, keys: BlockKeys, attention: AttentionOfLevel) -> Array:
        """Run the transformers that follow one resnet block.

        Devices that share frames exchange them for frequencies before the first and after the last of them, where
        attention asks for no more; otherwise each attention exchanges for itself.
        """
        first = layer * self.per_layer
        # One attention for each block, whose number its keys have.
        attentions = [
            tuple(attention(place, block) for block in range(len(keys[first + place])))
            for place in range(self.per_layer)
        ]
        own, shares = x.shape[1], self.shares
        by_frequency = (
            shares is not None
            and x.shape[2] % shares.devices == 0
            and all(each.focus is not None for blocks in attentions for each in blocks)
        )
        if shares is not None and by_frequency:
            x = shares.to_frequencies(x)
        x = self.run_layer(layer, x, keys[first : first + self.per_layer], attentions, by_frequency=by_frequency)
        return shares.to_frames(x, own) if shares is not None and by_frequency else x

    def run_layer(
        self, layer: int, x: Array, keys: BlockKeys, attentions: list[tuple[TokenAttention, ...]], *, by_frequency: bool
    ) -> Array:
        """Run them one after another.

        Args:
            layer: number of the resnet block.
            x: as of a call.
            keys: of these transformers.
            attentions: for each of them, of each of its blocks.
            by_frequency: see `Transformer`.
        """
        first = layer * self.per_layer
        for place, (own_keys, blocks) in enumerate(zip(keys, attentions, strict=True)):
            x = self.transformers[first + place](x, own_keys, blocks, by_frequency=by_frequency)
        return x


def _resnet(
    config: UNetConfig, in_channels: int, out_channels: int, *, output_scale_factor: float = 1.0, rngs: nnx.Rngs
) -> ResnetBlock:
    return ResnetBlock(
        in_channels,
        out_channels,
        time_embed_dim=config.time_embed_dim * (1 if config.class_labels_dim is None else 2),
        num_groups=config.norm_num_groups,
        epsilon=config.norm_eps,
        output_scale_factor=output_scale_factor,
        rngs=rngs,
    )


class DownBlock(nnx.Module):
    """One level on the way down: ``DownBlock2D`` or ``CrossAttnDownBlock2D``."""

    def __init__(self, config: UNetConfig, level: int, *, rngs: nnx.Rngs) -> None:
        channels, num_layers = config.block_out_channels, config.layers_per_level[level]
        widths = [channels[max(level - 1, 0)]] + [channels[level]] * num_layers
        self.resnets = nnx.List(
            _resnet(config, widths[layer], widths[layer + 1], rngs=rngs) for layer in range(num_layers)
        )
        has_attention = config.down_block_types[level] == "CrossAttnDownBlock2D"
        self.attentions = AttentionLayers(config, level, num_layers, rngs=rngs) if has_attention else None
        is_last = level == len(channels) - 1
        self.downsample = None if is_last else Downsample(channels[level], padding=config.downsample_padding, rngs=rngs)

    def project_prompts(self, prompts: Prompts) -> BlockKeys:
        """Keys and values of every cross-attention of the block."""
        return () if self.attentions is None else self.attentions.project_prompts(prompts)

    def __call__(
        self,
        x: Float[Array, "batch time frequency in_channels"],
        time_embedding: Float[Array, "#batch features"],
        keys: BlockKeys,
        attention: AttentionOfLevel,
    ) -> tuple[Float[Array, "batch half_time half_frequency channels"], list[Array]]:
        """Returns the input of the next level, and what is kept for the way up."""
        skips = []
        for layer, resnet in enumerate(self.resnets):
            x = resnet(x, time_embedding)
            if self.attentions is not None:
                x = self.attentions(layer, x, keys, attention)
            skips.append(x)
        if self.downsample is not None:
            x = self.downsample(x)
            skips.append(x)
        return x, skips


class MiddleBlock(nnx.Module):
    """The bottom of the UNet, at the resolution of the last level: ``UNetMidBlock2DCrossAttn``."""

    def __init__(self, config: UNetConfig, *, rngs: nnx.Rngs) -> None:
        level = len(config.block_out_channels) - 1
        channels = config.block_out_channels[level]
        self.resnets = nnx.List(
            _resnet(config, channels, channels, output_scale_factor=config.mid_block_scale_factor, rngs=rngs)
            for _ in range(2)
        )
        self.attentions = AttentionLayers(config, level, num_layers=1, rngs=rngs)

    def project_prompts(self, prompts: Prompts) -> BlockKeys:
        """Keys and values of every cross-attention of the block."""
        return self.attentions.project_prompts(prompts)

    def __call__(
        self,
        x: Float[Array, "batch time frequency channels"],
        time_embedding: Float[Array, "#batch features"],
        keys: BlockKeys,
        attention: AttentionOfLevel,
    ) -> Float[Array, "batch time frequency channels"]:
        """A resnet block, the transformers, a resnet block."""
        x = self.resnets[0](x, time_embedding)
        x = self.attentions(0, x, keys, attention)
        return self.resnets[1](x, time_embedding)


class UpBlock(nnx.Module):
    """One level on the way up: ``UpBlock2D`` or ``CrossAttnUpBlock2D``. Its level counts from the full resolution."""

    def __init__(self, config: UNetConfig, level: int, *, rngs: nnx.Rngs) -> None:
        channels, last = config.block_out_channels, len(config.block_out_channels) - 1
        # One more layer than on the way down: it takes the skip that precedes the level (conv_in or a downsample).
        num_layers = config.layers_per_level[level] + 1
        widths = [channels[min(level + 1, last)]] + [channels[level]] * num_layers
        skip_widths = [channels[level]] * (num_layers - 1) + [channels[max(level - 1, 0)]]
        self.resnets = nnx.List(
            _resnet(config, widths[layer] + skip_widths[layer], widths[layer + 1], rngs=rngs)
            for layer in range(num_layers)
        )
        has_attention = config.up_block_types[last - level] == "CrossAttnUpBlock2D"
        self.attentions = AttentionLayers(config, level, num_layers, rngs=rngs) if has_attention else None
        self.upsample = None if level == 0 else Upsample(channels[level], rngs=rngs)

    def project_prompts(self, prompts: Prompts) -> BlockKeys:
        """Keys and values of every cross-attention of the block."""
        return () if self.attentions is None else self.attentions.project_prompts(prompts)

    def __call__(
        self,
        x: Float[Array, "batch time frequency in_channels"],
        time_embedding: Float[Array, "#batch features"],
        skips: list[Array],
        size: tuple[int, int] | None,
        keys: BlockKeys,
        attention: AttentionOfLevel,
    ) -> Float[Array, "batch new_time new_frequency channels"]:
        """Join one of ``skips`` to the input of each resnet block, and resize to ``size`` but at level 0."""
        for layer, (resnet, skip) in enumerate(zip(self.resnets, skips, strict=True)):
            x = resnet(jnp.concatenate([x, skip], axis=-1), time_embedding)
            if self.attentions is not None:
                x = self.attentions(layer, x, keys, attention)
        return x if self.upsample is None else self.upsample(x, size)
