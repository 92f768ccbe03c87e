"""Training of the bundled model's VAE, at sizes that take no time."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from examples.foley.parts import autoencoder
from litefocus_jax.models.vae import VAE, VAEConfig
from tests.support.foley import (
    BUDGET,
    clips,
    shown_again_and_again,
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


def test_updates_of_the_autoencoder_lower_the_loss_on_one_batch():
    _, mels = clips()
    vae = autoencoder.normalised_vae(SMALL_VAE, *autoencoder.mel_statistics(mels), seed=0)
    learner, losses = shown_again_and_again(
        autoencoder.autoencoder_loss, vae, jnp.asarray(mels, jnp.float32), updates=12
    )
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
