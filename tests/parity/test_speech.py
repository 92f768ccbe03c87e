"""What an AudioLDM2 for speech reads, against transformers' VITS and diffusers' own pipeline."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from litefocus_jax.models.vits import NETWORK, VitsConfig
from tests.parity.test_text import tokens
from tests.support.parity import assert_parity, port, randomise, to_jax

TINY = VitsConfig.tiny()


def vits_reference(config: VitsConfig = TINY) -> transformers.VitsModel:
    """A VITS whose decoder and flow, which nothing runs, are small."""
    small = {"upsample_initial_channel": 64, "prior_encoder_num_flows": 2, "posterior_encoder_num_wavenet_layers": 1}
    return randomise(transformers.VitsModel(transformers.VitsConfig(**config.to_dict(), **small)))


@pytest.mark.parametrize("lengths", [(7, 3, 11), (2,), (1, 4)], ids=["longer than the window", "two", "one and four"])
def test_vits_reads_phonemes_as_transformers_does_within_windows_and_beyond(lengths):
    theirs = vits_reference()
    ids, mask = tokens(TINY.vocab_size, 0, lengths)
    expected = theirs.text_encoder(ids, attention_mask=mask, padding_mask=mask.unsqueeze(-1)).last_hidden_state
    found = jax.jit(lambda ours, *inputs: ours(*inputs))(port(NETWORK, TINY, theirs), to_jax(ids), to_jax(mask))
    assert_parity(found, expected)
    assert not found[~np.asarray(mask, bool)].any()


def test_where_nothing_is_said_there_are_zeros_as_diffusers_has_them():
    ours = port(NETWORK, TINY, vits_reference())
    states = ours(jnp.zeros((1, 9), jnp.int32), jnp.zeros((1, 9), bool))
    np.testing.assert_array_equal(states, np.zeros((1, 9, TINY.hidden_size)))


def test_padding_changes_nothing():
    ours = port(NETWORK, TINY, vits_reference())
    ids, mask = (to_jax(each) for each in tokens(TINY.vocab_size, 0, (6,)))
    padded = ours(jnp.pad(ids, ((0, 0), (0, 5)), constant_values=7), jnp.pad(mask, ((0, 0), (0, 5))))
    np.testing.assert_allclose(padded[:, :6], ours(ids, mask), atol=1e-5)
