"""Variational autoencoder between mel spectrograms and latents (diffusers' ``AutoencoderKL``, arXiv 2112.10752).

Letters in shape comments: B batch, T time, F frequency, C channels, L latent channels.
"""

import dataclasses
from collections.abc import Callable
from typing import Annotated, Any, ClassVar, NamedTuple, Self, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Key

from litefocus_jax.models import parameters
from litefocus_jax.models.keys import KeyTable, Network, Renamed, Rule
from litefocus_jax.models.layers import Downsample, GroupNorm, Normalise, ResnetBlock, Upsample, conv_3x3
from litefocus_jax.models.vae_original import original_rules
from litefocus_jax.ops.attention import dot_product_attention
from litefocus_jax.system.json_config import ConfigError, Count, JsonConfig, Layers
from litefocus_jax.system.typed_json import Range

_LEVELS = Range(1, 12)  # each halves time and frequency


@dataclasses.dataclass(frozen=True)
class VAEConfig(JsonConfig):
    """Fields of diffusers' ``AutoencoderKL`` JSON."""

    CLASS_NAME = "AutoencoderKL"
    REQUIRED: ClassVar = {
        "act_fn": ("silu", "swish"),
        "shift_factor": (None,),
        "latents_mean": (None,),
        "latents_std": (None,),
    }
    # sample_size only sizes diffusers' own tiling; force_upcast asks for float32, which the caller chooses by dtype.
    IGNORED = frozenset({"sample_size", "force_upcast"})

    in_channels: Count = 3
    out_channels: Count = 3
    down_block_types: Annotated[tuple[str, ...], _LEVELS] = ("DownEncoderBlock2D",)
    up_block_types: Annotated[tuple[str, ...], _LEVELS] = ("UpDecoderBlock2D",)
    block_out_channels: Annotated[tuple[Count, ...], _LEVELS] = (64,)
    layers_per_block: Layers = 1
    latent_channels: Count = 4
    norm_num_groups: Count = 32
    scaling_factor: Annotated[float, Range(1e-4, 1e4)] = 0.18215
    use_quant_conv: bool = True
    use_post_quant_conv: bool = True
    mid_block_add_attention: bool = True

    def __post_init__(self) -> None:
        levels = len(self.block_out_channels)
        for name, types, known in (
            ("down_block_types", self.down_block_types, "DownEncoderBlock2D"),
            ("up_block_types", self.up_block_types, "UpDecoderBlock2D"),
        ):
            if types != (known,) * levels:
                raise ConfigError(f"{name} = {types!r} is not supported; expected {levels} times {known!r}")
        for channels in self.block_out_channels:
            if channels % self.norm_num_groups:
                raise ConfigError(f"block_out_channels has {channels}, not a multiple of {self.norm_num_groups} groups")

    @property
    def scale_factor(self) -> int:
        """Mel frames per latent frame, and mel bins per latent frequency."""
        return 2 ** (len(self.block_out_channels) - 1)

    @classmethod
    def tiny(cls) -> Self:
        """Three levels (4x down-sampling), as published, a few channels wide."""
        return cls(
            in_channels=1,
            out_channels=1,
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            block_out_channels=(8, 8, 16),
            layers_per_block=1,
            latent_channels=4,
            norm_num_groups=4,
            scaling_factor=0.5,
        )


_EPSILON = 1e-6  # added to the variance by every normalisation; the configuration has no field for it
_LOGVAR_RANGE = (-30.0, 20.0)

Scalable = TypeVar("Scalable", Array, np.ndarray)


RunLayer = Callable[[Any, Array], Array]
"""How a `ResnetBlock`, a `SpatialAttention` or a `GroupNorm` of the decoder is run on its input."""

Attend = Callable[[Array, Array, Array], Array]
"""Takes queries, keys and values, each ``[batch, tokens, 1, channels]``; returns one vector for each query."""


def call_layer(layer: Any, x: Array) -> Array:
    """Run a layer by calling it."""
    return layer(x)


