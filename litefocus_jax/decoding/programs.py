"""The compiled functions that decode windows of a sound, given what they have to know about the rest of it.

Letters in shape comments: B windows, T latent frames of a window, F frequencies, C channels.
"""

import functools
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.sharding import Mesh
from jax.stages import Lowered
from jaxtyping import Array, Bool, Float, Int

from litefocus_jax.decoding.context import (
    Correction,
    FarKeys,
    Moments,
    attend_near_and_far,
    correct,
    measure,
    no_correction,
    normalise,
)
from litefocus_jax.decoding.plan import KEY_REACH, DecodingPlan
from litefocus_jax.decoding.whole import decode_latents, vocode
from litefocus_jax.models.layers import GroupNorm, Normalise, ResnetBlock
from litefocus_jax.models.vae import VAE, SpatialAttention
from litefocus_jax.models.vocoder import Vocoder
from litefocus_jax.parallel.mesh import EVERYWHERE, along_all, map_shares
from litefocus_jax.system.platform import LowMemoryJit

DecodingPrograms = tuple[list[Lowered], list[Lowered]]
"""Those of the VAE and those of the vocoder, which run one at a time."""


class Windows(NamedTuple):
    """Where some windows of one size lie in a sound.

    Attributes:
        start: number of each window's first frame within the sound.
        first: first frame that counts, within the window.
        end: frame after the last one that counts, within the window.
        total: frames of the sound.
    """

    start: Int[Array | np.ndarray, " windows"]
    first: Int[Array | np.ndarray, " windows"]
    end: Int[Array | np.ndarray, " windows"]
    total: Int[Array | np.ndarray, ""]

    def mask(self, positions: int, scale: int) -> Bool[Array, "windows positions"]:
        """Which positions count, where every frame has ``scale`` of them."""
        numbers = jnp.arange(positions)[None]
        return (numbers >= scale * self.first[:, None]) & (numbers < scale * self.end[:, None])


class Context(NamedTuple):
    """What a tile has to know about the whole sound.

    Attributes:
        moments: moments of every group normalisation, in the order in which these run.
        far: keys for the middle attention; None where the VAE has none.
    """

    moments: tuple[Moments, ...]
    far: FarKeys | None


@functools.partial(LowMemoryJit, static_argnames="mesh")
def look_for_keys(
    vae: VAE,
    latents: Float[Array, "windows time frequency channels"],
    windows: Windows,
    corrections: tuple[Correction, ...],
    *,
    mesh: Mesh | None = None,
) -> tuple[Moments, ...]:
    """`look_at_sample` as far as the middle attention: what `keys_of_window` takes."""

    def look(vae: VAE, latents: Array, windows: Windows, corrections: tuple[Correction, ...]) -> tuple[Moments, ...]:
        norms = _SharedNorms(windows, latents.shape[1], corrections, mesh)
        _keys(vae, latents, norms)
        return tuple(norms.used)

    if mesh is not None:
        specs = (EVERYWHERE, along_all(mesh), _windows_specs(mesh), EVERYWHERE)
        look = map_shares(mesh, look, specs, results=EVERYWHERE)
    return look(vae, latents, windows, corrections)


@functools.partial(LowMemoryJit, static_argnames="mesh")
def keys_of_window(
    vae: VAE,
    latents: Float[Array, "windows time frequency channels"],
    moments: tuple[Moments, ...],
    frames: Int[Array | np.ndarray, "windows frames"] | None = None,
    *,
    mesh: Mesh | None = None,
) -> tuple[Float[Array, "windows frames frequency channels"], Float[Array, "windows frames frequency channels"]]:
    """Keys and values of the middle attention.

    Args:
        vae: its decoder, which has this attention.
        latents: one window of the VAE's own (`VAE.unscaled`); of a mesh one for each device.
        moments: from `look_for_keys`.
        frames: numbers of the window's frames whose keys are wanted; all unless given.
        mesh: devices that share the windows.
    """

    def look(
        vae: VAE, latents: Array, moments: tuple[Moments, ...], frames: Array | np.ndarray | None
    ) -> tuple[Array, Array]:
        given = iter(moments)
        keys, values = _keys(vae, latents, lambda norm, x: normalise(norm, x, next(given)))
        return (keys, values) if frames is None else (keys[:, frames[0]], values[:, frames[0]])

    if mesh is not None:
        look = map_shares(mesh, look, (EVERYWHERE, along_all(mesh), EVERYWHERE, along_all(mesh)))
    return look(vae, latents, moments, frames)


