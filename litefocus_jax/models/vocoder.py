"""HiFi-GAN vocoder: mel spectrogram to sound (transformers' ``SpeechT5HifiGan``, arXiv 2010.05646).

Letters in shape comments: B batch, T time at the current rate, C channels, W kernel width, R up-sampling rate,
O output channels.
"""

import dataclasses
import math
from typing import Annotated, Self

import jax
import jax.numpy as jnp
from flax import nnx
from jax import lax
from jaxtyping import Array, Float

from litefocus_jax.models import parameters
from litefocus_jax.models.keys import KeyTable, Network, Rule, WeightNorm
from litefocus_jax.models.mel_correction import MelCorrection, MelScale
from litefocus_jax.ops.circular_time import wrap_time
from litefocus_jax.system.json_config import ConfigError, Count, JsonConfig
from litefocus_jax.system.typed_json import Range


@dataclasses.dataclass(frozen=True)
class VocoderConfig(JsonConfig):
    """Fields of transformers' ``SpeechT5HifiGan`` JSON, and of the spectrograms that it reads.

    transformers does not know the latter, which have HiFi-GAN's names, and leaves them alone.

    Attributes:
        n_fft: samples of each Fourier transform.
        fmin: where the first mel filter begins, in hertz.
        fmax: where the last one ends; half the sampling rate, where that is less.
        mel_corrections: how often what goes beyond the log-mel that a sound was made from is filtered out of it, as
            by `litefocus_jax.models.mel_correction`; not at all in published models.
    """

    STRICT = False

    model_in_dim: Annotated[int, Range(1, 65_536)] = 80
    sampling_rate: Annotated[int, Range(1_000, 1_000_000)] = 16000
    upsample_initial_channel: Count = 512
    upsample_rates: Annotated[tuple[Annotated[int, Range(1, 256)], ...], Range(1, 12)] = (4, 4, 4, 4)
    upsample_kernel_sizes: tuple[Count, ...] = (8, 8, 8, 8)
    resblock_kernel_sizes: Annotated[tuple[Count, ...], Range(1, 64)] = (3, 7, 11)
    resblock_dilation_sizes: tuple[tuple[Annotated[int, Range(1, 1_000)], ...], ...] = ((1, 3, 5), (1, 3, 5), (1, 3, 5))
    leaky_relu_slope: Annotated[float, Range(0.0, 1.0)] = 0.1
    normalize_before: bool = True
    n_fft: Annotated[int, Range(16, 65_536)] = 1024
    fmin: Annotated[float, Range(0.0, 500_000.0)] = 0.0
    fmax: Annotated[float, Range(1.0, 500_000.0)] = 8000.0
    mel_corrections: Annotated[int, Range(0, 16)] = 0

    def __post_init__(self) -> None:
        if len(self.upsample_rates) != len(self.upsample_kernel_sizes):
            raise ConfigError(
                f"upsample_rates = {self.upsample_rates} and upsample_kernel_sizes = {self.upsample_kernel_sizes} "
                "have different lengths; expected one kernel size per rate"
            )
        for rate, kernel in zip(self.upsample_rates, self.upsample_kernel_sizes, strict=True):
            if kernel < rate:
                raise ConfigError(f"upsample_kernel_sizes has {kernel}, less than its rate {rate}")
        if len(self.resblock_kernel_sizes) != len(self.resblock_dilation_sizes):
            raise ConfigError("resblock_kernel_sizes and resblock_dilation_sizes have different lengths")
        if any(kernel % 2 == 0 for kernel in self.resblock_kernel_sizes):
            raise ConfigError(f"resblock_kernel_sizes = {self.resblock_kernel_sizes}; expected odd sizes")
        if self.fmin >= min(self.fmax, self.sampling_rate / 2):
            raise ConfigError(
                f"fmin = {self.fmin:g}; expected less than fmax = {self.fmax:g} and than half of sampling_rate = "
                f"{self.sampling_rate}"
            )
        if self.mel_corrections and 4 * self.hop_length > self.n_fft:
            raise ConfigError(
                f"mel_corrections = {self.mel_corrections} with frames of n_fft = {self.n_fft} samples, "
                f"{self.hop_length} apart; expected 0 unless frames overlap by three quarters or more"
            )

    @property
    def hop_length(self) -> int:
        """Samples of sound per mel frame."""
        return math.prod(self.upsample_rates)

    @property
    def mel_scale(self) -> MelScale:
        """Of the spectrograms that it reads."""
        fmax = min(self.fmax, self.sampling_rate / 2)
        return MelScale(self.sampling_rate, self.hop_length, self.n_fft, self.model_in_dim, self.fmin, fmax)

    @property
    def mel_correction(self) -> MelCorrection | None:
        """What filters the sound; None where there are no `mel_corrections`."""
        return MelCorrection(self.mel_scale, self.mel_corrections) if self.mel_corrections else None

    @classmethod
    def tiny(cls) -> Self:
        """The published rates (hop 160 at 16 kHz, odd and even), a few channels wide."""
        return cls(
            model_in_dim=32,
            upsample_initial_channel=32,
            upsample_rates=(5, 4, 2, 2, 2),
            upsample_kernel_sizes=(16, 16, 8, 4, 4),
            resblock_kernel_sizes=(3, 7),
            resblock_dilation_sizes=((1, 3), (1, 5)),
            normalize_before=False,
        )


