"""Training of the bundled model's VAE and vocoder, at sizes that take no time, and the measures of what they lose."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from examples.foley import autoencoder, spectra, vocoder
from examples.foley.discriminators import (
    DiscriminatorConfig,
    Discriminators,
    discriminator_loss,
    feature_distance,
    persuasion_loss,
)
from examples.foley.harmonics import harmonic_amplitudes, harmonic_vocoder
from examples.foley.learner import DecoderBudget, begin, learn, optimiser
from examples.foley.reconstruction import buzz_in_db, strongest_line
from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.models.vae import VAE, VAEConfig
from litefocus_jax.models.vocoder import Vocoder, VocoderConfig

RATE = 16000
BUDGET = DecoderBudget(
    autoencoder_steps=10,
    autoencoder_batch=2,
    autoencoder_frames=8,
    vocoder_steps=4,
    adversarial_steps=2,
    vocoder_batch=2,
    vocoder_frames=10,
)
# One level and one rate: as little to compile as the architecture allows.
SMALL_VAE = VAEConfig(
    in_channels=1,
    out_channels=1,
    down_block_types=("DownEncoderBlock2D",),
    up_block_types=("UpDecoderBlock2D",),
    block_out_channels=(4,),
    latent_channels=2,
    norm_num_groups=2,
    mid_block_add_attention=False,
)
SMALL_VOCODER = VocoderConfig(
    model_in_dim=64,
    upsample_initial_channel=8,
    upsample_rates=(160,),
    upsample_kernel_sizes=(160,),
    resblock_kernel_sizes=(3,),
    resblock_dilation_sizes=((1,),),
    normalize_before=False,
)
HARMONIC_VOCODER = dataclasses.replace(
    SMALL_VOCODER, upsample_initial_channel=192, upsample_rates=(10, 16), upsample_kernel_sizes=(30, 16)
)


def noise(*shape: int, level: float = 0.1, seed: int = 0) -> np.ndarray:
    return (level * np.random.default_rng(seed).standard_normal(shape)).astype(np.float32)


def tone(frequency: float, seconds: float = 2.0) -> np.ndarray:
    return 0.3 * np.sin(2.0 * np.pi * frequency * np.arange(round(seconds * RATE)) / RATE)


def clips(count: int = 3, frames: int = 16) -> tuple[np.ndarray, np.ndarray]:
    """16-bit sounds and their log-mels, as a corpus holds them."""
    waveforms = noise(count, 160 * frames)
    mels = np.stack([log_mel_spectrogram(waveform, RATE)[:frames] for waveform in waveforms])
    return np.round(32767 * waveforms).astype(np.int16), mels.astype(np.float16)


def test_log_mels_are_those_of_the_library():
    waveforms = noise(2, 2000) * np.array([[1.0], [0.001]], np.float32)
    waveforms[1, 1000:] = 0.0
    expected = np.stack([log_mel_spectrogram(waveform, RATE) for waveform in waveforms])
    np.testing.assert_allclose(spectra.log_mel(jnp.asarray(waveforms)), expected, atol=2e-4)


def test_log_mels_of_silence_have_a_finite_slope():
    slope = jax.grad(lambda sound: sum(spectra.mel_distances(sound, jnp.ones((1, 1200)))))(jnp.zeros((1, 1200)))
    assert np.isfinite(slope).all()


def test_leaving_a_tone_out_costs_more_than_noise_beside_it():
    chirp = jnp.zeros((1, 8000)).at[0, 2000:3600].set(tone(4500.0, 0.1))
    noisy, of_noisy = vocoder.sound_loss(chirp + noise(1, 8000, level=0.01), chirp)
    silent, of_silent = vocoder.sound_loss(jnp.zeros((1, 8000)), chirp)
    assert noisy < silent
    audible, left_out = (3.0 * figures["mel_l1"] + figures["spectral"] for figures in (of_noisy, of_silent))
    assert audible < 0.5 * left_out


def test_noise_far_under_a_tone_counts_in_the_deep_distance_alone():
    clean = jnp.asarray(tone(1000.0), jnp.float32)[None]
    noisy = clean + noise(*clean.shape, level=1e-5)
    audible, deep = spectra.mel_distances(noisy, clean)
    assert deep > 10 * audible
    assert spectra.mel_distances(clean, clean)[1] == 0.0


def test_silence_has_no_say_in_the_deep_distance():
    silence = jnp.zeros((1, 8000))
    slope = jax.grad(lambda sound: spectra.mel_distances(sound, silence)[1])(noise(1, 8000, level=0.1))
    assert np.abs(slope).max() < 1e-8


def test_sound_too_short_to_reflect_is_an_error():
    with pytest.raises(ValueError, match=r"waveforms has 512 samples; expected more than 512"):
        spectra.log_mel(jnp.zeros((1, 512)))


def test_spectral_distance_grows_with_a_second_line_beside_a_tone():
    real = jnp.asarray(tone(1000.0, 0.2), jnp.float32)[None]
    beside = jnp.asarray(tone(1100.0, 0.2), jnp.float32)[None]
    distances = [float(spectra.spectral_distance(real + gain * beside, real)) for gain in (0.0, 0.03, 0.3)]
    assert distances[0] == pytest.approx(0.0, abs=1e-3)
    assert distances[0] < distances[1] < distances[2]


def test_updates_of_the_autoencoder_lower_the_loss_on_one_batch():
    _, mels = clips()
    graph, weights = nnx.split(autoencoder.normalised_vae(SMALL_VAE, *autoencoder.mel_statistics(mels), seed=0))
    transformation = optimiser(100, 3e-3)
    update = jax.jit(autoencoder.autoencoder_update(graph, transformation))
    learner, losses = begin(weights, transformation), []
    for _ in range(12):
        learner, figures = update(learner, jnp.asarray(mels, jnp.float32), jax.random.key(0))
        losses.append(float(figures["loss"]))
    assert losses[-1] < 0.8 * losses[0]
    assert int(learner.updates) == 12


def test_an_untrained_autoencoder_starts_at_the_level_of_its_mels():
    vae = autoencoder.normalised_vae(SMALL_VAE, -6.0, 0.5, seed=0)
    flat = jnp.full((1, 8, 64, 1), -6.0)
    inside = vae.decode(vae.encode(flat).mean)[0, 2:-2, 2:-2, 0]
    assert float(inside.mean()) == pytest.approx(-6.0, abs=1.0)


def test_the_scaling_factor_is_one_over_the_deviation_of_latents():
    _, mels = clips()
    vae = VAE(SMALL_VAE, rngs=nnx.Rngs(0))
    factor = autoencoder.scaling_factor(vae, mels, clips=3)
    scaled = autoencoder.rescaled(vae, factor)
    assert scaled.config.scaling_factor == factor
    latents = scaled.encode(jnp.asarray(mels, jnp.float32)[..., None])
    assert factor * float(jnp.std(latents.sample(jax.random.key(1)))) == pytest.approx(1.0, rel=0.1)


def test_crops_follow_from_the_seed_and_the_number_of_the_update():
    _, mels = clips()
    first, again, other = (autoencoder.mel_crops(mels, BUDGET, 0, index) for index in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert first.shape == other.shape == (2, 8, 64)
    assert not np.array_equal(first, other)


def test_the_last_crops_of_the_autoencoder_are_whole_clips_and_fewer():
    _, mels = clips()
    assert autoencoder.mel_crops(mels, BUDGET, 0, 9).shape == (1, 16, 64)


def test_sound_and_mel_of_a_crop_belong_together():
    waveforms, mels = clips(frames=40)
    hearing = vocoder.Hearing(waveforms, mels, mels, DecoderBudget(**{**vars(BUDGET), "vocoder_frames": 20}), seed=0)
    crops = hearing(0)
    assert crops.waveform.shape == (2, 3200)
    found = np.stack([log_mel_spectrogram(waveform, RATE)[:20] for waveform in np.asarray(crops.waveform)])
    # The crop's ends are reflected, where the clip went on.
    np.testing.assert_allclose(found[:, 4:-4], crops.mel[:, 4:-4], atol=0.02)


def test_three_crops_of_four_are_as_the_unet_draws_them():
    waveforms, mels = clips()
    budget = dataclasses.replace(BUDGET, vocoder_batch=5)
    crops = vocoder.Hearing(waveforms, mels, np.full_like(mels, 7.0), budget, seed=0)(0)
    assert [bool((mel == 7.0).all()) for mel in crops.mel] == [False, True, True, True, False]


def test_an_orthogonal_update_moves_all_directions_of_a_kernel_alike():
    generator = np.random.default_rng(0)
    weights = {"kernel": jnp.zeros((3, 8, 6)), "bias": jnp.zeros(6), "one_channel": jnp.zeros((3, 8, 1))}
    gradients = jax.tree.map(lambda leaf: jnp.asarray(generator.normal(size=leaf.shape), jnp.float32), weights)
    gradients["kernel"] *= jnp.array([100.0, 1.0, 1.0, 1.0, 1.0, 1.0])
    transformation = optimiser(100, 1e-2, orthogonal=True)
    changed = learn(begin(weights, transformation), gradients, transformation).weights
    stretches = np.linalg.svd(np.asarray(changed["kernel"]).reshape(24, 6), compute_uv=False)
    assert stretches.max() < 2.0 * stretches.min()
    # The first change of AdamW is as long for every number, and against its gradient.
    for name in ("bias", "one_channel"):
        lengths = -np.asarray(changed[name] * jnp.sign(gradients[name]))
        np.testing.assert_allclose(lengths, lengths.max(), rtol=1e-3)
        assert lengths.max() > 0.0


@pytest.fixture(scope="module")
def sounding():
    """A small vocoder taken apart, and crops for it."""
    waveforms, mels = clips()
    crops = vocoder.Hearing(waveforms, mels, mels, BUDGET, seed=0)(0)
    return nnx.split(Vocoder(SMALL_VOCODER, rngs=nnx.Rngs(0)), nnx.Param, ...), crops


def test_an_orthogonal_update_of_one_array_does_not_depend_on_the_gradient_of_another():
    weights = {"kernel": jnp.ones((3, 4, 5)), "bias": jnp.ones(5)}
    transformation = optimiser(100, 1e-2, orthogonal=True)
    kernel = jax.random.normal(jax.random.key(0), (3, 4, 5))
    small, large = (
        learn(begin(weights, transformation), {"kernel": kernel, "bias": jnp.full(5, size)}, transformation).weights
        for size in (1e-3, 1e6)
    )
    np.testing.assert_allclose(small["kernel"], large["kernel"], rtol=1e-6)


def test_amplitudes_of_harmonics_are_those_of_a_chord():
    chord = tone(300.0) + 0.1 * tone(2500.0)
    amplitudes = harmonic_amplitudes(log_mel_spectrogram(chord, RATE)[10:-10])
    np.testing.assert_allclose(amplitudes[:, 2], 0.3, rtol=0.05)
    np.testing.assert_allclose(amplitudes[:, 24], 0.03, rtol=0.05)


@pytest.fixture(scope="module")
def levels() -> np.ndarray:
    """Log-mels of tones on multiples of 100 Hz, soft and loud."""
    generator = np.random.default_rng(0)
    tones = [tone(100.0 * generator.integers(2, 30)) * generator.uniform(0.1, 1.0) for _ in range(40)]
    return np.stack([log_mel_spectrogram(sound, RATE)[:-1] for sound in tones])


def test_a_vocoder_begins_as_a_bank_of_harmonics(levels):
    begun = harmonic_vocoder(HARMONIC_VOCODER, levels, seed=0)
    for mel in levels[:4]:
        sound = np.asarray(begun(mel[None]))[0]
        found, inner = log_mel_spectrogram(sound, RATE)[:-1][10:-10], mel[10:-10]
        loudest = np.unravel_index(np.argmax(inner), inner.shape)
        assert abs(found[loudest] - inner[loudest]) < 0.5


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upsample_rates": (10, 8)}, r"upsample_rates = \(10, 8\); expected a product of 160"),
        ({"upsample_initial_channel": 256}, "upsample_initial_channel = 256; expected one to 3 times 64"),
        ({"upsample_kernel_sizes": (20, 16)}, "begin with 20; expected at least three times the rate of 10"),
        ({"upsample_rates": (2, 80), "upsample_kernel_sizes": (6, 80)}, "leave 96 channels for 80 samples"),
    ],
)
def test_shapes_that_cannot_be_a_bank_of_harmonics_are_errors(changes, message, levels):
    with pytest.raises(ValueError, match=message):
        harmonic_vocoder(dataclasses.replace(HARMONIC_VOCODER, **changes), levels, seed=0)


def test_updates_of_the_vocoder_lower_the_loss_on_one_batch(sounding, monkeypatch):
    monkeypatch.setattr(spectra, "RESOLUTIONS", ((256, 64),))
    (graph, weights, statistics), crops = sounding
    transformation = optimiser(100, 3e-3)
    update = jax.jit(vocoder.spectral_update(graph, statistics, transformation))
    learner, losses = begin(weights, transformation), []
    for _ in range(12):
        learner, figures = update(learner, crops, jax.random.key(0))
        losses.append(float(figures["loss"]))
    assert losses[-1] < 0.9 * losses[0]


def test_an_adversarial_update_moves_both_sides(sounding, monkeypatch):
    monkeypatch.setattr(spectra, "RESOLUTIONS", ((256, 64),))
    (graph, weights, statistics), crops = sounding
    critics_graph, critics = nnx.split(Discriminators(DiscriminatorConfig.tiny(), rngs=nnx.Rngs(0)))
    transformation = optimiser(10, 1e-3)
    update = jax.jit(vocoder.adversarial_update(graph, statistics, critics_graph, transformation))
    contest = vocoder.Contest(begin(weights, transformation), begin(critics, transformation))
    before = jax.tree.map(np.array, contest)
    after, figures = update(contest, crops, jax.random.key(0))
    assert all(np.isfinite(figure) for figure in figures.values())
    for old, new in zip(before, after, strict=True):
        changes = jax.tree.map(lambda a, b: float(np.abs(a - b).max()), old.weights, new.weights)
        assert min(jax.tree.leaves(changes)) > 0.0


def test_critics_judge_places_and_show_every_layer():
    critics = Discriminators(DiscriminatorConfig.tiny(), rngs=nnx.Rngs(0))
    scores, seen = critics(jnp.asarray(noise(2, 1000)))
    assert [score.shape for score in scores] == [(2, 56, 2, 1), (2, 16, 17, 1)]
    assert [[layer.shape for layer in layers] for layers in seen] == [
        [(2, 167, 2, 4), (2, 56, 2, 4)],
        [(2, 32, 33, 4), (2, 16, 17, 4)],
    ]


def test_losses_of_the_critics_are_least_squares():
    sure = ([jnp.ones((1, 3))], [[jnp.zeros((1, 2))]])
    fooled = ([jnp.zeros((1, 3))], [[jnp.full((1, 2), 0.5)]])
    assert float(discriminator_loss(sure, fooled)) == 0.0
    assert float(discriminator_loss(fooled, sure)) == 2.0
    assert float(persuasion_loss(sure)) == 0.0
    assert float(persuasion_loss(fooled)) == 1.0
    assert float(feature_distance(sure, fooled)) == 0.5


def test_the_average_follows_the_weights_with_a_ramp():
    transformation = optimiser(10, 1e-2)
    learner = begin({"x": jnp.ones(2)}, transformation)
    moved = learn(learner, {"x": jnp.ones(2)}, transformation)
    expected = 0.1 * learner.weights["x"] + 0.9 * moved.weights["x"]
    np.testing.assert_allclose(moved.average["x"], expected, rtol=1e-6)


@pytest.mark.parametrize(("field", "value"), [("vocoder_batch", 0), ("adversarial_steps", -1)])
def test_budgets_that_train_nothing_are_errors(field, value):
    with pytest.raises(ValueError, match=rf"{field} = {value}; expected at least {value + 1}"):
        DecoderBudget(**{**vars(BUDGET), field: value})


def test_crops_that_the_latents_do_not_divide_are_an_error():
    with pytest.raises(ValueError, match="autoencoder_frames = 10; expected a multiple of 4"):
        DecoderBudget(**{**vars(BUDGET), "autoencoder_frames": 10})


def test_a_clean_tone_has_less_buzz_than_one_with_lines_beside_it():
    pure = tone(440.0)
    harmonic = pure + 0.1 * tone(880.0)
    buzzing = pure + 0.1 * tone(540.0) + 0.1 * tone(340.0)
    noisy = pure + noise(len(pure), level=0.01)
    assert buzz_in_db(pure, 440.0) < -80.0
    assert buzz_in_db(harmonic, 440.0) < -80.0
    assert buzz_in_db(buzzing, 440.0) == pytest.approx(10.0 * np.log10(0.02), abs=0.5)
    assert -40.0 < buzz_in_db(noisy, 440.0) < -15.0


def test_the_strongest_line_is_found_to_a_hertz():
    assert strongest_line(tone(523.0) + 0.5 * tone(700.0)) == pytest.approx(523.0, abs=1.0)


def test_a_sound_too_short_to_measure_is_an_error():
    with pytest.raises(ValueError, match="waveform has 100 samples; expected at least 16000"):
        buzz_in_db(np.zeros(100), 440.0)