class LatentDistribution(NamedTuple):
    """Independent normal distributions, one for each number of the latents."""

    mean: Float[Array, "batch time frequency latent_channels"]
    logvar: Float[Array, "batch time frequency latent_channels"]

    def sample(self, key: Key[Array, ""]) -> Float[Array, "batch time frequency latent_channels"]:
        """Draw latents; the same key draws the same ones."""
        noise = jax.random.normal(key, self.mean.shape, self.mean.dtype)
        return self.mean + jnp.exp(0.5 * self.logvar) * noise


class SpatialAttention(nnx.Module):
    """One attention head as wide as the channels, over all positions of time and frequency, with a skip around it.

    Not ``nnx.MultiHeadAttention``, which holds all scores at once; and what attends can be given, for tiles of a sound.
    """

    def __init__(self, channels: int, *, num_groups: int, rngs: nnx.Rngs) -> None:
        self.group_norm = GroupNorm(num_groups, channels, epsilon=_EPSILON, rngs=rngs)
        self.to_q = parameters.linear(channels, channels, rngs=rngs)
        self.to_k = parameters.linear(channels, channels, rngs=rngs)
        self.to_v = parameters.linear(channels, channels, rngs=rngs)
        self.to_out = nnx.List([parameters.linear(channels, channels, rngs=rngs)])

    def __call__(
        self,
        x: Float[Array, "batch time frequency channels"],
        *,
        normalise: Normalise = GroupNorm.__call__,
        attend: Attend = dot_product_attention,
    ) -> Float[Array, "batch time frequency channels"]:
        """Let every position attend to every other, or to what ``attend`` lets it see."""
        batch, time, frequency, channels = x.shape
        tokens = normalise(self.group_norm, x).reshape(batch, time * frequency, 1, channels)  # [B, T*F, one head, C]
        mixed = attend(self.to_q(tokens), self.to_k(tokens), self.to_v(tokens))
        return x + self.to_out[0](mixed).reshape(x.shape)


class MidBlock(nnx.Module):
    """Two resnet blocks at the lowest resolution, with attention between them unless the configuration drops it."""

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs) -> None:
        channels = config.block_out_channels[-1]
        self.resnets = nnx.List(_resnet(channels, channels, config, rngs) for _ in range(2))
        self.attentions = nnx.List(
            SpatialAttention(channels, num_groups=config.norm_num_groups, rngs=rngs)
            for _ in range(config.mid_block_add_attention)
        )

    def __call__(
        self, x: Float[Array, "batch time frequency channels"], run: RunLayer = call_layer
    ) -> Float[Array, "batch time frequency channels"]:
        """Transform without changing the shape."""
        x = run(self.resnets[0], x)
        for attention in self.attentions:
            x = run(attention, x)
        return run(self.resnets[1], x)


class DownBlock(nnx.Module):
    """Resnet blocks of the encoder, then half the resolution except at the last level."""

    def __init__(
        self, in_channels: int, out_channels: int, *, is_last: bool, config: VAEConfig, rngs: nnx.Rngs
    ) -> None:
        self.resnets = nnx.List(
            _resnet(out_channels if layer else in_channels, out_channels, config, rngs)
            for layer in range(config.layers_per_block)
        )
        self.downsamplers = nnx.List(Downsample(out_channels, padding=0, rngs=rngs) for _ in range(not is_last))

    def __call__(
        self, x: Float[Array, "batch time frequency in_channels"]
    ) -> Float[Array, "batch new_time new_frequency out_channels"]:
        """Transform, and halve time and frequency, rounding down."""
        for resnet in self.resnets:
            x = resnet(x)
        for downsample in self.downsamplers:
            x = downsample(x)
        return x


class UpBlock(nnx.Module):
    """Resnet blocks of the decoder, one more than the encoder's, then twice the resolution except at the last level."""

    def __init__(
        self, in_channels: int, out_channels: int, *, is_last: bool, config: VAEConfig, rngs: nnx.Rngs
    ) -> None:
        self.resnets = nnx.List(
            _resnet(out_channels if layer else in_channels, out_channels, config, rngs)
            for layer in range(config.layers_per_block + 1)
        )
        self.upsamplers = nnx.List(Upsample(out_channels, rngs=rngs) for _ in range(not is_last))

    def __call__(
        self, x: Float[Array, "batch time frequency in_channels"], run: RunLayer = call_layer
    ) -> Float[Array, "batch new_time new_frequency out_channels"]:
        """Transform, and double time and frequency."""
        for resnet in self.resnets:
            x = run(resnet, x)
        for upsample in self.upsamplers:
            x = upsample(x)
        return x


