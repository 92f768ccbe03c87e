"""A vocoder to begin training with, which is a bank of harmonics, found by least squares.

Where its input does not change, a HiFi-GAN repeats itself after every hop, so that all it can hold are the multiples of
100 Hz. How loud each of them has to be follows from the log-mel, and once their phases are agreed upon so does every
sample. Distances of spectra leave the phases open, and by them alone a network is slow to learn to hold a loud tone.
Here the weights of a first, rough vocoder are computed instead: its first convolution bends each log-mel bin at a few
levels, as a piecewise linear exponential function; its first transposed convolution turns that into a hop of samples
for each frame, and moves from one to the next; and what follows lays these samples out in time.

Letters in shape comments: F frames, M mels, N harmonics, H samples of a hop, X hinges of all bins.
"""

import functools
import math

import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Float, Float32

from examples.foley.parts.spectra import N_FFT, filters
from examples.foley.world.clips import HOP_LENGTH, NUM_MELS, SAMPLING_RATE
from litefocus_jax.audio import hann_window
from litefocus_jax.models.vocoder import (
    EDGE_KERNEL_SIZE,
    FINAL_LEAKY_RELU_SLOPE,
    TransposedConv1d,
    Vocoder,
    VocoderConfig,
)

_FUNDAMENTAL_IN_HZ = SAMPLING_RATE / HOP_LENGTH
_HARMONICS = np.arange(1, HOP_LENGTH // 2)
_ITERATIONS = 60
_TINIEST = 1e-9

# Natural log-mels at which the first convolution's channels bend, of which there are as many as there is room for.
# Of five triples tried, these left the smallest error.
_HINGES = (-4.0, -2.0, -0.5)
_CLIPS = 400
_EVERY_NTH_FRAME = 4
_RIDGE = 1e-3  # share of the features' mean power
_SILENT_POWER = 1e-5  # 50 dB below full scale: softer clips count less


def harmonic_vocoder(config: VocoderConfig, mels: Float[np.ndarray, "clips frames mels"], seed: int) -> Vocoder:
    """A vocoder that is a bank of harmonics. What that leaves unused of its channels has random weights.

    A rectifier between layers keeps a signal only if its negative goes beside it: each sample has two channels.

    Args:
        config: its shape, for a hop of 160 samples.
        mels: natural log-mels, of which some give the levels.
        seed: of the random weights, and of the choice of clips.

    Raises:
        ValueError: when the shape has too few channels to pass on a hop of samples, or too short a first kernel.
    """
    _check_shape(config)
    vocoder = Vocoder(config, rngs=nnx.Rngs(seed))
    hinges = _HINGES[-(config.upsample_initial_channel // NUM_MELS) :]
    first = np.zeros(vocoder.conv_pre.kernel.shape, np.float32)
    bias = np.zeros(first.shape[-1], np.float32)
    for number, hinge in enumerate(hinges):
        channels = slice(number * NUM_MELS, (number + 1) * NUM_MELS)
        first[EDGE_KERNEL_SIZE // 2, :, channels] = np.eye(NUM_MELS)
        bias[channels] = -hinge
    vocoder.conv_pre.kernel[...], vocoder.conv_pre.bias[...] = jnp.asarray(first), jnp.asarray(bias)
    for block in vocoder.resblocks:
        for ordinary in block.convs2:
            ordinary.kernel[...] = jnp.zeros_like(ordinary.kernel[...])

    slope = config.leaky_relu_slope
    samples = HOP_LENGTH
    for number, upsample in enumerate(vocoder.upsampler):
        if number == 0:
            weights = _least_squares(mels, hinges, slope, seed)  # [X, H]
            share = np.arange(HOP_LENGTH, dtype=np.float32) / HOP_LENGTH
            _set_phases(upsample, [(1.0 - share) * weights, share * weights])
        else:
            _set_phases(upsample, [_joined_signs(samples, slope)])
        samples //= upsample.rate
    last = np.zeros(vocoder.conv_post.kernel.shape, np.float32)
    last[EDGE_KERNEL_SIZE // 2, :2] = _joined_signs(1, FINAL_LEAKY_RELU_SLOPE)
    vocoder.conv_post.kernel[...] = jnp.asarray(last)
    return vocoder


def harmonic_amplitudes(mel: Float[np.ndarray, "frames mels"]) -> Float32[np.ndarray, "frames harmonics"]:
    """How loud each multiple of 100 Hz has to be for the mels to come about.

    The multiplicative rule of Lee and Seung (2000) for the Kullback-Leibler divergence: amplitudes stay positive, and
    soft bands count beside loud ones.

    Args:
        mel: natural log-mels as of `litefocus_jax.audio.log_mel_spectrogram`.
    """
    magnitudes = np.exp(np.asarray(mel, np.float32))
    heard = _response()
    total = heard.sum(axis=1)
    amplitudes = np.repeat(magnitudes.sum(axis=1, keepdims=True) / total.sum(), len(heard), axis=1)
    for _ in range(_ITERATIONS):
        amplitudes *= (magnitudes / (amplitudes @ heard + _TINIEST)) @ heard.T / total
    return amplitudes


def harmonic_waves(mel: Float[np.ndarray, "frames mels"]) -> Float32[np.ndarray, "frames hop"]:
    """A hop of sound for each frame, as it would be if the sound went on like that."""
    return harmonic_amplitudes(mel) @ _bank()


@functools.cache
def _response() -> Float32[np.ndarray, "harmonics mels"]:
    """The mels of each harmonic at amplitude 1."""
    times = np.arange(N_FFT) / SAMPLING_RATE
    waves = np.exp(2j * np.pi * _FUNDAMENTAL_IN_HZ * _HARMONICS[:, None] * times)
    # The half of the spectrum with positive frequencies; a real wave has half its amplitude there.
    spectrum = 0.5 * np.abs(np.fft.fft(hann_window(N_FFT) * waves, axis=1))[:, : N_FFT // 2 + 1]
    return (spectrum @ filters()).astype(np.float32)


@functools.cache
def _bank() -> Float32[np.ndarray, "harmonics hop"]:
    """A hop of each harmonic. Phases that grow with the square of its number (Schroeder, 1970) keep the peaks low."""
    times = np.arange(HOP_LENGTH) / SAMPLING_RATE
    phases = np.pi * np.square(_HARMONICS) / len(_HARMONICS)
    return np.cos(2.0 * np.pi * _FUNDAMENTAL_IN_HZ * _HARMONICS[:, None] * times + phases[:, None]).astype(np.float32)


def _least_squares(
    mels: Float[np.ndarray, "clips frames mels"], hinges: tuple[float, ...], slope: float, seed: int
) -> Float32[np.ndarray, "hinges hop"]:
    """The linear map from bent log-mels to hops of samples, with errors relative to the level of each clip."""
    chosen = np.random.default_rng(seed).integers(0, len(mels), _CLIPS)
    power = np.zeros((len(hinges) * NUM_MELS,) * 2)
    projected = np.zeros((len(power), HOP_LENGTH))
    for clip in chosen:
        mel = np.asarray(mels[clip, ::_EVERY_NTH_FRAME], np.float32)
        waves = harmonic_waves(mel)
        bent = np.concatenate([mel - hinge for hinge in hinges], axis=1)
        bent = np.maximum(bent, slope * bent)  # [F, X]
        weight = 1.0 / (np.mean(np.square(waves)) + _SILENT_POWER)
        power += weight * bent.T @ bent
        projected += weight * bent.T @ waves
    power += _RIDGE * np.trace(power) / len(power) * np.eye(len(power))
    return np.linalg.solve(power, projected).astype(np.float32)


def _set_phases(upsample: TransposedConv1d, maps: list[np.ndarray]) -> None:
    """Let the first output channels of a transposed convolution be samples, and their negatives.

    Args:
        upsample: is changed.
        maps: from the first input channels to the samples of an input's time ``[channels, samples]``: of that input,
            and of the one that follows it.
    """
    kernel = np.array(upsample.kernel[...])
    for later, weights in enumerate(maps):
        phases = weights.reshape(len(weights), upsample.rate, -1)  # in channels, phases, samples of a phase
        count = phases.shape[-1]
        if later == 0:
            kernel[:, :, : 2 * count] = 0.0
        for phase in range(upsample.rate):
            # Input i reaches output rate * i + j - padding by tap j; taps are stored in reverse.
            tap = len(kernel) - 1 - (phase + upsample.padding - later * upsample.rate)
            kernel[tap, : len(weights), :count] = phases[:, phase]
            kernel[tap, : len(weights), count : 2 * count] = -phases[:, phase]
    upsample.kernel[...] = jnp.asarray(kernel)


def _joined_signs(samples: int, slope: float) -> Float32[np.ndarray, "channels samples"]:
    """From rectified samples and their rectified negatives back to the samples."""
    identity = np.eye(samples, dtype=np.float32)
    return np.concatenate([identity, -identity]) / np.float32(1.0 + slope)


def _check_shape(config: VocoderConfig) -> None:
    rates = config.upsample_rates
    if math.prod(rates) != HOP_LENGTH or config.model_in_dim != NUM_MELS:
        raise ValueError(f"upsample_rates = {rates}; expected a product of {HOP_LENGTH}, and {NUM_MELS} mels")
    if config.upsample_initial_channel % NUM_MELS or not 0 < config.upsample_initial_channel <= len(_HINGES) * NUM_MELS:
        raise ValueError(
            f"upsample_initial_channel = {config.upsample_initial_channel}; expected one to {len(_HINGES)} times "
            f"{NUM_MELS}"
        )
    if config.upsample_kernel_sizes[0] < 3 * rates[0]:
        raise ValueError(
            f"upsample_kernel_sizes begin with {config.upsample_kernel_sizes[0]}; expected at least three times the "
            f"rate of {rates[0]}, to move from frame to frame"
        )
    samples, channels = HOP_LENGTH, config.upsample_initial_channel
    for rate in rates:
        samples, channels = samples // rate, channels // 2
        if channels < 2 * samples:
            raise ValueError(
                f"upsample_rates = {rates} leave {channels} channels for {samples} samples; expected at least twice "
                "as many as samples"
            )
