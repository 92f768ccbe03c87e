"""Training of the VAE: log-mel spectrograms of the synthetic world into latents that a small UNet can model.

Letters in shape comments: B batch, T frames, M mel bins.
"""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jaxtyping import Array, Float, Float32, Key

from examples.foley.parts import model
from examples.foley.parts.budgets import DecoderBudget
from examples.foley.parts.learner import train_module
from examples.foley.parts.optimiser import optimiser
from examples.foley.world.corpus import Corpus
from litefocus_jax.checkpoint.weights import abstract
from litefocus_jax.models.vae import VAE, VAEConfig

_LEARNING_RATE = 1.5e-3
_SQUARES_WEIGHT = 0.1
# Of the mean over latents, beside the mean over mel bins. The information that a latent carries costs its worth in
# nepers: noise grows on it until it would cost the spectrogram about a hundredth of its deviation. That rounds off
# detail which a UNet of this size could not model, makes neighbouring latents decode to similar sounds, and keeps their
# scale near 1. With the 1e-6 of large autoencoders the latents would be free to be any size and shape.
_DIVERGENCE_WEIGHT = 1e-2
_WHOLE_CLIPS_SHARE = 0.2  # of the updates, at the end
_STATISTICS_CLIPS = 256


def train_autoencoder(
    corpus: Corpus, folder: Path, budget: DecoderBudget, *, seed: int = 0, progress: bool = True
) -> VAE:
    """Train the VAE on crops of the corpus's log-mels; an interrupted training is taken up where it was.

    Args:
        corpus: its log-mels are read.
        folder: where the stage keeps its checkpoints and its log.
        budget: how long.
        seed: of the initial weights, the crops and the latents' noise.
        progress: draw a bar.

    Returns:
        The moving average of the weights. Its ``config.scaling_factor`` is 1 over the deviation of the latents.
    """
    mean, deviation = mel_statistics(corpus.mels)
    vae = train_module(
        normalised_vae(model.VAE_CONFIG, mean, deviation, seed),
        autoencoder_loss,
        folder,
        name="autoencoder",
        batch=lambda index: mel_crops(corpus.mels, budget, seed, index),
        transformation=optimiser(budget.autoencoder_steps, _LEARNING_RATE),
        steps=budget.autoencoder_steps,
        seed=seed,
        progress=progress,
    )
    factor = scaling_factor(vae, corpus.mels, seed=seed)
    return rescaled(vae, factor)


def normalised_vae(config: VAEConfig, mean: float, deviation: float, seed: int) -> VAE:
    """A VAE with random weights that sees mels as if they had mean 0 and deviation 1, and makes such as they are."""
    vae = VAE(config, rngs=nnx.Rngs(seed))
    first, last = vae.encoder.conv_in, vae.decoder.conv_out
    assert first.bias is not None
    assert last.bias is not None
    first.kernel[...] = first.kernel[...] / deviation
    first.bias[...] = -mean * first.kernel[...].sum(axis=(0, 1, 2))
    last.kernel[...] = last.kernel[...] * deviation
    last.bias[...] = jnp.full_like(last.bias[...], mean)
    return vae


def mel_statistics(mels: Float[np.ndarray, "clips frames mels"]) -> tuple[float, float]:
    """Mean and deviation of all numbers of evenly chosen clips."""
    some = evenly_chosen(mels, _STATISTICS_CLIPS)
    return float(some.mean()), float(some.std())


def evenly_chosen(mels: Float[np.ndarray, "clips frames mels"], count: int) -> Float32[np.ndarray, "some frames mels"]:
    """At most so many clips, spread over all of them."""
    chosen = np.unique(np.linspace(0, len(mels) - 1, count).astype(int))
    return np.asarray(mels[chosen], np.float32)


def mel_crops(
    mels: Float[np.ndarray, "clips frames mels"], budget: DecoderBudget, seed: int, index: int
) -> Float32[np.ndarray, "batch crop mels"]:
    """The crops of one update, drawn from the seed and the update's number alone.

    The last ones are whole clips, and fewer: normalisation and attention take in all of a sound.
    """
    frames, batch = budget.autoencoder_frames, budget.autoencoder_batch
    if index >= (1.0 - _WHOLE_CLIPS_SHARE) * budget.autoencoder_steps:
        frames, batch = mels.shape[1], max(1, batch * frames // mels.shape[1])
    generator = np.random.default_rng((seed, index))
    clips = generator.integers(0, len(mels), batch)
    starts = generator.integers(0, mels.shape[1] - frames + 1, batch)
    crops = [mels[clip, start : start + frames] for clip, start in zip(clips, starts, strict=True)]
    return np.stack(crops).astype(np.float32)


def autoencoder_loss(
    vae: VAE, mel: Float[Array | np.ndarray, "batch frames mels"], key: Key[Array, ""]
) -> tuple[Float[Array, ""], dict[str, Float[Array, ""]]]:
    """Distance of the decoded log-mel in nepers, and the divergence of the latents from a standard normal.

    Returns:
        The loss, and its parts by name: ``mel_l1``, ``divergence`` in nats for each latent, and the ``deviation`` and
        the ``noise`` of the latents.
    """
    mel = jnp.asarray(mel)
    latents = vae.encode(mel[..., None])
    sample = latents.sample(key)
    error = vae.decode(sample)[..., 0] - mel
    distance = jnp.mean(jnp.abs(error))
    variance = jnp.exp(latents.logvar)
    divergence = 0.5 * jnp.mean(jnp.square(latents.mean) + variance - latents.logvar - 1.0)
    loss = distance + _SQUARES_WEIGHT * jnp.mean(jnp.square(error)) + _DIVERGENCE_WEIGHT * divergence
    figures = {
        "mel_l1": distance,
        "divergence": divergence,
        "deviation": jnp.std(sample),
        "noise": jnp.sqrt(jnp.mean(variance)),
    }
    return loss, figures


def scaling_factor(vae: VAE, mels: Float[np.ndarray, "clips frames mels"], *, clips: int = 256, seed: int = 0) -> float:
    """1 over the deviation of the latents that are sampled for evenly chosen clips."""
    encode = jax.jit(lambda vae, mel, key: vae.encode(mel[..., None]).sample(key))
    some = evenly_chosen(mels, clips)
    keys = jax.random.split(jax.random.key(seed), len(some))
    latents = [encode(vae, mel[None], key) for mel, key in zip(some, keys, strict=True)]
    return 1.0 / float(np.std(np.concatenate([np.asarray(latent) for latent in latents])))


def rescaled(vae: VAE, factor: float) -> VAE:
    """The same VAE, whose configuration has another scaling factor."""
    config = dataclasses.replace(vae.config, scaling_factor=factor)
    graph, _ = nnx.split(abstract(VAE, config))
    return nnx.merge(graph, nnx.state(vae))


def reconstructed(
    vae: VAE, mels: Float[np.ndarray, "clips frames mels"], *, batch: int = 8, seed: int = 0
) -> Float32[np.ndarray, "clips frames mels"]:
    """Log-mels as the VAE gives them back, with noise on the latents, a few at a time."""
    pieces = []
    for number, start in enumerate(range(0, len(mels), batch)):
        piece = jnp.asarray(np.asarray(mels[start : start + batch], np.float32))
        pieces.append(np.asarray(_through(vae, piece, jax.random.fold_in(jax.random.key(seed), number))))
    return np.concatenate(pieces)


@jax.jit
def _through(vae: VAE, mel: Float[Array, "batch frames mels"], key: Key[Array, ""]) -> Array:
    return vae.decode(vae.encode(mel[..., None]).sample(key))[..., 0]
