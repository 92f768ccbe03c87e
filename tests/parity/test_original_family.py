"""Ours against the authors' own classes for AudioLDM, audioldm_48k and audioldm_16k_crossattn_t5.

What theirs computes stands in ``original/expected_family.npz``, written by ``original/make.sh``.
"""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.checkpoint.original import open_original
from litefocus_jax.models.unet.network import UNet
from tests.support.originals import FIRST, OF_48K, OF_T5, small
from tests.support.parity import assert_parity

EXPECTED = Path(__file__).with_name("original") / "expected_family.npz"


@functools.cache
def loaded(part: str, name: str) -> Any:
    tokenizers = (Path("tokenizer"), Path("tokenizer_2"))
    # The authors' classes get the weights as they were trained last.
    original = open_original(small(name), Path(name), tokenizers, weights="model")
    return original.checkpoint.networks[part].load(jnp.float32)


def theirs(part: str) -> dict[str, np.ndarray]:
    """Inputs and outputs of one of the authors' networks."""
    with np.load(EXPECTED) as file:
        return {key.removeprefix(f"{part}."): file[key] for key in file.files if key.startswith(f"{part}.")}


def channels_last(array: np.ndarray) -> jax.Array:
    return jnp.asarray(array.transpose(0, 2, 3, 1))


@pytest.mark.parametrize(("part", "name"), [("unet_of_first", FIRST), ("unet_of_48k", OF_48K)])
def test_the_unet_with_a_vector_for_a_prompt_predicts_what_the_authors_does(part: str, name: str) -> None:
    values = theirs(part)

    @jax.jit
    def predict(unet: UNet, sample: jax.Array, timesteps: Any, labels: Any) -> jax.Array:
        return unet(sample, unet.embed_time(timesteps), unet.project_context(class_labels=labels))

    actual = predict(loaded("unet", name), channels_last(values["sample"]), values["timesteps"], values["labels"])
    assert_parity(actual, channels_last(values["prediction"]))


def test_the_unet_that_reads_t5_alone_predicts_what_the_authors_does() -> None:
    values = theirs("unet_of_t5")

    @jax.jit
    def predict(unet: UNet, sample: jax.Array, timesteps: Any, text: Any, mask: Any) -> jax.Array:
        context = unet.project_context(text, encoder_attention_mask=mask.astype(bool))
        return unet(sample, unet.embed_time(timesteps), context)

    inputs = (values[name] for name in ("timesteps", "text", "mask"))
    actual = predict(loaded("unet", OF_T5), channels_last(values["sample"]), *inputs)
    assert_parity(actual, channels_last(values["prediction"]))


def test_the_vae_of_48_khz_encodes_and_decodes_as_the_authors_does() -> None:
    vae, values = loaded("vae", OF_48K), theirs("vae_of_48k")
    distribution = jax.jit(lambda vae, mel: vae.encode(mel))(vae, channels_last(values["mel"]))
    assert_parity(distribution.mean, channels_last(values["mean"]))
    assert_parity(distribution.logvar, channels_last(values["logvar"]))
    decoded = jax.jit(lambda vae, latents: vae.decode(latents))(vae, channels_last(values["latents"]))
    assert_parity(decoded, channels_last(values["decoded"]))


def test_the_vocoder_of_48_khz_makes_the_waveform_that_the_authors_does() -> None:
    values = theirs("vocoder_of_48k")
    mel = jnp.asarray(values["mel"].transpose(0, 2, 1))
    waveform = jax.jit(lambda vocoder, mel: vocoder(mel))(loaded("vocoder", OF_48K), mel)
    # A kernel of 10 at a rate of 5 makes one sample more, which is 16 in the end.
    assert waveform.shape == (1, 6 * 480 + 16)
    assert_parity(waveform, jnp.asarray(values["waveform"][:, 0]))
