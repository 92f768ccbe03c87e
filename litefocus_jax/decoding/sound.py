"""Latents to sound, block by block: what is done can be written to a file while the rest is still to come.

In tiles, latents go to a log-mel spectrogram by a VAE decoder whose normalisations and attention see the whole sound. A
tile is given what it would have learnt from the whole sound (its `Context`): the moments of every normalisation, and
keys of frames elsewhere. All that is left are convolutions, which reach a few frames far.

The moments come from a sample of short tiles, which go through the network together, and are corrected by passes over
the whole sound. A pass compares what the sample says of each normalisation with what all tiles say, in the same
network; then the sample goes through the network again, with the differences added. A normalisation early in the
network changes what the later ones see, and in this way the later ones follow.

Devices of a mesh decode as many tiles at a time as there are devices, one each, and share the windows of the sample.
The blocks are the same then, on the host of every process.
"""

import functools
import itertools
from collections.abc import Callable, Iterator, Sequence
from typing import Any, TypeVar

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
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
    mesh: Mesh | None = None,
) -> Iterator[Float[np.ndarray, " samples"]]:
    """Decode one sound; the blocks in a row are the sound.

    A short sound is one block. For a long one, the memory in use does not depend on its length.

    Args:
        vae: the VAE whose decoder is used.
        vocoder: makes sound of mel.
        latents: latents of the whole sound, as the diffusion model has them.
        plan: from `plan_decoding`, for as many frames; not of a sound in one piece, where there is a mesh.
        on_progress: told how many of ``plan.steps`` are done.
        mesh: devices that share the tiles, and each have the networks. Where it has devices of several processes, all
            of them take every block.

    Raises:
        NonFiniteError: when a block holds NaN or infinity; the message names the stage.
    """
    if plan.is_whole:
        mel = whole.decode_latents(vae, vae.unscaled(jnp.asarray(latents)[None]))
        require_finite("VAE", mel)
        yield _vocode(vocoder, mel)[0]
        return
    done = itertools.count(1)

    def advance() -> None:
        on_progress(next(done))

    mels = mel_blocks(vae, np.asarray(latents), plan, advance, mesh)
    yield from vocode_blocks(vocoder, mels, plan, advance, mesh)


def whole_sounds(
    vae: VAE, vocoder: Vocoder, latents: Float[Array | np.ndarray, "sounds time frequency channels"], mesh: Mesh
) -> Iterator[Float[np.ndarray, " samples"]]:
    """Decode sounds in one piece each, as many at a time as a mesh has devices.

    Args:
        vae: as for `sound_blocks`; and so the others.
        vocoder: likewise.
        latents: of all sounds.
        mesh: devices that share the sounds.

    Raises:
        NonFiniteError: when a sound holds NaN or infinity; the message names the stage.
    """
    latents = vae.unscaled(np.asarray(latents))
    for numbers in _rounds(range(len(latents)), mesh):
        mel = whole.decode_latents(vae, latents[_filled(numbers, mesh)], mesh=mesh)
        require_finite("VAE", mel)
        yield from _vocode(vocoder, mel, mesh)[: len(numbers)]


def vocode_blocks(
    vocoder: Vocoder,
    mels: Iterator[Float[np.ndarray, "mel_frames mel_bins"]],
    plan: DecodingPlan,
    advance: Callable[[], None] = lambda: None,
    mesh: Mesh | None = None,
) -> Iterator[Float[np.ndarray, " samples"]]:
    """Turn a log-mel spectrogram that comes in blocks of any lengths into the sound that it would make in one piece.

    Args:
        vocoder: makes sound of mel.
        mels: blocks of the spectrogram; no more of them are taken, or kept, than the next tile needs.
        plan: its tiles.
        advance: called when a tile is done.
        mesh: devices that share the tiles.

    Raises:
        NonFiniteError: when a tile holds NaN or infinity.
    """
    hop_length, size = vocoder.config.hop_length, plan.vocoder_size
    mel, start = next(mels), 0  # what was taken and not yet left behind, and the number of its first frame
    for tiles in _rounds(plan.vocoder_tiles, mesh):
        mel, start = mel[tiles[0].start - start :], tiles[0].start
        while len(mel) < tiles[-1].start - start + size:
            mel = np.concatenate([mel, next(mels)])
        windows = np.stack([mel[tile.start - start :][:size] for tile in _filled(tiles, mesh)])
        for tile, waveform in zip(tiles, _vocode(vocoder, jnp.asarray(windows), mesh), strict=False):
            part = tile.part(hop_length)
            is_last = tile is plan.vocoder_tiles[-1]
            advance()
            # Some vocoders make a few samples more than frames ask for, at the end.
            yield waveform[part.start :] if is_last else waveform[part]


def _vocode(
    vocoder: Vocoder, mel: Float[Array, "windows mel_frames mel_bins"], mesh: Mesh | None = None
) -> Float[np.ndarray, "windows samples"]:
    waveforms = whole.vocode(vocoder, mel, **_on(mesh))
    require_finite("vocoder", waveforms)
    return np.asarray(waveforms, np.float32)


def mel_blocks(
    vae: VAE,
    latents: Float[np.ndarray, "time frequency channels"],
    plan: DecodingPlan,
    advance: Callable[[], None] = lambda: None,
    mesh: Mesh | None = None,
) -> Iterator[Float[np.ndarray, "mel_frames mel_bins"]]:
    """The log-mel spectrogram of a sound, tile after tile.

    Args:
        vae: the VAE whose decoder is used.
        latents: the whole sound, as the diffusion model has it.
        plan: its tiles.
        advance: called when a window of it, or the sample, is done.
        mesh: devices that share the tiles.

    Raises:
        NonFiniteError: when a tile holds NaN or infinity.
    """
    decoder = _TileDecoder(vae, latents, plan, advance, mesh)
    context = decoder.gather_context()
    for tiles in _rounds(plan.vae_tiles, mesh):
        mels, _ = decoder.decode(tiles, context)
        for tile, mel in zip(tiles, np.asarray(mels), strict=False):
            yield mel[tile.part(vae.config.scale_factor)]