class Encoder(nnx.Module):
    """Mel spectrogram to the mean and log-variance of its latents, side by side on the channels."""

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs) -> None:
        widths = config.block_out_channels
        self.conv_in = conv_3x3(config.in_channels, widths[0], rngs)
        self.down_blocks = nnx.List()
        for level, out_channels in enumerate(widths):
            is_last = level == len(widths) - 1
            in_channels = widths[max(level - 1, 0)]
            self.down_blocks.append(DownBlock(in_channels, out_channels, is_last=is_last, config=config, rngs=rngs))
        self.mid_block = MidBlock(config, rngs=rngs)
        self.conv_norm_out = GroupNorm(config.norm_num_groups, widths[-1], epsilon=_EPSILON, rngs=rngs)
        self.conv_out = conv_3x3(widths[-1], 2 * config.latent_channels, rngs)

    def __call__(
        self, mel: Float[Array, "batch frames mel_bins in_channels"]
    ) -> Float[Array, "batch time frequency twice_latent_channels"]:
        """Encode; time and frequency shrink by ``config.scale_factor``."""
        x = self.conv_in(mel)
        for block in self.down_blocks:
            x = block(x)
        x = self.mid_block(x)
        return self.conv_out(jax.nn.silu(self.conv_norm_out(x)))


class Decoder(nnx.Module):
    """Latents to mel spectrogram."""

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs) -> None:
        widths = config.block_out_channels[::-1]
        self.conv_in = conv_3x3(config.latent_channels, widths[0], rngs)
        self.mid_block = MidBlock(config, rngs=rngs)
        self.up_blocks = nnx.List()
        for level, out_channels in enumerate(widths):
            is_last = level == len(widths) - 1
            in_channels = widths[max(level - 1, 0)]
            self.up_blocks.append(UpBlock(in_channels, out_channels, is_last=is_last, config=config, rngs=rngs))
        self.conv_norm_out = GroupNorm(config.norm_num_groups, widths[-1], epsilon=_EPSILON, rngs=rngs)
        self.conv_out = conv_3x3(widths[-1], config.out_channels, rngs)

    def __call__(
        self, latents: Float[Array, "batch time frequency latent_channels"], run: RunLayer = call_layer
    ) -> Float[Array, "batch frames mel_bins out_channels"]:
        """Decode; time and frequency grow by ``config.scale_factor``."""
        x = self.mid_block(self.conv_in(latents), run)
        for block in self.up_blocks:
            x = block(x, run)
        return self.conv_out(jax.nn.silu(run(self.conv_norm_out, x)))


