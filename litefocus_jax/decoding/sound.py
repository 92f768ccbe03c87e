"""Latents to sound, block by block: what is done can be written to a file while the rest is still to come.

In tiles, latents go to a log-mel spectrogram by a VAE decoder whose normalisations and attention see the whole sound. A
tile is given what it would have learnt from the whole sound (its `Context`): the moments of every normalisation, and
keys of frames elsewhere. All that is left are convolutions, which reach a few frames far.

The moments come from a sample of short tiles, which go through the network together, and are corrected by passes over
the whole sound. A pass compares what the sample says of each normalisation with what all tiles say, in the same
network; then the sample goes through the network again, with the differences added. A normalisation early in the
network changes what the later ones see, and in this way the later ones follow.
"""

import functools
import itertools
from collections.abc import Callable, Iterator

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.decoding import whole
from litefocus_jax.decoding.context import Correction, FarKeys, Moments, correction_between, merge
from litefocus_jax.decoding.plan import DecodingPlan, Tile
from litefocus_jax.decoding.programs import (
    Context,
    Windows,
    decode_window,
    keys_of_window,
    look_at_sample,
    look_for_keys,
    no_corrections,
)
from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder
from litefocus_jax.system.waiting import require_finite


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
        vae: the VAE whose decoder is used.
        vocoder: makes sound of mel.
        latents: latents of the whole sound, as the diffusion model has them.
        plan: from `plan_decoding`, for as many frames.
        on_progress: told how many of ``plan.steps`` are done.

    Raises:
        NonFiniteError: when a block holds NaN or infinity; the message names the stage.
    """
    if plan.is_whole:
        mel = whole.decode_latents(vae, vae.unscaled(jnp.asarray(latents)[None]))
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
        vocoder: makes sound of mel.
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
    waveform = whole.vocode(vocoder, mel)
    require_finite("vocoder", waveform)
    return np.asarray(waveform[0], np.float32)


def mel_blocks(
    vae: VAE,
    latents: Float[np.ndarray, "time frequency channels"],
    plan: DecodingPlan,
    advance: Callable[[], None] = lambda: None,
) -> Iterator[Float[np.ndarray, "mel_frames mel_bins"]]:
    """The log-mel spectrogram of a sound, tile after tile.

    Args:
        vae: the VAE whose decoder is used.
        latents: the whole sound, as the diffusion model has it.
        plan: its tiles.
        advance: called when a window of it, or the sample, is done.

    Raises:
        NonFiniteError: when a tile holds NaN or infinity.
    """
    decoder = _TileDecoder(vae, latents, plan, advance)
    context = decoder.gather_context()
    for tile in plan.vae_tiles:
        mel, _ = decoder.decode(tile, context)
        yield np.asarray(mel[0])[tile.part(vae.config.scale_factor)]


class _TileDecoder:
    """One sound on its way through the VAE; the arguments are those of `mel_blocks`."""

    def __init__(self, vae: VAE, latents: np.ndarray, plan: DecodingPlan, advance: Callable[[], None]) -> None:
        self._vae = vae
        self._latents = vae.unscaled(latents)
        self._plan = plan
        self._advance = advance

    def gather_context(self) -> Context:
        """Look at the whole sound for what its tiles have to know about it."""
        context, of_sample = self._look(no_corrections(self._vae))
        for _ in range(self._plan.passes):
            of_all = self._measure(context)
            corrections = tuple(map(correction_between, of_sample, of_all))
            context, of_sample = self._look(corrections)
        return context

    def decode(self, tile: Tile, context: Context) -> tuple[Float[Array, "1 frames bins"], tuple[Moments, ...]]:
        """The mel of a tile's window, and what the normalisations saw in its part."""
        where = _windows((tile,), self._plan.frames)
        mel, measured = decode_window(self._vae, self._window(tile), where, context)
        require_finite("VAE", mel)
        self._advance()
        return mel, jax.device_get(measured)

    def _look(self, corrections: tuple[Correction, ...]) -> tuple[Context, tuple[Moments, ...]]:
        """What the sample says with the corrections, and the moments that it says without them."""
        plan = self._plan
        latents = np.stack([self._latents[tile.start : tile.start + plan.sample_size] for tile in plan.sample])
        sample = (self._vae, latents, _windows(plan.sample, plan.frames), corrections)
        far = self._gather_keys(look_for_keys(*sample)) if self._vae.decoder.mid_block.attentions else None
        moments, measured = look_at_sample(*sample, far)
        self._advance()
        return Context(moments, far), measured

    def _measure(self, context: Context) -> tuple[Moments, ...]:
        """What the normalisations see in all tiles."""
        parts = (self.decode(tile, context)[1] for tile in self._plan.vae_tiles)
        return functools.reduce(lambda first, second: tuple(map(merge, first, second)), parts)

    def _gather_keys(self, moments: tuple[Moments, ...]) -> FarKeys:
        """Keys of frames that are evenly spread over the sound."""
        frames = np.array(self._plan.key_frames, np.int32)
        keys, values = [], []
        for tile in self._plan.vae_tiles:
            numbers = frames[(frames >= tile.first) & (frames < tile.end)] - tile.start
            key, value = keys_of_window(self._vae, self._window(tile), moments)
            keys.append(np.asarray(key)[numbers])
            values.append(np.asarray(value)[numbers])
            self._advance()
        tokens = (jnp.asarray(np.concatenate(parts).reshape(-1, parts[0].shape[-1])) for parts in (keys, values))
        return FarKeys(*tokens, frames=jnp.asarray(frames))

    def _window(self, tile: Tile) -> Float[np.ndarray, "1 time frequency channels"]:
        return self._latents[None, tile.start : tile.start + self._plan.vae_size]


def _windows(tiles: tuple[Tile, ...], total: int) -> Windows:
    parts = [(tile.start, tile.part().start, tile.part().stop) for tile in tiles]
    start, first, end = np.array(parts, np.int32).T
    return Windows(start, first, end, np.asarray(total, np.int32))