EDGE_KERNEL_SIZE = 7
"""Width of the first and of the last convolution."""

FINAL_LEAKY_RELU_SLOPE = 0.01
"""Before the last convolution. The reference falls back to PyTorch's default here, whatever the configuration says."""


def _correlate(
    x: Float[Array, "batch time in_channels"],
    kernel: Float[Array, "width in_channels out_channels"],
    padding: int,
    dilation: int = 1,
) -> Float[Array, "batch new_time out_channels"]:
    """One-dimensional convolution, computed as a two-dimensional one over an image of one row.

    Time lies along the image's last spatial axis. On XLA:CPU this runs at the speed of a matrix product, up to 1.6x
    faster than the one-dimensional form and 2 to 4x faster than an image of one column.
    """
    images = lax.conv_general_dilated(
        x[:, None],  # [B, 1, T, C]
        kernel[None],  # [1, W, C, O]
        window_strides=(1, 1),
        padding=((0, 0), (padding, padding)),
        rhs_dilation=(1, dilation),
        dimension_numbers=("NHWC", "HWIO", "NHWC"),
    )
    return images[:, 0]


class Conv1d(nnx.Module):
    """Convolution over time that keeps its length (for an odd ``kernel_size``).

    ``nnx.Conv`` would run XLA's one-dimensional convolution, which `_correlate` outruns.
    """

    def __init__(
        self, in_channels: int, out_channels: int, *, kernel_size: int, dilation: int = 1, rngs: nnx.Rngs
    ) -> None:
        self.dilation = dilation
        self.padding = (kernel_size - 1) * dilation // 2
        self.is_circular = False  # see `litefocus_jax.models.circular`
        self.kernel = parameters.kernel((kernel_size, in_channels, out_channels), rngs)
        self.bias = parameters.zeros((out_channels,), rngs)

    def __call__(self, x: Float[Array, "batch time in_channels"]) -> Float[Array, "batch time out_channels"]:
        """Convolve along time."""
        if self.is_circular:
            x = wrap_time(x, self.padding, self.padding)
            return _correlate(x, self.kernel[...], 0, self.dilation) + self.bias[...]
        return _correlate(x, self.kernel[...], self.padding, self.dilation) + self.bias[...]


