"""What devices that share the frames of a sound send each other for one evaluation of the UNet, worked out.

It follows from `litefocus_jax.parallel.time_axis`: a convolution needs its neighbours' frames at either edge, and a
normalisation the moments of all. Attention exchanges frames for heads, four times; LiteFocus, where devices divide the
frequencies, exchanges frames for frequencies twice for all attentions that follow a resnet, and the tokens drawn for
each. What XLA makes of it is read by `litefocus_jax.parallel.exchange`, and tests compare the two.
"""

from collections.abc import Iterator
from typing import NamedTuple

from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.self_attention import focuses_at, frames_at_level, shares_of_frames
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.parallel.exchange import Collective, Exchange
from litefocus_jax.parallel.time_axis import FrameShares, room_for_drawn

_FLOAT32 = 4  # bytes of a moment, whatever the weights are


def exchange_along_time(
    config: UNetConfig,
    frames: int,
    frequencies: int,
    *,
    devices: int,
    batch: int,
    bytes_per_number: int,
    attention: AttentionLayout = DENSE,
) -> Exchange:
    """The exchange of one device, in one evaluation.

    Args:
        config: of the network.
        frames: of the latents.
        frequencies: of the latents.
        devices: that share the frames.
        batch: entries of the batch, of which a sound under guidance has two.
        bytes_per_number: 4 for float32, 2 for the others.
        attention: of the network.

    Returns:
        Bytes that come to a device which has a neighbour on either side. Where more tokens are drawn from the share of
        one device than it has room to send, which is seldom, LiteFocus exchanges somewhat more.
    """
    if devices == 1:
        return Exchange.of(())
    shares = shares_of_frames(config, frames, devices)
    return Exchange.of(_Network(config, shares, frequencies, batch, bytes_per_number, attention).collectives())


class _Network(NamedTuple):
    config: UNetConfig
    shares: FrameShares
    frequencies: int
    batch: int
    bytes_per_number: int
    attention: AttentionLayout

    @property
    def devices(self) -> int:
        return self.shares.devices

    def collectives(self) -> Iterator[Collective]:
        """Of the whole network, in its order."""
        channels = self.config.block_out_channels
        last = len(channels) - 1
        yield self.edges(0, self.config.in_channels)
        for level, width in enumerate(channels):
            yield from self.resnets(level, [channels[max(level - 1, 0)], *[width] * self.layers(level)][:-1], width)
            if self.config.down_block_types[level].startswith("CrossAttn"):
                yield from self.transformers(level, self.layers(level))
            if level < last:
                yield self.edges(level, width, frames=1)  # strides of two look to one side
        yield from self.resnets(last, [channels[last]] * 2, channels[last])
        yield from self.transformers(last, 1)
        for level in range(last, -1, -1):
            width, layers = channels[level], self.layers(level) + 1
            own = [channels[min(level + 1, last)], *[width] * (layers - 1)]
            skips = [*[width] * (layers - 1), channels[max(level - 1, 0)]]
            yield from self.resnets(level, [sum(each) for each in zip(own, skips, strict=True)], width)
            if self.config.up_block_types[last - level].startswith("CrossAttn"):
                yield from self.transformers(level, layers)
            if level > 0:
                above = level - 1 if self.shares.frames[level - 1] % 2 else level  # see `Upsample`
                yield self.edges(above, width)
        yield self.norms(1)
        yield self.edges(0, channels[0])

    def layers(self, level: int) -> int:
        return self.config.layers_per_level[level]

    def frequencies_at(self, level: int) -> int:
        return frames_at_level(self.config, self.frequencies, level)

    def numbers_at(self, level: int, channels: int) -> int:
        """Bytes of an array of all that a device has at a level."""
        return self.batch * self.shares.own[level] * self.frequencies_at(level) * channels * self.bytes_per_number

    def resnets(self, level: int, in_channels: list[int], channels: int) -> Iterator[Collective]:
        for width in in_channels:
            for each in (width, channels):
                yield self.norms(1)
                yield self.edges(level, each)

    def transformers(self, level: int, layers: int) -> Iterator[Collective]:
        """All that stand after some resnets of a level."""
        config, channels = self.config, self.config.block_out_channels[level]
        dims = config.cross_attention_dim_per_level[level]
        yield self.norms(layers * len(dims))
        attentions = layers * config.transformer_layers_per_level[level] * sum(2 if dim is None else 1 for dim in dims)
        frequencies = self.frequencies_at(level)
        if focuses_at(config, self.attention, level) and frequencies % self.devices == 0:
            yield self.all_to_all(2 * layers, self.numbers_at(level, channels))
            yield from self.drawn(level, attentions, self.shares.frames[level] * frequencies)
            return
        heads = config.num_heads_per_level[level]
        pairs = -(-self.batch * heads // self.devices) * self.devices
        tokens = self.shares.own[level] * frequencies
        yield self.all_to_all(4 * attentions, pairs * tokens * (channels // heads) * self.bytes_per_number)

    def all_to_all(self, times: int, size: int) -> Collective:
        return Collective("all-to-all", times, size * (self.devices - 1) // self.devices)

    def drawn(self, level: int, attentions: int, tokens: int) -> Iterator[Collective]:
        sets = self.attention.sets
        if sets is not None and sets.samples_tokens:
            drawn = sets.num_cross_tokens(tokens)
            room = room_for_drawn(drawn, tokens, self.devices)
            token = self.batch * self.config.block_out_channels[level] * self.bytes_per_number
            if room is None:
                yield Collective("all-reduce", attentions, 2 * drawn * token * (self.devices - 1) // self.devices)
            else:
                yield Collective("all-gather", attentions, room * token * (self.devices - 1))

    def norms(self, count: int) -> Collective:
        size = 2 * self.batch * self.config.norm_num_groups * _FLOAT32  # a mean and a sum of squares
        return Collective("all-gather", count, size * (self.devices - 1))

    def edges(self, level: int, channels: int, *, frames: int = 2) -> Collective:
        """What a convolution of three frames needs of its neighbours."""
        size = self.batch * self.frequencies_at(level) * channels * self.bytes_per_number
        return Collective("collective-permute", frames, size)
