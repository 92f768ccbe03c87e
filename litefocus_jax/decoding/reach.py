"""How far the decoders look: the frames around a stretch of sound that decide what it sounds like."""

from typing import NamedTuple

from litefocus_jax.config import VAEConfig, VocoderConfig
from litefocus_jax.models.vocoder import EDGE_KERNEL_SIZE

KEY_REACH = 3
"""Latent frames around one that its keys and values in the middle attention depend on: a convolution and a resnet."""


class Reach(NamedTuple):
    """Frames before and after one input frame that enter into the output of this frame."""

    before: int
    after: int


def vocoder_reach(config: VocoderConfig) -> Reach:
    """Mel frames around one that its ``hop_length`` samples depend on: the receptive field, exactly.

    The samples are followed back through the layers as the first and the last position they depend on.
    """
    edge = EDGE_KERNEL_SIZE // 2
    residual = max(
        sum((kernel_size - 1) // 2 * (dilation + 1) for dilation in dilations)
        for kernel_size, dilations in zip(config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True)
    )
    first, last = -edge, config.hop_length - 1 + edge
    for rate, kernel_size in list(zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True))[::-1]:
        first, last = first - residual, last + residual
        padding = (kernel_size - rate) // 2
        # Input i of a transposed convolution enters into the outputs i * rate - padding + (0 to kernel_size - 1).
        first, last = -((kernel_size - 1 - padding - first) // rate), (last + padding) // rate
    return Reach(edge - first, edge + last)


def vae_reach(config: VAEConfig) -> Reach:
    """Latent frames around one that its mel frames depend on through the VAE decoder's convolutions.

    Normalisations and attention look further: these the tiles are told of otherwise.
    """
    resnets = 2 * (config.layers_per_block + 1)  # each of a block's resnets has two convolutions, which see one further
    first, last = -1, config.scale_factor  # of the last convolution
    for _ in config.block_out_channels[1:]:
        first, last = first - resnets, last + resnets
        # After nearest-neighbour doubling, position i shows input i // 2.
        first, last = (first - 1) // 2, (last + 1) // 2
    around_middle = resnets + 2  # the first block of the way up, and the resnet after the attention
    return Reach(around_middle + KEY_REACH - first, around_middle + KEY_REACH + last)