class TransposedConv1d(nnx.Module):
    """Up-sampling by a transposed convolution over time.

    The kernel lies as in ``nnx.ConvTranspose``: reversed along its width with respect to PyTorch's. That layer would
    convolve an input spread out with zeros, most of its products being of nothing.
    """

    def __init__(self, in_channels: int, out_channels: int, *, kernel_size: int, rate: int, rngs: nnx.Rngs) -> None:
        self.rate = rate
        self.is_circular = False
        self.padding = (kernel_size - rate) // 2
        self.kernel = parameters.kernel((kernel_size, in_channels, out_channels), rngs)
        self.bias = parameters.zeros((out_channels,), rngs)

    def __call__(self, x: Float[Array, "batch time in_channels"]) -> Float[Array, "batch new_time out_channels"]:
        """Up-sample along time, to ``(time - 1) * rate - 2 * padding + kernel_size`` steps.

        On a circle of time, it is ``time * rate`` steps. Instead of convolving an input spread out with zeros, the
        kernel is cut into one short kernel for each of the ``rate`` positions (phases) between two inputs. Side by side
        on the output channels they make one ordinary convolution, whose channels, read as time, are the up-sampled
        signal.
        """
        kernel = self.kernel[...]
        kernel_size, in_channels, out_channels = kernel.shape
        taps = math.ceil(kernel_size / self.rate)
        kernel = jnp.pad(kernel, ((taps * self.rate - kernel_size, 0), (0, 0), (0, 0)))
        kernel = kernel.reshape(taps, self.rate, in_channels, out_channels)[:, ::-1]  # the last of each R is phase 0
        kernel = kernel.transpose(0, 2, 1, 3).reshape(taps, in_channels, self.rate * out_channels)

        # Padded beforehand: of a convolution that lengthens its input, XLA:CPU takes the gradient by the kernel with
        # the roles of input and kernel exchanged, several times slower.
        around = taps - 1
        padded = wrap_time(x, around, around) if self.is_circular else jnp.pad(x, ((0, 0), (around, around), (0, 0)))
        phases = _correlate(padded, kernel, padding=0)  # [B, T + W/R - 1, R*O]
        upsampled = phases.reshape(x.shape[0], -1, out_channels)  # [B, T*R + W - R, O]
        length = x.shape[1] * self.rate
        if not self.is_circular:
            length += kernel_size - self.rate - 2 * self.padding
        return upsampled[:, self.padding : self.padding + length] + self.bias[...]


class ResidualBlock(nnx.Module):
    """Pairs of a dilated and an ordinary convolution, each pair with a skip around it."""

    def __init__(
        self, channels: int, *, kernel_size: int, dilations: tuple[int, ...], slope: float, rngs: nnx.Rngs
    ) -> None:
        self.slope = slope
        self.convs1 = nnx.List(
            Conv1d(channels, channels, kernel_size=kernel_size, dilation=dilation, rngs=rngs) for dilation in dilations
        )
        self.convs2 = nnx.List(Conv1d(channels, channels, kernel_size=kernel_size, rngs=rngs) for _ in dilations)

    def __call__(self, x: Float[Array, "batch time channels"]) -> Float[Array, "batch time channels"]:
        """Add the change of each pair in turn."""
        for dilated, ordinary in zip(self.convs1, self.convs2, strict=True):
            hidden = dilated(jax.nn.leaky_relu(x, self.slope))
            x = x + ordinary(jax.nn.leaky_relu(hidden, self.slope))
        return x