class VAE(nnx.Module):
    """Compresses log-mel spectrograms into latents and back.

    Latents are the network's own. The diffusion model sees them multiplied by ``config.scaling_factor``: `scaled` and
    `unscaled` are the way there and back.
    """

    def __init__(self, config: VAEConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        self.encoder = Encoder(config, rngs=rngs)
        self.decoder = Decoder(config, rngs=rngs)
        channels = config.latent_channels
        self.quant_conv = (
            parameters.conv(2 * channels, 2 * channels, (1, 1), rngs=rngs) if config.use_quant_conv else None
        )
        self.post_quant_conv = (
            parameters.conv(channels, channels, (1, 1), rngs=rngs) if config.use_post_quant_conv else None
        )

    def scaled(self, latents: Scalable) -> Scalable:
        """The network's own latents as the diffusion model sees them."""
        return latents * self.config.scaling_factor

    def unscaled(self, latents: Scalable) -> Scalable:
        """Latents of the diffusion model as the network's own, float32.

        To be called outside of compiled programs: there XLA makes a multiplication by the reciprocal out of a division
        by a constant, and the result differs in its last bits.
        """
        return latents / np.float32(self.config.scaling_factor)

    def encode(self, mel: Float[Array, "batch frames mel_bins in_channels"]) -> LatentDistribution:
        """The distribution of a spectrogram's latents.

        Returns:
            ``(mean, logvar)``, each ``[batch, frames / 4, mel_bins / 4, latent_channels]`` in the published
            configuration (``config.scale_factor`` in general, each halving rounds down).

        Raises:
            ValueError: when ``mel`` does not have four axes ending in ``config.in_channels``, or is smaller than one
                latent position.
        """
        _check_shape("mel", mel, self.config.in_channels, smallest=self.config.scale_factor)
        moments = self.encoder(mel)
        if self.quant_conv is not None:
            moments = self.quant_conv(moments)
        mean, logvar = jnp.split(moments, 2, axis=-1)  # [B, T, F, L] each
        return LatentDistribution(mean, jnp.clip(logvar, *_LOGVAR_RANGE))

    def decode(
        self, latents: Float[Array, "batch time frequency latent_channels"], run: RunLayer = call_layer
    ) -> Float[Array, "batch frames mel_bins out_channels"]:
        """The spectrogram of some latents: ``[batch, 4 * time, 4 * frequency, 1]`` in the published configuration.

        Args:
            latents: the network's own, see the class.
            run: how the decoder's resnet blocks, attention and last normalisation are run. These alone look at the
                whole sound; all else is convolution.

        Raises:
            ValueError: when ``latents`` does not have four axes ending in ``config.latent_channels``.
        """
        _check_shape("latents", latents, self.config.latent_channels, smallest=1)
        if self.post_quant_conv is not None:
            latents = self.post_quant_conv(latents)
        return self.decoder(latents, run)


def _resnet(in_channels: int, out_channels: int, config: VAEConfig, rngs: nnx.Rngs) -> ResnetBlock:
    return ResnetBlock(
        in_channels, out_channels, time_embed_dim=None, num_groups=config.norm_num_groups, epsilon=_EPSILON, rngs=rngs
    )


def _check_shape(name: str, array: Array, channels: int, *, smallest: int) -> None:
    if array.ndim != 4 or array.shape[-1] != channels:
        raise ValueError(f"{name} has shape {array.shape}; expected [batch, time, frequency, {channels}]")
    if min(array.shape[1:3]) < smallest:
        raise ValueError(f"{name} has shape {array.shape}; expected at least {smallest} along time and frequency")


_ATTENTION = "{side:encoder|decoder}.mid_block.attentions.0"

_RULES = (
    Rule("{block}.conv{part:1|2|_in|_out|_shortcut}.weight", "{block}.conv{part}.kernel", "conv2d"),
    Rule("{block}.norm{part:1|2}.weight", "{block}.norm{part}.scale"),
    Rule("{side:encoder|decoder}.conv_norm_out.weight", "{side}.conv_norm_out.scale"),
    Rule("{block}samplers.0.conv.weight", "{block}samplers.0.conv.kernel", "conv2d", optional=True),
    Rule(f"{_ATTENTION}.group_norm.weight", f"{_ATTENTION}.group_norm.scale", optional=True),
    Rule(f"{_ATTENTION}.to_{{part:q|k|v|out.0}}.weight", f"{_ATTENTION}.to_{{part}}.kernel", "linear", optional=True),
    Rule("{side:quant|post_quant}_conv.weight", "{side}_conv.kernel", "conv2d", optional=True),
    Rule("{layer}.bias", "{layer}.bias"),
)

# Files written before diffusers 0.15 spell the attention so.
_FORMER_ATTENTION = Renamed(
    r"(.*attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)",
    part=2,
    names=(("query", "to_q"), ("key", "to_k"), ("value", "to_v"), ("proj_attn", "to_out.0")),
)

NETWORK = Network(
    config_class=VAEConfig,
    model_class=VAE,
    keys=KeyTable(_RULES, spellings=(_FORMER_ATTENTION,)),
    library="diffusers",
    class_names=("AutoencoderKL",),
    weights="diffusion_pytorch_model",
    always_float32=True,  # like the vocoder: it takes little of the time, and eight bits of mantissa are audible
    original=lambda config: original_rules(len(config.block_out_channels)),
)
