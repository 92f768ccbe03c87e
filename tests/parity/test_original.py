"""Ours against the authors' own classes: their file through the converter's tables, and what it computes.

What theirs computes stands in ``original/expected.npz``, written by ``original/make.sh``.
"""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax.checkpoint.opened import StoredNetwork
from litefocus_jax.checkpoint.original import open_original
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import initial_state, make_schedule, step
from litefocus_jax.models.unet import self_attention
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from tests.support.originals import FULL, LARGE, small
from tests.support.parity import assert_parity
from tests.support.tolerance import deviation

EXPECTED = Path(__file__).with_name("original") / "expected.npz"


@functools.cache
def networks(name: str) -> Any:
    """The networks of a made-up file, unread."""
    return open_original(small(name), Path(name), (Path("tokenizer"), Path("tokenizer_2"))).checkpoint.networks


def loaded(part: str, name: str = FULL) -> Any:
    return networks(name)[part].load(jnp.float32)


def theirs(part: str) -> dict[str, np.ndarray]:
    """Inputs and outputs of one of the authors' networks."""
    with np.load(EXPECTED) as file:
        return {key.removeprefix(f"{part}."): file[key] for key in file.files if key.startswith(f"{part}.")}


def channels_last(array: np.ndarray) -> jax.Array:
    return jnp.asarray(array.transpose(0, 2, 3, 1))


@functools.partial(jax.jit, static_argnames="attention")
def predict(
    unet: UNet,
    sample: Any,
    timesteps: Any,
    generated: Any,
    text: Any,
    mask: Any,
    attention: AttentionLayout = DENSE,
) -> jax.Array:
    context = unet.project_context(generated, text, mask.astype(bool))
    key_rng = None if attention == DENSE else jax.random.key(0)
    return unet(sample, unet.embed_time(timesteps), context, attention=attention, key_rng=key_rng)


def prediction(stored: StoredNetwork, values: dict[str, np.ndarray], attention: AttentionLayout = DENSE) -> jax.Array:
    inputs = (values[name] for name in ("timesteps", "generated", "text", "mask"))
    return predict(stored.load(jnp.float32), channels_last(values["sample"]), *inputs, attention)


@pytest.mark.parametrize(("part", "name"), [("unet", FULL), pytest.param("unet_large", LARGE, marks=pytest.mark.slow)])
def test_the_unet_predicts_what_the_authors_does(part: str, name: str) -> None:
    values = theirs(part)
    assert_parity(prediction(networks(name)["unet"], values), channels_last(values["prediction"]))


@pytest.mark.slow
def test_the_unet_with_as_many_heads_at_every_level_predicts_something_else() -> None:
    stored, values = networks(FULL)["unet"], theirs("unet")
    same_everywhere = dataclasses.replace(stored, config=dataclasses.replace(stored.config, attention_head_dim=2))
    assert deviation(prediction(same_everywhere, values), channels_last(values["prediction"])) > 0.05


@pytest.mark.parametrize(("large", "name"), [("", FULL), pytest.param("_large", LARGE, marks=pytest.mark.slow)])
def test_litefocus_with_the_authors_draws_predicts_what_theirs_does(large: str, name: str, monkeypatch: Any) -> None:
    values = theirs(f"litefocus{large}")
    draws = iter(values["drawn"])

    def drawn(key_rng: Any, num_tokens: int, sets: Any) -> jax.Array:
        return jnp.asarray(next(draws)[: sets.num_cross_tokens(num_tokens)], jnp.int32)

    monkeypatch.setattr(self_attention, "sample_cross_indices", drawn)
    layout = LiteFocusConfig.authors().layout(0.04)
    actual = prediction(networks(name)["unet"], theirs(f"unet{large}"), layout)
    assert next(draws, None) is None, "the authors draw once for each of 20 attentions"
    assert_parity(actual, channels_last(values["prediction"]))