@functools.partial(LowMemoryJit, static_argnames="mesh")
def look_at_sample(
    vae: VAE,
    latents: Float[Array, "windows time frequency channels"],
    windows: Windows,
    corrections: tuple[Correction, ...],
    far: FarKeys | None,
    *,
    mesh: Mesh | None = None,
) -> tuple[tuple[Moments, ...], tuple[Moments, ...]]:
    """Decode windows that share their normalisations.

    Args:
        vae: its decoder.
        latents: the windows of the VAE's own.
        windows: where they lie.
        corrections: made to the moments of each normalisation before they are used.
        far: keys for the middle attention.
        mesh: devices that share the windows, of which there is a multiple of them; one in which nothing counts may
            make up the number.

    Returns:
        The moments of each normalisation as they were used, and as they were before their correction.
    """

    def look(
        vae: VAE, latents: Array, windows: Windows, corrections: tuple[Correction, ...], far: FarKeys | None
    ) -> tuple[tuple[Moments, ...], tuple[Moments, ...]]:
        norms = _SharedNorms(windows, latents.shape[1], corrections, mesh)
        _decode(vae, latents, norms, far, windows)
        return tuple(norms.used), tuple(norms.measured)

    if mesh is not None:
        specs = (EVERYWHERE, along_all(mesh), _windows_specs(mesh), EVERYWHERE, EVERYWHERE)
        look = map_shares(mesh, look, specs, results=EVERYWHERE)
    return look(vae, latents, windows, corrections, far)


