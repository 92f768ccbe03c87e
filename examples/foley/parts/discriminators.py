"""Critics of sound for the adversarial training of the vocoder.

One kind looks at every ``period``-th sample side by side (HiFi-GAN's multi-period discriminator, arXiv 2010.05646), one
at spectrograms of several resolutions (UnivNet's, arXiv 2106.07889). Both are far narrower than published.

Letters in shape comments: B batch, T time, P period, F frequency, C channels.
"""

import dataclasses

import jax
import jax.numpy as jnp
from flax import nnx
from jaxtyping import Array, Float

from examples.foley.parts.spectra import log_magnitudes
from litefocus_jax.models import parameters

_SLOPE = 0.1
_SPECTROGRAM_MEAN = -2.0  # roughly, so that what the critics see is near 0 and of unit size
_SPECTROGRAM_DEVIATION = 2.5


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """Sizes of the critics.

    Attributes:
        periods: one critic each.
        period_channels: output channels of its layers, each of which divides time by 3.
        resolutions: transform size and hop in samples; one critic each.
        spectral_channels: output channels of its layers, each of which halves frequency, and all but the first time.
    """

    periods: tuple[int, ...] = (2, 3, 7)
    period_channels: tuple[int, ...] = (8, 16, 32, 64)
    resolutions: tuple[tuple[int, int], ...] = ((256, 64), (512, 128), (1024, 256))
    spectral_channels: tuple[int, ...] = (12, 16, 24, 32)

    @classmethod
    def tiny(cls) -> "DiscriminatorConfig":
        """One critic of each kind, for tests."""
        return cls(periods=(2,), period_channels=(4, 4), resolutions=((128, 32),), spectral_channels=(4, 4))


Judgement = tuple[list[Float[Array, "batch ..."]], list[list[Float[Array, "batch ..."]]]]
"""What each critic says of places in a sound (near 1 is real, near 0 is made), and what its layers saw."""


class PeriodDiscriminator(nnx.Module):
    """Looks at sound folded into rows of one period."""

    def __init__(self, period: int, widths: tuple[int, ...], *, rngs: nnx.Rngs) -> None:
        self.period = period
        self.convs = nnx.List(
            parameters.conv(before, after, (5, 1), strides=(3, 1), padding=((2, 2), (0, 0)), rngs=rngs)
            for before, after in zip((1, *widths), widths, strict=False)
        )
        self.out = parameters.conv(widths[-1], 1, (3, 1), padding=((1, 1), (0, 0)), rngs=rngs)

    def __call__(self, waveforms: Float[Array, "batch samples"]) -> tuple[Array, list[Array]]:
        """Scores ``[B, T, P, 1]``, and the outputs of the layers before."""
        batch, samples = waveforms.shape
        padded = jnp.pad(waveforms, ((0, 0), (0, -samples % self.period)), mode="reflect")
        x, seen = padded.reshape(batch, -1, self.period, 1), []  # [B, T, P, 1]
        for conv in self.convs:
            x = jax.nn.leaky_relu(conv(x), _SLOPE)
            seen.append(x)
        return self.out(x), seen


class SpectrogramDiscriminator(nnx.Module):
    """Looks at a spectrogram with a logarithmic scale of levels."""

    def __init__(self, n_fft: int, hop: int, widths: tuple[int, ...], *, rngs: nnx.Rngs) -> None:
        self.n_fft, self.hop = n_fft, hop
        # Frequency itself is given too: a convolution cannot tell bass from treble.
        self.convs = nnx.List(
            parameters.conv(
                before, after, (3, 5), strides=(1 if layer == 0 else 2, 2), padding=((1, 1), (2, 2)), rngs=rngs
            )
            for layer, (before, after) in enumerate(zip((2, *widths), widths, strict=False))
        )
        self.out = parameters.conv(widths[-1], 1, (3, 3), padding=1, rngs=rngs)

    def __call__(self, waveforms: Float[Array, "batch samples"]) -> tuple[Array, list[Array]]:
        """Scores ``[B, T, F, 1]``, and the outputs of the layers before."""
        level = (log_magnitudes(waveforms, self.n_fft, self.hop) - _SPECTROGRAM_MEAN) / _SPECTROGRAM_DEVIATION
        height = jnp.broadcast_to(jnp.linspace(-1.0, 1.0, level.shape[-1]), level.shape)
        x, seen = jnp.stack((level, height), axis=-1), []  # [B, T, F, 2]
        for conv in self.convs:
            x = jax.nn.leaky_relu(conv(x), _SLOPE)
            seen.append(x)
        return self.out(x), seen


class Discriminators(nnx.Module):
    """All critics together."""

    def __init__(self, config: DiscriminatorConfig, *, rngs: nnx.Rngs) -> None:
        self.critics = nnx.List(
            [PeriodDiscriminator(period, config.period_channels, rngs=rngs) for period in config.periods]
            + [SpectrogramDiscriminator(*size, config.spectral_channels, rngs=rngs) for size in config.resolutions]
        )

    def __call__(self, waveforms: Float[Array, "batch samples"]) -> Judgement:
        """The scores of each critic, and the outputs of its layers."""
        judged = [critic(waveforms) for critic in self.critics]
        return [scores for scores, _ in judged], [seen for _, seen in judged]


def discriminator_loss(real: Judgement, made: Judgement) -> Float[Array, ""]:
    """Least squares (arXiv 1611.04076): critics should say 1 of real sound and 0 of made sound."""
    losses = [
        jnp.mean(jnp.square(1.0 - true)) + jnp.mean(jnp.square(false))
        for true, false in zip(real[0], made[0], strict=True)
    ]
    return jnp.stack(losses).mean()


def persuasion_loss(made: Judgement) -> Float[Array, ""]:
    """Least squares: the vocoder wants to hear 1 of what it made."""
    return jnp.stack([jnp.mean(jnp.square(1.0 - scores)) for scores in made[0]]).mean()


def feature_distance(real: Judgement, made: Judgement) -> Float[Array, ""]:
    """Mean absolute difference of what the critics' layers saw."""
    pairs = [pair for true, false in zip(real[1], made[1], strict=True) for pair in zip(true, false, strict=True)]
    return jnp.stack([jnp.mean(jnp.abs(true - false)) for true, false in pairs]).mean()