def test_five_steps_with_the_authors_noise_arrive_where_theirs_do() -> None:
    values = theirs("ddim")
    config = SchedulerConfig.tiny()
    schedule = make_schedule(config, 5, timestep_spacing="uniform", eta=1.0)
    generated = np.concatenate([np.zeros_like(values["generated"]), values["generated"]])
    empty = np.pad(values["empty"], ((0, 0), (0, 5), (0, 0)))
    text, mask = np.concatenate([empty, values["text"]]), np.ones((2, 6))
    mask[0, 1:] = 0
    unet = loaded("unet")
    state = initial_state(schedule, channels_last(values["latents"][:1]))
    for number, (noise, latents) in enumerate(zip(values["noises"], values["latents"][1:], strict=True)):
        row = jax.tree.map(lambda column, number=number: column[number], schedule.steps)
        both = jnp.concatenate([state.latents, state.latents])
        negative, positive = jnp.split(predict(unet, both, np.full(2, row.timestep), generated, text, mask), 2)
        output = negative + 3.5 * (positive - negative)
        state = step(schedule, row, state, output, channels_last(noise[None]))
        assert_parity(state.latents, channels_last(latents[None]))


def test_where_the_steps_do_not_divide_the_timesteps_the_authors_run_more() -> None:
    values = theirs("ddim")
    rows = make_schedule(SchedulerConfig.tiny(), 150, timestep_spacing="uniform", eta=1.0).steps
    assert len(rows.timestep) == 167
    np.testing.assert_array_equal(rows.timestep, values["timesteps_150"][::-1])
    np.testing.assert_allclose(rows.next_from_noise, values["sigmas_150"][::-1], rtol=1e-4)
    np.testing.assert_allclose(np.asarray(rows.next_from_data) ** 2, values["alphas_prev_150"][::-1], rtol=1e-5)


def test_the_vae_encodes_and_decodes_as_the_authors_does() -> None:
    vae, values = loaded("vae"), theirs("vae")
    distribution = jax.jit(lambda vae, mel: vae.encode(mel))(vae, channels_last(values["mel"]))
    assert_parity(distribution.mean, channels_last(values["mean"]))
    assert_parity(distribution.logvar, channels_last(values["logvar"]))
    decoded = jax.jit(lambda vae, latents: vae.decode(latents))(vae, channels_last(values["latents"]))
    assert_parity(decoded, channels_last(values["decoded"]))


def test_the_vocoder_makes_the_waveform_that_the_authors_does() -> None:
    values = theirs("vocoder")
    mel = jnp.asarray(values["mel"].transpose(0, 2, 1))
    waveform = jax.jit(lambda vocoder, mel: vocoder(mel))(loaded("vocoder"), mel)
    assert_parity(waveform, jnp.asarray(values["waveform"][:, 0]))


def test_clap_reads_a_text_as_the_authors_does() -> None:
    values = theirs("text_encoder")
    assert_parity(loaded("text_encoder")(values["ids"], values["mask"]), jnp.asarray(values["vectors"]))


def test_t5_reads_a_text_as_the_authors_does() -> None:
    values = theirs("text_encoder_2")
    states = loaded("text_encoder_2")(values["ids"], values["mask"])
    kept = values["mask"].astype(bool)
    assert_parity(states[kept], jnp.asarray(values["states"][kept]))


def test_gpt2_goes_on_from_both_texts_as_the_authors_does() -> None:
    values = theirs("language_model")
    clap, t5, mask = (jnp.asarray(values[name]) for name in ("clap", "t5", "mask"))
    sequence, joined = loaded("projection_model")(clap, jnp.ones((2, 1), bool), t5, mask.astype(bool))
    length = sequence.shape[1]
    positions = jnp.broadcast_to(jnp.arange(length), (2, length))
    vectors = loaded("language_model").generate(sequence, joined, positions, length, 8)
    assert_parity(vectors, jnp.asarray(values["vectors"]))
