"""Training of the bundled model's VAE and vocoder, at sizes that take no time, and the measures of what they lose."""

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
from examples.foley.harmonics import harmonic_amplitudes, harmonic_sound
from examples.foley.learner import DecoderBudget, begin, learn, optimiser
from examples.foley.reconstruction import buzz_in_db, strongest_line
from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.config import VAEConfig, VocoderConfig
from litefocus_jax.models.vae import VAE

RATE = 16000
BUDGET = DecoderBudget(
    autoencoder_steps=10,
    autoencoder_batch=2,
    autoencoder_frames=8,
    imitation_steps=2,
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
    slope = jax.grad(lambda sound: spectra.mel_distance(sound, jnp.ones((1, 1200))))(jnp.zeros((1, 1200)))
    assert np.isfinite(slope).all()


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


def test_every_other_crop_has_been_through_the_autoencoder():
    waveforms, mels = clips()
    crops = vocoder.Hearing(waveforms, mels, np.full_like(mels, 7.0), BUDGET, seed=0)(0)
    assert [bool((mel == 7.0).all()) for mel in crops.mel] == [False, True]


@pytest.fixture(scope="module")
def sounding():
    """A small vocoder taken apart, and crops for it."""
    waveforms, mels = clips()
    made = vocoder.normalised_vocoder(SMALL_VOCODER, *autoencoder.mel_statistics(mels), seed=0)
    return nnx.split(made, nnx.Param, ...), vocoder.Hearing(waveforms, mels, mels, BUDGET, seed=0)(0)


def test_a_bank_of_harmonics_makes_a_sound_with_the_log_mels_of_a_chord():
    chord = tone(300.0) + 0.1 * tone(2500.0)
    mel = log_mel_spectrogram(chord, RATE)[:-1]
    sound = harmonic_sound(mel)
    assert sound.shape == (len(mel) * 160,)
    inner = slice(10, -10)
    heard = mel[inner] > -5.0
    np.testing.assert_allclose(log_mel_spectrogram(sound, RATE)[:-1][inner][heard], mel[inner][heard], atol=0.1)
    loudest = np.argsort(harmonic_amplitudes(mel)[100])[::-1][:2] + 1
    assert loudest.tolist() == [3, 25]


@pytest.mark.parametrize("loss", [vocoder.sound_loss, vocoder.imitation_loss])
def test_updates_of_the_vocoder_lower_the_loss_on_one_batch(sounding, monkeypatch, loss):
    monkeypatch.setattr(spectra, "RESOLUTIONS", ((256, 64),))
    (graph, weights, statistics), crops = sounding
    crops = vocoder.with_harmonics(crops)
    transformation = optimiser(100, 3e-3)
    update = jax.jit(vocoder.vocoder_update(loss, graph, statistics, transformation))
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
