"""Sound to latents, the way back: the log-mel spectrogram that a model was trained on, and its VAE's encoder."""

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.audio.mel import log_mel_spectrogram
from litefocus_jax.models.vae import VAE, LatentDistribution
from litefocus_jax.models.vocoder import VocoderConfig

# Clips that the VAE encodes at a time: its first layers are wide, and a large batch need not fit beside the UNet.
_ENCODED_TOGETHER = 4

# The encoder's middle attention sees a whole sound, and its cost grows with the square of the length. Longer sounds are
# encoded in pieces that overlap by more than convolutions reach.
_PIECE_IN_FRAMES = 1024
_MARGIN_IN_FRAMES = 32


def mel_of(waveform: Float[np.ndarray, " samples"], vocoder: VocoderConfig) -> Float[np.ndarray, "frames mel_bins"]:
    """The log-mel spectrogram that a model's latents are of, a frame for every whole hop of the vocoder."""
    mel = log_mel_spectrogram(waveform, **vocoder.mel_scale._asdict())
    return mel[: len(waveform) // vocoder.hop_length]  # the last one is centred on the end


def encode_mels(
    vae: VAE, mels: Float[np.ndarray, "clips frames mel_bins"], *, together: int = _ENCODED_TOGETHER
) -> LatentDistribution:
    """The distribution of each spectrogram's latents, at most ``together`` spectrograms at a time."""
    together = max(count for count in range(1, together + 1) if len(mels) % count == 0)
    parts = [_encode(vae, mels[start : start + together]) for start in range(0, len(mels), together)]
    return jax.tree.map(lambda *arrays: jnp.concatenate(arrays), *parts)


@jax.jit
def _encode(vae: VAE, mels: Float[Array, "clips frames mel_bins"]) -> LatentDistribution:
    return vae.encode(mels[..., None])


def encode_sound(
    vae: VAE, vocoder: VocoderConfig, waveform: Float[np.ndarray, " samples"]
) -> Float[np.ndarray, "time frequency channels"]:
    """The latents of a sound as the diffusion model sees them: the mean of their distribution, scaled.

    Args:
        vae: its encoder is used.
        vocoder: says rate, hop and mel bins.
        waveform: at that rate; whole latent frames of it.

    Raises:
        ValueError: when it is not whole latent frames.
    """
    scale = vae.config.scale_factor
    mel = mel_of(waveform, vocoder)
    if not len(waveform) or len(waveform) % (vocoder.hop_length * scale):
        raise ValueError(
            f"waveform has {len(waveform)} samples; expected a multiple of a latent frame's, "
            f"{vocoder.hop_length * scale}"
        )
    frames = len(mel) // scale
    step = _PIECE_IN_FRAMES - 2 * _MARGIN_IN_FRAMES
    pieces = []
    for first in range(0, max(1, frames - 2 * _MARGIN_IN_FRAMES), step):
        start = min(first, max(0, frames - _PIECE_IN_FRAMES))
        piece = mel[start * scale : (start + _PIECE_IN_FRAMES) * scale]
        mean = np.asarray(encode_mels(vae, piece[None]).mean[0])
        done = sum(map(len, pieces))
        is_last = start + _PIECE_IN_FRAMES >= frames
        pieces.append(mean[done - start : None if is_last else _PIECE_IN_FRAMES - _MARGIN_IN_FRAMES])
        if is_last:
            break
    return vae.scaled(np.concatenate(pieces)).astype(np.float32)
