"""Decoding in tiles: what equals the whole, how near the rest comes, and what does not grow with the sound."""

import dataclasses
import gc

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from litefocus_jax.checkpoint.random_model import published_config, random_model
from litefocus_jax.checkpoint.weights import abstract
from litefocus_jax.decoding import sound, whole
from litefocus_jax.decoding.comparison import mel_error
from litefocus_jax.decoding.context import (
    FarKeys,
    Moments,
    attend_near_and_far,
    correct,
    correction_between,
    measure,
    merge,
    normalise,
)
from litefocus_jax.decoding.plan import (
    DecodingPlan,
    Reach,
    TilingConfig,
    cut_into_tiles,
    plan_decoding,
    vae_reach,
    vocoder_reach,
)
from litefocus_jax.decoding.programs import decode_window, keys_of_window, look_at_sample, look_for_keys, lower_programs
from litefocus_jax.decoding.sound import sound_blocks, vocode_blocks
from litefocus_jax.models.layers import GroupNorm
from litefocus_jax.models.vae import VAE, VAEConfig
from litefocus_jax.models.vocoder import Vocoder, VocoderConfig
from litefocus_jax.ops.attention import dot_product_attention
from litefocus_jax.system.waiting import NonFiniteError
from tests.support.compilations import compilations

VAE_CONFIG = VAEConfig.tiny()
VOCODER_CONFIG = VocoderConfig.tiny()
VAE_MODEL = random_model(VAE, VAE_CONFIG)
VOCODER = random_model(Vocoder, VOCODER_CONFIG)
TILING = TilingConfig(
    whole_up_to_in_s=0, tile_in_s=1.6, margin_in_s=0.2, sample_tiles=6, sample_in_s=1.92, keys_in_s=6.0, passes=2
)
CONVOLUTIONAL = dataclasses.replace(VAE_CONFIG, mid_block_add_attention=False)
# PyTorch's HiFi-GAN gives one sample more at odd differences of kernel size and rate, as the published one has.
UNEVEN = dataclasses.replace(
    VOCODER_CONFIG, upsample_rates=(3, 4), upsample_kernel_sizes=(4, 9), resblock_dilation_sizes=((1, 4), (2,))
)
CORRECTING = dataclasses.replace(VOCODER_CONFIG, mel_corrections=2)


