"""What devices that share the frames of a sound send each other for one evaluation of the UNet, worked out.

It follows from `litefocus_jax.parallel.time_axis`: attention exchanges time for heads, four times; a convolution needs
its neighbours' frames at either edge; a normalisation adds up two sums. What XLA makes of it is read by
`litefocus_jax.parallel.exchange`, and tests compare the two.
"""

from collections.abc import Iterator
from typing import NamedTuple

from litefocus_jax.models.unet.config import UNetConfig
from litefocus_jax.models.unet.self_attention import frames_at_level
from litefocus_jax.parallel.exchange import Collective, Exchange

_FLOAT32 = 4  # bytes of a sum, whatever the weights are


def exchange_along_time(
    config: UNetConfig, frames: int, frequencies: int, *, devices: int, batch: int, bytes_per_number: int
) -> Exchange:
    """The exchange of one device, in one evaluation. LiteFocus exchanges what dense attention does.

    Args:
        config: of the network.
        frames: of the latents.
        frequencies: of the latents.
        devices: that share the frames.
        batch: entries of the batch, of which a sound under guidance has two.
        bytes_per_number: 4 for float32, 2 for the others.

    Returns:
        Bytes that come to a device which has a neighbour on either side. Where frames do not divide evenly, XLA may
        exchange more.
    """
    network = _Network(config, frames, frequencies, devices, batch, bytes_per_number)
    return Exchange.of(network.collectives() if devices > 1 else ())


class _Network(NamedTuple):
    config: UNetConfig
    frames: int
    frequencies: int
    devices: int
    batch: int
    bytes_per_number: int

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
                yield self.edges(level, width, frames=4)  # an even and an odd phase, each to either side
        yield from self.norms(channels[0], 1)
        yield self.edges(0, channels[0])

    def layers(self, level: int) -> int:
        return self.config.layers_per_level[level]

    def grid(self, level: int) -> tuple[int, int]:
        """Frames and frequencies at a level."""
        frames, frequencies = (frames_at_level(self.config, size, level) for size in (self.frames, self.frequencies))
        return frames, frequencies

    def resnets(self, level: int, in_channels: list[int], channels: int) -> Iterator[Collective]:
        for width in in_channels:
            for each in (width, channels):
                yield from self.norms(each, 1)
                yield self.edges(level, each)

    def transformers(self, level: int, layers: int) -> Iterator[Collective]:
        """All that stand after some resnets of a level."""
        config, (frames, frequencies) = self.config, self.grid(level)
        channels, heads = config.block_out_channels[level], config.num_heads_per_level[level]
        dims = config.cross_attention_dim_per_level[level]
        yield from self.norms(channels, layers * len(dims))
        attentions = layers * config.transformer_layers_per_level[level] * sum(2 if dim is None else 1 for dim in dims)
        pairs = -(-self.batch * heads // self.devices) * self.devices
        tokens = -(-frames // self.devices) * frequencies
        size = pairs * tokens * (channels // heads) * self.bytes_per_number
        yield Collective("all-to-all", 4 * attentions, size * (self.devices - 1) // self.devices)

    def norms(self, channels: int, count: int) -> Iterator[Collective]:
        size = self.batch * channels * _FLOAT32
        yield Collective("all-reduce", 2 * count, 2 * size * (self.devices - 1) // self.devices)

    def edges(self, level: int, channels: int, *, frames: int = 2) -> Collective:
        """What a convolution of three frames needs of its neighbours."""
        size = self.batch * self.grid(level)[1] * channels * self.bytes_per_number
        return Collective("collective-permute", frames, size)
