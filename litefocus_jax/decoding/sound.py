"""Latents to sound, block by block: what is done can be written to a file while the rest is still to come."""

import itertools
from collections.abc import Callable, Iterator

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax import generate
from litefocus_jax.decoding.mel import mel_blocks
from litefocus_jax.decoding.plan import DecodingPlan
from litefocus_jax.finite import require_finite
from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder


def sound_blocks(
    vae: VAE,
    vocoder: Vocoder,
    latents: Float[Array | np.ndarray, "time frequency channels"],
    plan: DecodingPlan,
    on_progress: Callable[[int], None] = lambda done: None,
) -> Iterator[Float[np.ndarray, " samples"]]:
    """Decode one sound; the blocks in a row are the sound.

    A short sound is one block. For a long one, the memory in use does not depend on its length.

    Args:
        vae: its decoder.
        vocoder: from mel to sound.
        latents: of the whole sound, as the diffusion model has them.
        plan: from `plan_decoding`, for as many frames.
        on_progress: told how many of ``plan.steps`` are done.

    Raises:
        NonFiniteError: when a block holds NaN or infinity; the message names the stage.
    """
    if plan.is_whole:
        mel = generate.decode_latents(vae, jnp.asarray(latents)[None], jnp.float32(vae.config.scaling_factor))
        require_finite("VAE", mel)
        yield _vocode(vocoder, mel)
        return
    done = itertools.count(1)

    def advance() -> None:
        on_progress(next(done))

    yield from vocode_blocks(vocoder, mel_blocks(vae, np.asarray(latents), plan, advance), plan, advance)


def vocode_blocks(
    vocoder: Vocoder,
    mels: Iterator[Float[np.ndarray, "mel_frames mel_bins"]],
    plan: DecodingPlan,
    advance: Callable[[], None] = lambda: None,
) -> Iterator[Float[np.ndarray, " samples"]]:
    """Turn a log-mel spectrogram that comes in blocks of any lengths into the sound that it would make in one piece.

    Args:
        vocoder: from mel to sound.
        mels: blocks of the spectrogram; no more of them are taken, or kept, than the next tile needs.
        plan: its tiles.
        advance: called when a tile is done.

    Raises:
        NonFiniteError: when a tile holds NaN or infinity.
    """
    hop_length = vocoder.config.hop_length
    mel, start = next(mels), 0  # what was taken and not yet left behind, and the number of its first frame
    for tile in plan.vocoder_tiles:
        mel, start = mel[tile.start - start :], tile.start
        while len(mel) < plan.vocoder_size:
            mel = np.concatenate([mel, next(mels)])
        waveform = _vocode(vocoder, jnp.asarray(mel[None, : plan.vocoder_size]))
        part = tile.part(hop_length)
        is_last = tile is plan.vocoder_tiles[-1]
        advance()
        # Some vocoders make a few samples more than frames ask for, at the end.
        yield waveform[part.start :] if is_last else waveform[part]


def _vocode(vocoder: Vocoder, mel: Float[Array, "1 mel_frames mel_bins"]) -> Float[np.ndarray, " samples"]:
    waveform = generate.vocode(vocoder, mel)
    require_finite("vocoder", waveform)
    return np.asarray(waveform[0], np.float32)