def latents_that_change(frames: int, config: VAEConfig = VAE_CONFIG) -> np.ndarray:
    """Latents whose level and colour wander, so that no part of a sound speaks for all of it."""
    generator = np.random.default_rng(frames)
    noise = generator.standard_normal((frames, 8, config.latent_channels))
    colours = generator.standard_normal((frames // 40 + 2, 1, config.latent_channels))
    slow = np.stack([np.interp(np.arange(frames) / 40, np.arange(len(colours)), c) for c in colours[:, 0].T], axis=-1)
    return ((0.7 * noise + 0.5 * slow[:, None]) * config.scaling_factor).astype(np.float32)


def plan(frames: int, vae: VAEConfig = VAE_CONFIG, vocoder: VocoderConfig = VOCODER_CONFIG, **changes) -> DecodingPlan:
    return plan_decoding(vae, vocoder, frames, dataclasses.replace(TILING, **changes))


def frames_that_matter(decode, frames: int, shape: tuple[int, ...], scale: int) -> Reach:
    """The reach of a network at its middle frame, from the gradient of the outputs that belong to this frame."""
    middle = frames // 2
    weights = jax.random.normal(jax.random.key(1), (scale,))

    def outputs(x: jax.Array) -> jax.Array:
        return jnp.tensordot(weights, decode(x[None])[0, scale * middle : scale * (middle + 1)], axes=1).sum()

    gradient = jax.grad(outputs)(jax.random.normal(jax.random.key(0), (frames, *shape)))
    (seen,) = np.nonzero(np.abs(np.asarray(gradient)).sum(axis=tuple(range(1, gradient.ndim))))
    return Reach(middle - int(seen[0]), int(seen[-1]) - middle)


@pytest.mark.parametrize("config", [VOCODER_CONFIG, UNEVEN])
def test_the_vocoder_reaches_exactly_as_far_as_its_gradient(config):
    vocoder = random_model(Vocoder, config)
    found = frames_that_matter(vocoder, 61, (config.model_in_dim,), config.hop_length)
    assert found == vocoder_reach(config)


@pytest.mark.parametrize("layers_per_block", [1, 2])
def test_the_vae_reaches_exactly_as_far_as_its_gradient(layers_per_block, monkeypatch):
    # Without normalisations and attention, which see everything.
    monkeypatch.setattr(GroupNorm, "__call__", lambda norm, x: x)
    config = dataclasses.replace(CONVOLUTIONAL, layers_per_block=layers_per_block)
    vae = random_model(VAE, config)

    def run(layer, x):
        return layer(x) if isinstance(layer, GroupNorm) else layer.transform(x, normalise=lambda norm, x: x)

    found = frames_that_matter(lambda x: vae.decode(x, run), 61, (4, config.latent_channels), config.scale_factor)
    assert found == vae_reach(config)


def test_the_published_networks_reach_less_than_a_second():
    assert vae_reach(VAEConfig.from_dict(published_config("audioldm2", "vae"))) == (17, 17)
    assert vocoder_reach(VocoderConfig.from_dict(published_config("audioldm2", "vocoder"))) == (23, 23)


@pytest.mark.parametrize("length", [1, 19, 20, 21, 33, 34, 100, 101])
def test_tiles_hold_every_frame_once_with_all_that_it_reaches(length):
    tiles, reach = cut_into_tiles(length, 20, Reach(4, 3)), Reach(4, 3)
    assert [frame for tile in tiles for frame in range(tile.first, tile.end)] == list(range(length))
    for tile in tiles:
        assert tile.start <= max(0, tile.first - reach.before)
        assert tile.start + 20 >= min(length, tile.end + reach.after)
        assert tile.start >= 0
        assert tile.start + 20 <= max(length, 20)


def test_a_tile_that_is_all_overlap_is_refused():
    with pytest.raises(ValueError, match="a tile has 20 frames, of which 12 and 8 overlap its neighbours"):
        cut_into_tiles(100, 20, Reach(12, 8))


@pytest.mark.parametrize(
    ("field", "value"),
    [("tile_in_s", 0), ("sample_in_s", float("inf")), ("whole_up_to_in_s", -1), ("sample_tiles", 0), ("passes", -1)],
)
def test_a_setting_out_of_its_range_is_named(field, value):
    with pytest.raises(ValueError, match=f"{field} = {value}; expected"):
        TilingConfig(**{field: value})


@pytest.mark.parametrize("config", [VOCODER_CONFIG, UNEVEN, CORRECTING])
@pytest.mark.parametrize("frames", [240, 281])
def test_sound_in_tiles_equals_the_whole_whatever_the_blocks_of_its_spectrogram(config, frames):
    vocoder, size = random_model(Vocoder, config), 96
    tiles = cut_into_tiles(frames, size, vocoder_reach(config))
    mel = jax.random.normal(jax.random.key(0), (frames, config.model_in_dim)) - 5.0
    mels = iter(np.array_split(mel, [30, 31, 100]))
    blocks = [*vocode_blocks(vocoder, mels, dataclasses.replace(plan(40), vocoder_tiles=tiles, vocoder_size=size))]
    assert len(blocks) == len(tiles) > 2
    # What lies beyond a tile's reach has next to no say in a corrected sound: nearer than rounding it has to be.
    atol = 1e-7 if config is CORRECTING else 1e-5
    np.testing.assert_allclose(np.concatenate(blocks), whole.vocode(vocoder, mel[None])[0], atol=atol)


def test_the_vocoder_takes_no_more_of_the_spectrogram_than_its_next_tile_needs():
    taken = []

    def mels():
        for number in range(100):
            taken.append(number)
            yield np.zeros((10, VOCODER_CONFIG.model_in_dim), np.float32)

    tiles = cut_into_tiles(1000, 64, vocoder_reach(VOCODER_CONFIG))
    blocks = vocode_blocks(VOCODER, mels(), dataclasses.replace(plan(40), vocoder_tiles=tiles, vocoder_size=64))
    next(blocks)
    assert len(taken) == 7
    next(blocks)
    assert len(taken) == -(-(tiles[1].start + 64) // 10)


def test_moments_of_parts_are_those_of_all():
    norm = GroupNorm(2, 6, epsilon=1e-6, rngs=nnx.Rngs(0))
    x = 3.0 + jax.random.normal(jax.random.key(0), (1, 20, 4, 6)) * jnp.linspace(0.1, 2.0, 20)[None, :, None, None]
    first = jnp.arange(20)[None] < 7
    both = merge(measure(norm, x, first), measure(norm, x, ~first))
    expected = measure(norm, x, jnp.ones((1, 20), bool))
    for actual, wanted in zip(both, expected, strict=True):
        np.testing.assert_allclose(actual, wanted, rtol=1e-5)
    np.testing.assert_allclose(normalise(norm, x, expected), norm(x), atol=1e-5)


def test_a_sample_corrected_by_what_it_lacks_says_what_all_say():
    sample = Moments(jnp.array([1.0, 0.0]), jnp.array([4.0, 0.0]), jnp.float32(10))
    whole = Moments(jnp.array([3.0, 1.0]), jnp.array([1.0, 2.0]), jnp.float32(90))
    mean, variance, _ = correct(sample, correction_between(sample, whole))
    np.testing.assert_allclose(mean, whole.mean, rtol=1e-5)
    np.testing.assert_allclose(variance, whole.variance, rtol=1e-5)


def attend_to_sample(query, key, value, far_frames):
    """Attention of a sound's frames 10 to 20, with 13 to 18 near and the keys of some others in a sample."""

    def tokens(array, frames):
        return array[frames].reshape(-1, array.shape[-1])

    window, near = np.arange(10, 20), (jnp.int32(3), jnp.int32(8))
    query, near_key, near_value = (tokens(array, window) for array in (query, key, value))
    far = FarKeys(tokens(key, far_frames), tokens(value, far_frames), jnp.asarray(far_frames))
    return attend_near_and_far(
        query, near_key, near_value, far, start=jnp.int32(10), near=near, total=jnp.int32(len(key))
    )


def attend_to_all(query, key, value):
    query, key, value = (array.reshape(1, -1, 1, array.shape[-1]) for array in (query[10:20], key, value))
    return dot_product_attention(query, key, value)[0, :, 0]


def test_with_every_frame_at_hand_attention_is_that_of_the_whole_sound():
    query, key, value = jax.random.normal(jax.random.key(0), (3, 40, 2, 5))
    np.testing.assert_allclose(
        attend_to_sample(query, key, value, np.arange(40)), attend_to_all(query, key, value), atol=1e-5
    )


def test_a_frame_of_the_sample_stands_for_all_that_are_like_it():
    query, key, value = jax.random.normal(jax.random.key(0), (3, 40, 2, 5))
    key, value = (array.at[:13].set(array[0]).at[18:].set(array[0]) for array in (key, value))
    np.testing.assert_allclose(
        attend_to_sample(query, key, value, np.array([2, 14, 30])), attend_to_all(query, key, value), atol=1e-5
    )


def relative_errors(config: VAEConfig, passes: tuple[int, ...], **changes) -> list[float]:
    """Root mean squares of what tiles differ from the whole by, in standard deviations of the whole."""
    vae, latents = random_model(VAE, config), latents_that_change(200, config)
    mel = whole.decode_latents(vae, vae.unscaled(latents[None]))
    in_db = [mel_error(vae, latents, plan(200, config, passes=count, **changes)).root_mean_square for count in passes]
    return [error / float(np.std(mel) * 20 / np.log(10)) for error in in_db]


def test_passes_bring_the_normalisations_of_tiles_to_those_of_the_whole():
    once, twice, often = relative_errors(CONVOLUTIONAL, (1, 2, 5))
    assert once < 0.1
    assert twice < once / 3
    assert often < 1e-5


def test_with_the_keys_of_every_frame_the_tiles_come_to_the_whole():
    (error,) = relative_errors(VAE_CONFIG, (6,), keys_in_s=8.0)
    assert error < 1e-4


def test_the_more_frames_give_keys_the_nearer_the_tiles_come_to_the_whole():
    few, many = (relative_errors(VAE_CONFIG, (2,), keys_in_s=seconds)[0] for seconds in (1.0, 6.0))
    assert many < few / 2
    assert many < 0.1


def decoded(frames: int, on_progress=lambda done: None, **changes):
    """Blocks of a sound."""
    return sound_blocks(VAE_MODEL, VOCODER, latents_that_change(frames), plan(frames, **changes), on_progress)


def test_a_longer_sound_takes_neither_more_device_memory_nor_another_program():
    programs = (look_for_keys, keys_of_window, look_at_sample, decode_window, whole.vocode)
    gc.collect()  # what earlier tests left behind
    peaks = []
    for frames in (161, 320):
        with compilations() as compiled:
            peaks.append(max(sum(array.nbytes for array in jax.live_arrays()) for _ in decoded(frames)))
    assert peaks[0] == peaks[1]
    assert [message for message in compiled if any(program.__name__ in message for program in programs)] == []


@pytest.mark.parametrize("config", [VAE_CONFIG, CONVOLUTIONAL])
@pytest.mark.parametrize("whole_up_to_in_s", [0, 4])
def test_the_programs_told_beforehand_are_those_that_run(config, whole_up_to_in_s, monkeypatch):
    vae, cut = random_model(VAE, config), plan(60, config, passes=1, whole_up_to_in_s=whole_up_to_in_s)
    of_vae, of_vocoder = lower_programs(abstract(VAE, config), abstract(Vocoder, VOCODER_CONFIG), cut, 8)
    seen = set()

    def recorded(program):
        def call(*arguments):
            seen.add(program.lower(*arguments).as_text())
            return program(*arguments)

        return call

    for name in ("look_for_keys", "keys_of_window", "look_at_sample", "decode_window"):
        monkeypatch.setattr(sound, name, recorded(getattr(sound, name)))
    for name in ("decode_latents", "vocode"):
        monkeypatch.setattr(whole, name, recorded(getattr(whole, name)))
    assert [*sound_blocks(vae, VOCODER, latents_that_change(60), cut)]
    assert seen == {program.as_text() for program in of_vae + of_vocoder}


def test_progress_counts_every_window_of_a_long_sound():
    seen = []
    samples = sum(map(len, decoded(100, seen.append)))
    assert seen == list(range(1, plan(100).steps + 1))
    assert samples == len(whole_sound(100))


def whole_sound(frames: int) -> np.ndarray:
    latents = VAE_MODEL.unscaled(latents_that_change(frames)[None])
    return np.asarray(whole.vocode(VOCODER, whole.decode_latents(VAE_MODEL, latents))[0])


def test_a_short_sound_is_decoded_whole_to_the_same_bits():
    (block,) = decoded(100, whole_up_to_in_s=4.0)
    assert block.tobytes() == whole_sound(100).tobytes()
    assert not plan(101, whole_up_to_in_s=4.0).is_whole


def test_a_tile_that_is_not_finite_is_named_by_its_stage(monkeypatch):
    latents = latents_that_change(100)
    latents[90] = np.nan
    with pytest.raises(NonFiniteError, match="the VAE returned NaN"):
        next(sound_blocks(VAE_MODEL, VOCODER, latents, plan(100)))
    monkeypatch.setattr(whole, "vocode", lambda *arguments: jnp.full((1, 10), jnp.nan))
    with pytest.raises(NonFiniteError, match="the vocoder returned NaN"):
        next(decoded(100))
