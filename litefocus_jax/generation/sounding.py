"""From latents to the sound of a request: decoded, and where a sound was given, put back into it."""

from collections.abc import Callable, Iterator

import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float

from litefocus_jax.audio.levels import made_audible
from litefocus_jax.audio.splicing import CROSS_FADE_IN_S, spliced
from litefocus_jax.decoding.loop import frames_beyond, loop_blocks
from litefocus_jax.decoding.plan import DecodingPlan, TilingConfig, plan_decoding
from litefocus_jax.decoding.sound import sound_blocks, whole_sounds
from litefocus_jax.generation.networks import Networks
from litefocus_jax.generation.request import Request
from litefocus_jax.models.components import Components
from litefocus_jax.system.progress import busy, progress_bar

Blocks = Iterator[Float[np.ndarray, " samples"]]
SoundBlocks = Iterator[Float[np.ndarray, "samples ..."]]
"""Of one channel, or of left and right: ``[samples, 2]``."""


class Decoder:
    """A model's VAE and vocoder, which make sound of latents.

    Args:
        components: the model.
        networks: of the model.
    """

    def __init__(self, components: Components, networks: Networks) -> None:
        self._components, self._networks = components, networks
        self._geometry = components.facts.geometry

    def plan(self, frames: int, tiling: TilingConfig, *, loop: bool = False) -> DecodingPlan:
        """How sound of some latent frames is decoded; of a loop with its ends, see `loop_blocks`."""
        vae, vocoder = self._components.vae.config, self._components.vocoder.config
        plan = plan_decoding(vae, vocoder, frames, tiling)
        if plan.is_whole or not loop:
            return plan
        return plan_decoding(vae, vocoder, frames + 2 * frames_beyond(vae, vocoder, frames), tiling)

    def blocks(
        self,
        latents: Float[Array | np.ndarray, "time frequency channels"],
        audio_length_in_s: float | None,
        tiling: TilingConfig,
        *,
        loop: bool,
        progress: bool,
        mesh: Mesh | None = None,
    ) -> Blocks:
        """Decode one sound block by block; the arguments and errors are those of `AudioLDM2Pipeline.decode_blocks`.

        Args:
            latents: of one sound.
            audio_length_in_s: seconds of it; all unless given, and of a loop.
            tiling: how long sounds are decoded.
            loop: whether the end runs on into the beginning.
            progress: draw a bar.
            mesh: devices that share the tiles of a long sound; of several processes, all of them take every block.
        """
        samples = self._samples(latents, audio_length_in_s, loop=loop)
        return self._decode(latents, self.plan(len(latents), tiling, loop=loop), samples, loop, progress, mesh)

    def sounds(
        self,
        latents: Float[Array | np.ndarray, "sounds time frequency channels"],
        audio_length_in_s: float | None,
        tiling: TilingConfig,
        *,
        loop: bool,
        progress: bool,
        mesh: Mesh | None,
    ) -> Iterator[Blocks]:
        """Decode sounds, one after another or several at a time; takes what `blocks` does.

        The blocks of one sound are to be taken before the next sound is.
        """
        if mesh is None or len(latents) < 2 or not self.plan(latents.shape[1], tiling, loop=loop).is_whole:
            for sound in latents:
                yield self.blocks(sound, audio_length_in_s, tiling, loop=loop, progress=progress, mesh=mesh)
            return
        samples = self._samples(latents[0], audio_length_in_s, loop=loop)
        decoders = self._networks.decoders(loop=loop, mesh=mesh)
        with progress_bar("Decoding", len(latents), enabled=progress) as on_progress:
            for number, waveform in enumerate(whole_sounds(*decoders, latents, mesh)):
                on_progress(number + 1)
                yield iter([waveform[:samples]])

    def _samples(
        self,
        latents: Float[Array | np.ndarray, "time frequency channels"],
        audio_length_in_s: float | None,
        *,
        loop: bool,
    ) -> int:
        """Samples of a sound that is asked for.

        Raises:
            ValueError: from `AudioLDM2Pipeline.decode_blocks`.
        """
        geometry = self._geometry
        expected = (geometry.frequencies, geometry.channels)
        if latents.ndim != 3 or latents.shape[1:] != expected or not len(latents):
            raise ValueError(f"latents has shape {latents.shape}; expected [time, {expected[0]}, {expected[1]}]")
        longest = len(latents) * geometry.samples_per_latent_frame
        samples = longest if loop or audio_length_in_s is None else geometry.samples(audio_length_in_s)
        if not 0 < samples <= longest:
            raise ValueError(
                f"audio_length_in_s = {audio_length_in_s}; expected at most the {longest / geometry.sampling_rate:g} s "
                "that the latents hold, and more than none"
            )
        return samples

    def _decode(
        self,
        latents: Array | np.ndarray,
        plan: DecodingPlan,
        samples: int,
        loop: bool,
        progress: bool,
        mesh: Mesh | None,
    ) -> Blocks:
        mesh = None if plan.is_whole else mesh
        decoders = self._networks.decoders(loop=loop and plan.is_whole, mesh=mesh)
        decode = loop_blocks if loop else sound_blocks
        note = busy("Decoding (at first, compiling VAE and vocoder)", enabled=progress and plan.is_whole)
        with note, progress_bar("Decoding", plan.steps, enabled=progress and not plan.is_whole) as on_progress:
            for block in decode(*decoders, latents, plan, on_progress, mesh):
                if samples > 0:
                    yield block[:samples]
                samples -= len(block)


