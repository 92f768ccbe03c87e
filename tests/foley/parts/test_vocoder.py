"""Training of the bundled model's vocoder and its critics, at sizes that take no time."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from examples.foley.parts import spectra, vocoder
from examples.foley.parts.budgets import DecoderBudget
from examples.foley.parts.discriminators import (
    DiscriminatorConfig,
    Discriminators,
    discriminator_loss,
    feature_distance,
    persuasion_loss,
)
from examples.foley.parts.harmonics import harmonic_amplitudes, harmonic_vocoder
from examples.foley.parts.learner import begin
from examples.foley.parts.optimiser import optimiser
from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.models.vocoder import Vocoder, VocoderConfig
from tests.support.foley import (
    BUDGET,
    RATE,
    clips,
    noise,
    shown_again_and_again,
    tone,
)

# One level and one rate: as little to compile as the architecture allows.
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


def test_leaving_a_tone_out_costs_more_than_noise_beside_it():
    chirp = jnp.zeros((1, 8000)).at[0, 2000:3600].set(tone(4500.0, 0.1))
    noisy, of_noisy = vocoder.sound_loss(chirp + noise(1, 8000, level=0.01), chirp)
    silent, of_silent = vocoder.sound_loss(jnp.zeros((1, 8000)), chirp)
    assert noisy < silent
    audible, left_out = (3.0 * figures["mel_l1"] + figures["spectral"] for figures in (of_noisy, of_silent))
    assert audible < 0.5 * left_out


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


@pytest.fixture(scope="module")
def sounding():
    """A small vocoder, and crops for it."""
    waveforms, mels = clips()
    crops = vocoder.Hearing(waveforms, mels, mels, BUDGET, seed=0)(0)
    return Vocoder(SMALL_VOCODER, rngs=nnx.Rngs(0)), crops


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
    small, crops = sounding
    _, losses = shown_again_and_again(vocoder.spectral_loss, small, crops, updates=12)
    assert losses[-1] < 0.9 * losses[0]


def test_an_adversarial_update_moves_both_sides(sounding, monkeypatch):
    monkeypatch.setattr(spectra, "RESOLUTIONS", ((256, 64),))
    small, crops = sounding
    graph, weights, statistics = nnx.split(small, nnx.Param, ...)
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
