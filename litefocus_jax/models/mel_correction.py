"""Sound brought to the log-mel that it was made from.

A small vocoder adds a sound of its own: a buzz under tones, noise where there should be silence. How loud each band
of each frame should be is known, since that is the very spectrogram that it was given; most of what goes beyond is
taken away by a filter that changes with time. No band of a frame is made louder: what is missing cannot be had from
what is there, and peaks would clip. As by all such filters, a little of a loud onset is laid before it, within half a
window. No part of AudioLDM2: a model asks for it in its vocoder's configuration.
"""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32

from litefocus_jax.audio.mel import QUIETEST_MEL, hann_window, mel_filters
from litefocus_jax.ops.circular_time import wrap_time
from litefocus_jax.ops.short_time_fourier import inverse_short_time_fourier, short_time_fourier


class MelScale(NamedTuple):
    """What makes log-mels of one kind; the names are those of `litefocus_jax.audio.log_mel_spectrogram`."""

    sampling_rate: int
    hop_length: int
    n_fft: int
    num_mels: int
    fmin: float
    fmax: float

    @property
    def filters(self) -> Float32[np.ndarray, "bins mels"]:
        """From magnitudes of bins to mels."""
        return mel_filters(self.sampling_rate, n_fft=self.n_fft, num_mels=self.num_mels, fmin=self.fmin, fmax=self.fmax)


class MelCorrection(nnx.Module):
    """Filters sound until its log-mel is hardly anywhere above the given one.

    Args:
        scale: of the log-mels.
        rounds: how often, at least once: what one filter leaves over, since its bands and its frames overlap, the next
            one takes.
    """

    def __init__(self, scale: MelScale, rounds: int) -> None:
        self.scale, self.rounds = scale, rounds
        self.is_circular = False  # see `litefocus_jax.models.circular`

    @property
    def reach_in_samples(self) -> int:
        """Samples before and after one that enter into what is made of it: two half windows for each round."""
        return self.rounds * (self.scale.n_fft - 1)

    def __call__(
        self, waveforms: Float[Array, "batch samples"], mel: Float[Array, "batch frames mels"]
    ) -> Float[Array, "batch samples"]:
        """The filtered sounds, between -1 and 1.

        Args:
            waveforms: at least ``hop_length`` samples for each frame; the filter of the last frame goes on to the end.
            mel: their natural log-mels as they should be.
        """
        samples = waveforms.shape[1]
        if self.is_circular:
            around = -(-self.reach_in_samples // self.scale.hop_length)
            mel = wrap_time(mel, around, around)
            around *= self.scale.hop_length
            waveforms = wrap_time(waveforms, around, around)
            return self._filtered(waveforms, mel)[:, around : around + samples]
        return self._filtered(waveforms, mel)

    def _filtered(
        self, waveforms: Float[Array, "batch samples"], mel: Float[Array, "batch frames mels"]
    ) -> Float[Array, "batch samples"]:
        hop_length, filters = self.scale.hop_length, self.scale.filters
        window = hann_window(self.scale.n_fft)
        shares = self._shares_of_bands()
        for _ in range(self.rounds):
            spectra = short_time_fourier(waveforms, window, hop_length)  # [B, frames, bins]
            found = jnp.log(jnp.maximum(jnp.abs(spectra[:, : mel.shape[1]]) @ filters, QUIETEST_MEL))
            gain = jnp.minimum(mel - found, 0.0)  # in nepers
            gain = jnp.pad(gain, ((0, 0), (0, spectra.shape[1] - gain.shape[1]), (0, 0)), mode="edge")
            waveforms = inverse_short_time_fourier(
                spectra * jnp.exp(gain @ shares), window, hop_length, waveforms.shape[1]
            )
        return jnp.clip(waveforms, -1.0, 1.0)

    def _shares_of_bands(self) -> Float32[np.ndarray, "mels bins"]:
        """How much the gain of each band counts for each bin; bins beside all bands go by the nearest one."""
        filters = self.scale.filters
        bins = np.arange(len(filters))
        (covered,) = np.nonzero(filters.sum(axis=1))
        nearest = covered[np.argmin(np.abs(bins[:, None] - covered), axis=1)]
        filters = filters[nearest]
        return (filters / filters.sum(axis=1, keepdims=True)).T