def sound_of_request(
    request: Request,
    latents: Float[Array | np.ndarray, "*sides time frequency channels"],
    decode: Callable[..., Blocks],
    *,
    progress: bool,
) -> SoundBlocks:
    """The sound that a request asks for, block by block; what was given and is not made anew is in it as it was given.

    With stereo, the latents of both sides become blocks ``[samples, 2]``.

    Args:
        request: what was asked for.
        latents: of one sound, ``[time, frequency, channel]``, with stereo ``[2, time, frequency, channel]``.
        decode: `AudioLDM2Pipeline.decode_blocks`.
        progress: draw a bar.
    """
    decoded = [
        decode(side, request.audio_length_in_s, loop=request.plan.loop, progress=progress)
        for side in latents.reshape(request.sides, *latents.shape[-3:])
    ]
    blocks = decoded[0] if request.sides == 1 else (np.stack(sides, axis=-1) for sides in zip(*decoded, strict=True))
    return _as_asked(request, blocks)


def sounds_of_request(
    request: Request,
    latents: Float[Array | np.ndarray, "sounds *sides time frequency channels"],
    decoder: Decoder,
    tiling: TilingConfig,
    *,
    mesh: Mesh | None,
    progress: bool,
) -> Iterator[SoundBlocks]:
    """Sounds that a request asks for, one after another; each is to be taken before the next.

    Args:
        request: what was asked for.
        latents: of the sounds that are wanted.
        decoder: of the model.
        tiling: how long sounds are decoded.
        mesh: devices that share the decoding.
        progress: draw bars.
    """
    sides = latents.reshape(-1, *latents.shape[-3:])
    decoded = decoder.sounds(
        sides, request.audio_length_in_s, tiling, loop=request.plan.loop, progress=progress, mesh=mesh
    )
    sounds = decoded if request.sides == 1 else _joined(decoded, request.sides)
    return (_as_asked(request, blocks) for blocks in sounds)


def _joined(decoded: Iterator[Blocks], sides: int) -> Iterator[SoundBlocks]:
    """As many sides as a sound has, each of which is to be taken before the next, as that sound."""
    for first in decoded:
        of_sides = [[*first], *([*next(decoded)] for _ in range(sides - 1))]
        yield iter([np.stack(blocks, axis=-1) for blocks in zip(*of_sides, strict=True)])


def _as_asked(request: Request, blocks: SoundBlocks) -> SoundBlocks:
    """A sound as it was decoded, made audible; or with what was given and is not made anew in its place."""
    edit = request.edit
    if request.least_level is not None:
        return made_audible(blocks, request.least_level)
    if edit is None or not edit.spans:
        return blocks
    fade = round(CROSS_FADE_IN_S * edit.sampling_rate)
    return spliced(blocks, edit.waveform, edit.spans, fade, loop=request.plan.loop)