class Vocoder(nnx.Module):
    """Turns a log-mel spectrogram into sound, ``config.hop_length`` samples per frame.

    After each up-sampling, residual blocks of several kernel sizes look at the same signal, and their mean is kept.
    """

    def __init__(self, config: VocoderConfig, *, rngs: nnx.Rngs) -> None:
        self.config = config
        channels = config.upsample_initial_channel
        self.conv_pre = Conv1d(config.model_in_dim, channels, kernel_size=EDGE_KERNEL_SIZE, rngs=rngs)
        self.upsampler = nnx.List()
        # Flat as in the checkpoint: the blocks of one rate follow those of the rate before.
        self.resblocks = nnx.List()
        for rate, kernel_size in zip(config.upsample_rates, config.upsample_kernel_sizes, strict=True):
            self.upsampler.append(
                TransposedConv1d(channels, channels // 2, kernel_size=kernel_size, rate=rate, rngs=rngs)
            )
            channels //= 2
            for block_kernel_size, dilations in zip(
                config.resblock_kernel_sizes, config.resblock_dilation_sizes, strict=True
            ):
                self.resblocks.append(
                    ResidualBlock(
                        channels,
                        kernel_size=block_kernel_size,
                        dilations=dilations,
                        slope=config.leaky_relu_slope,
                        rngs=rngs,
                    )
                )
        self.conv_post = Conv1d(channels, 1, kernel_size=EDGE_KERNEL_SIZE, rngs=rngs)
        # Statistics of the training set, not weights: an optimiser of nnx.Param leaves them alone.
        self.mean = nnx.Variable(jnp.zeros(config.model_in_dim))
        self.scale = nnx.Variable(jnp.ones(config.model_in_dim))
        self.correction = config.mel_correction

    def __call__(self, mel: Float[Array, "batch frames mel_bins"]) -> Float[Array, "batch samples"]:
        """Synthesise sound from log-mel frames: `uncorrected`, then filtered where the configuration says so."""
        sound = self.uncorrected(mel)
        return sound if self.correction is None else self.correction(sound, mel.astype(jnp.float32))

    def uncorrected(self, mel: Float[Array, "batch frames mel_bins"]) -> Float[Array, "batch samples"]:
        """Synthesise sound from log-mel frames, as the network alone does.

        Returns:
            Float32 samples between -1 and 1 at ``config.sampling_rate``: ``hop_length * frames`` of them where every
            kernel size and its rate are both odd or both even; each rate for which they are not adds one sample to
            the length it makes.

        Raises:
            ValueError: when ``mel`` does not have ``config.model_in_dim`` bins.
        """
        if mel.ndim != 3 or mel.shape[-1] != self.config.model_in_dim:
            raise ValueError(f"mel has shape {mel.shape}; expected [batch, frames, {self.config.model_in_dim}]")
        if self.config.normalize_before:
            mel = (mel - self.mean[...]) / self.scale[...]
        blocks_per_rate = len(self.config.resblock_kernel_sizes)
        hidden = self.conv_pre(mel.astype(self.conv_pre.kernel[...].dtype))  # [B, T, C]
        for level, upsample in enumerate(self.upsampler):
            hidden = upsample(jax.nn.leaky_relu(hidden, self.config.leaky_relu_slope))  # [B, T * R, C / 2]
            blocks = self.resblocks[level * blocks_per_rate : (level + 1) * blocks_per_rate]
            outputs = [block(hidden) for block in blocks]
            hidden = sum(outputs[1:], outputs[0]) / blocks_per_rate
        hidden = self.conv_post(jax.nn.leaky_relu(hidden, FINAL_LEAKY_RELU_SLOPE))  # [B, samples, 1]
        return jnp.tanh(hidden[..., 0].astype(jnp.float32))


_RULES = (
    Rule("conv_{end:pre|post}.weight", "conv_{end}.kernel", "conv1d"),
    Rule("upsampler.{level}.weight", "upsampler.{level}.kernel", "conv_transpose1d"),
    Rule("resblocks.{block}.convs{side:1|2}.{pair}.weight", "resblocks.{block}.convs{side}.{pair}.kernel", "conv1d"),
    Rule("{layer}.bias", "{layer}.bias"),
    Rule("{statistic:mean|scale}", "{statistic}"),
)
_VOCODER = "first_stage_model.vocoder."
_ORIGINAL = (
    Rule(_VOCODER + "conv_{rest}", "conv_{rest}"),
    Rule(_VOCODER + "ups.{rest}", "upsampler.{rest}"),
    Rule(_VOCODER + "resblocks.{rest}", "resblocks.{rest}"),
)

NETWORK = Network(
    config_class=VocoderConfig,
    model_class=Vocoder,
    keys=KeyTable(_RULES, spellings=(WeightNorm(),)),
    library="transformers",
    class_names=("SpeechT5HifiGan",),
    model_type="speecht5_hifigan",
    always_float32=True,
    original=lambda config: _ORIGINAL,
)