@functools.partial(LowMemoryJit, static_argnames="mesh")
def decode_window(
    vae: VAE,
    latents: Float[Array, "windows time frequency channels"],
    windows: Windows,
    context: Context,
    *,
    mesh: Mesh | None = None,
) -> tuple[Float[Array, "windows mel_frames mel_bins"], tuple[Moments, ...]]:
    """One window of the log-mel spectrogram, and what each normalisation saw in the part of it that counts.

    Args:
        vae: its decoder.
        latents: the window, of the VAE's own; of a mesh one for each device.
        windows: where it lies.
        context: what it has to know about the whole sound.
        mesh: devices that share the windows.

    Returns:
        The spectrogram and the moments, whose arrays begin with an axis of windows too.
    """

    def decode(vae: VAE, latents: Array, windows: Windows, context: Context) -> tuple[Array, tuple[Moments, ...]]:
        size = latents.shape[1]
        given = iter(context.moments)
        measured: list[Moments] = []

        def normalise_as_given(norm: GroupNorm, x: Array) -> Array:
            measured.append(measure(norm, x, windows.mask(x.shape[1], x.shape[1] // size)))
            return normalise(norm, x, next(given))

        mel = _decode(vae, latents, normalise_as_given, context.far, windows)
        return mel, jax.tree.map(lambda moment: moment[None], tuple(measured))

    if mesh is not None:
        decode = map_shares(mesh, decode, (EVERYWHERE, along_all(mesh), _windows_specs(mesh), EVERYWHERE))
    return decode(vae, latents, windows, context)


def _windows_specs(mesh: Mesh) -> Any:
    """How `Windows` lie on the devices that share them."""
    return Windows(along_all(mesh), along_all(mesh), along_all(mesh), EVERYWHERE)  # pyright: ignore[reportArgumentType]


class _SharedNorms:
    """Normalises with the moments of all windows together, corrected; keeps both kinds in the order of the layers."""

    def __init__(self, windows: Windows, size: int, corrections: tuple[Correction, ...], mesh: Mesh | None) -> None:
        self._windows = windows
        self._size = size
        self._corrections = iter(corrections)
        self._axes = () if mesh is None else mesh.axis_names
        self.measured: list[Moments] = []
        self.used: list[Moments] = []

    def __call__(self, norm: GroupNorm, x: Array) -> Array:
        mask = self._windows.mask(x.shape[1], x.shape[1] // self._size)
        self.measured.append(measure(norm, x, mask, axes=self._axes))
        self.used.append(correct(self.measured[-1], next(self._corrections)))
        return normalise(norm, x, self.used[-1])


def _decode(vae: VAE, latents: Array, normalise: Normalise, far: FarKeys | None, windows: Windows) -> Array:
    """The VAE's decoder, with other normalisations and with keys from outside of the windows."""

    def attend(query: Array, key: Array, value: Array) -> Array:
        assert far is not None
        return _attend_in_turn(query, key, value, far, windows)

    def run(layer: Any, x: Array) -> Array:
        if isinstance(layer, GroupNorm):
            return normalise(layer, x)
        if isinstance(layer, SpatialAttention):
            return layer(x, normalise=normalise, attend=attend)
        assert isinstance(layer, ResnetBlock)
        return layer.transform(x, normalise=normalise)

    return vae.decode(latents, run)[..., 0]


def _keys(vae: VAE, latents: Array, normalise: Normalise) -> tuple[Array, Array]:
    """Keys and values of the middle attention, by the part of the decoder that comes before it."""
    if vae.post_quant_conv is not None:
        latents = vae.post_quant_conv(latents)
    middle = vae.decoder.mid_block
    x = middle.resnets[0].transform(vae.decoder.conv_in(latents), normalise=normalise)
    tokens = normalise(middle.attentions[0].group_norm, x)
    return middle.attentions[0].to_k(tokens), middle.attentions[0].to_v(tokens)  # [B, T, F, C] each


def _attend_in_turn(query: Array, key: Array, value: Array, far: FarKeys, windows: Windows) -> Array:
    """`attend_near_and_far` for one window after another. Keys that were made at a window's cut do not count."""
    frames = query.shape[1] // far.frequencies

    def attend(window: tuple[Array, ...]) -> Array:
        query, key, value, start = window
        near = (
            jnp.where(start > 0, KEY_REACH, 0),
            jnp.where(start + frames < windows.total, frames - KEY_REACH, frames),
        )
        return attend_near_and_far(query, key, value, far, start=start, near=near, total=jnp.asarray(windows.total))

    tokens = (query[:, :, 0], key[:, :, 0], value[:, :, 0], jnp.asarray(windows.start))
    return jax.lax.map(attend, tokens)[:, :, None]


def no_corrections(vae: VAE) -> tuple[Correction, ...]:
    """The corrections that change nothing, one for every normalisation of the decoder."""
    norms = sum(isinstance(module, GroupNorm) for _, module in nnx.iter_modules(vae.decoder))
    return (no_correction(vae.config.norm_num_groups),) * norms


def lower_programs(
    vae: VAE, vocoder: Vocoder, plan: DecodingPlan, frequencies: int, mesh: Mesh | None = None
) -> DecodingPrograms:
    """The programs that decode.

    Args:
        vae: the VAE; shapes in place of its weights will do.
        vocoder: the vocoder; shapes in place of its weights will do.
        plan: from `litefocus_jax.decoding.plan.plan_decoding`.
        frequencies: frequencies of the latents.
        mesh: devices that share the tiles of a sound, and each have the weights.
    """
    size = plan.frames if plan.is_whole else plan.vae_size
    mesh, devices = (None, 1) if mesh is None or plan.is_whole else (mesh, mesh.size)
    latents = _float32(devices, size, frequencies, vae.config.latent_channels)
    if plan.is_whole:
        mel = jax.eval_shape(decode_latents, vae, latents)
        return [decode_latents.lower(vae, latents)], [vocode.lower(vocoder, mel)]

    on: Any = {} if mesh is None else {"mesh": mesh}
    count = -(-len(plan.sample) // devices) * devices
    sampled = _float32(count, plan.sample_size, *latents.shape[2:])
    sample = (vae, sampled, _windows_shape(count), no_corrections(vae))
    programs = []
    far = None
    if vae.decoder.mid_block.attentions:
        first_moments = jax.eval_shape(functools.partial(look_for_keys, **on), *sample)
        frames = None if mesh is None else _int32(devices, plan.most_keys)
        programs += [
            look_for_keys.lower(*sample, **on),
            keys_of_window.lower(vae, latents, first_moments, frames, **on),
        ]
        tokens = _float32(len(plan.key_frames) * frequencies, vae.config.block_out_channels[-1])
        far = FarKeys(tokens, tokens, _int32(len(plan.key_frames)))
    moments, _ = jax.eval_shape(functools.partial(look_at_sample, **on), *sample, far)
    programs += [
        look_at_sample.lower(*sample, far, **on),
        decode_window.lower(vae, latents, _windows_shape(devices), Context(moments, far), **on),
    ]
    mel = _float32(devices, plan.vocoder_size, vocoder.config.model_in_dim)
    return programs, [vocode.lower(vocoder, mel, **on)]


def _windows_shape(count: int) -> Windows:
    return Windows(_int32(count), _int32(count), _int32(count), _int32())


def _int32(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.int32)


def _float32(*shape: int) -> Any:
    return jax.ShapeDtypeStruct(shape, jnp.float32)