class _TileDecoder:
    """One sound on its way through the VAE; the arguments are those of `mel_blocks`."""

    def __init__(
        self, vae: VAE, latents: np.ndarray, plan: DecodingPlan, advance: Callable[[], None], mesh: Mesh | None
    ) -> None:
        self._vae = vae
        self._latents = vae.unscaled(latents)
        self._plan = plan
        self._advance = advance
        self._mesh = mesh

    def gather_context(self) -> Context:
        """Look at the whole sound for what its tiles have to know about it."""
        context, of_sample = self._look(no_corrections(self._vae))
        for _ in range(self._plan.passes):
            of_all = self._measure(context)
            corrections = tuple(map(correction_between, of_sample, of_all))
            context, of_sample = self._look(corrections)
        return context

    def decode(
        self, tiles: Sequence[Tile], context: Context
    ) -> tuple[Float[Array, "windows frames bins"], list[tuple[Moments, ...]]]:
        """The mel of the windows of a round of tiles, and what the normalisations saw in the part of each tile."""
        filled = _filled(tiles, self._mesh)
        where = _windows(filled, self._plan.frames)
        mel, measured = decode_window(self._vae, self._windows_of(filled), where, context, **_on(self._mesh))
        require_finite("VAE", mel)
        measured = jax.device_get(measured)
        for _ in tiles:
            self._advance()
        of_tiles = [
            tuple(Moments(*(values[place] for values in moments)) for moments in measured)
            for place in range(len(tiles))
        ]
        return mel, of_tiles

    def _look(self, corrections: tuple[Correction, ...]) -> tuple[Context, tuple[Moments, ...]]:
        """What the sample says with the corrections, and the moments that it says without them."""
        plan, mesh = self._plan, self._mesh
        tiles = plan.sample
        if mesh is not None:  # in what makes up the number, nothing counts
            tiles += (Tile(tiles[-1].start, tiles[-1].start, tiles[-1].start),) * (-len(tiles) % mesh.size)
        latents = np.stack([self._latents[tile.start : tile.start + plan.sample_size] for tile in tiles])
        sample = (self._vae, latents, _windows(tiles, plan.frames), corrections)
        has_keys = bool(self._vae.decoder.mid_block.attentions)
        far = self._gather_keys(look_for_keys(*sample, **_on(mesh))) if has_keys else None
        moments, measured = look_at_sample(*sample, far, **_on(mesh))
        self._advance()
        return Context(moments, far), measured

    def _measure(self, context: Context) -> tuple[Moments, ...]:
        """What the normalisations see in all tiles."""
        rounds = _rounds(self._plan.vae_tiles, self._mesh)
        parts = itertools.chain.from_iterable(self.decode(tiles, context)[1] for tiles in rounds)
        return functools.reduce(lambda first, second: tuple(map(merge, first, second)), parts)

    def _gather_keys(self, moments: tuple[Moments, ...]) -> FarKeys:
        """Keys of frames that are evenly spread over the sound."""
        plan = self._plan
        keys, values = [], []
        for tiles in _rounds(plan.vae_tiles, self._mesh):
            filled = _filled(tiles, self._mesh)
            wanted = [list(plan.keys_of(tile)) for tile in filled]
            given: tuple[Any, ...] = (self._vae, self._windows_of(filled), moments)
            if self._mesh is not None:  # so that what the devices tell each other is no more than is wanted
                frames = [numbers + [0] * (plan.most_keys - len(numbers)) for numbers in wanted]
                given = (*given, np.array(frames, np.int32))
                wanted = [list(range(len(numbers))) for numbers in wanted]
            key, value = map(np.asarray, keys_of_window(*given, **_on(self._mesh)))
            for place in range(len(tiles)):
                keys.append(key[place, wanted[place]])
                values.append(value[place, wanted[place]])
                self._advance()
        tokens = (jnp.asarray(np.concatenate(parts).reshape(-1, parts[0].shape[-1])) for parts in (keys, values))
        return FarKeys(*tokens, frames=jnp.asarray(plan.key_frames, jnp.int32))

    def _windows_of(self, tiles: Sequence[Tile]) -> Float[np.ndarray, "windows time frequency channels"]:
        return np.stack([self._latents[tile.start : tile.start + self._plan.vae_size] for tile in tiles])


def _windows(tiles: Sequence[Tile], total: int) -> Windows:
    parts = [(tile.start, tile.part().start, tile.part().stop) for tile in tiles]
    start, first, end = np.array(parts, np.int32).T
    return Windows(start, first, end, np.asarray(total, np.int32))


Item = TypeVar("Item")


def _rounds(items: Sequence[Item], mesh: Mesh | None) -> Iterator[Sequence[Item]]:
    """As many at a time as there are devices."""
    size = 1 if mesh is None else mesh.size
    return (items[start : start + size] for start in range(0, len(items), size))


def _filled(items: Sequence[Item], mesh: Mesh | None) -> list[Item]:
    """The items of a round, the last one repeated until each device has one."""
    return [*items, *[items[-1]] * (0 if mesh is None else mesh.size - len(items))]


def _on(mesh: Mesh | None) -> Any:
    """Keywords of a program for a mesh; without one, a program has none."""
    return {} if mesh is None else {"mesh": mesh}
