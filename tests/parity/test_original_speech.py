"""Ours against the authors' own classes for speech; see `test_original`.

What theirs computes stands in ``original/expected_speech.npz``.
"""

import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from litefocus_jax.checkpoint.original import open_original
from litefocus_jax.models.phonemes import LONGEST, PhonemeTokenizer, symbol_numbers
from litefocus_jax.models.speech_conditioning import SPOKEN_VECTORS
from tests.support.originals import SPEECH, small
from tests.support.parity import assert_parity

SAID = ["həlˈoʊ, wˈɜːld!", "ɡˈʊd mˈɔːnɪŋ. " * 30]  # as in `authors_speech`; the second one is too long
EXPECTED = Path(__file__).with_name("original") / "expected_speech.npz"


@functools.cache
def loaded(part: str) -> Any:
    networks = open_original(small(SPEECH), Path(SPEECH), (Path("tokenizer"), Path("tokenizer_2"))).checkpoint.networks
    return networks[part].load(jnp.float32)


def theirs(part: str) -> dict[str, np.ndarray]:
    with np.load(EXPECTED) as file:
        return {key.removeprefix(f"{part}."): file[key] for key in file.files if key.startswith(f"{part}.")}


def test_phonemes_have_the_authors_numbers_and_are_cut_where_theirs_are() -> None:
    values = theirs("text_encoder_2")
    tokenizer = PhonemeTokenizer(0, LONGEST, 183, frozenset({0, 182}), symbol_numbers(), end_id=182)
    for expected, mask, numbers in zip(values["ids"], values["mask"], tokenizer.fitting(SAID), strict=True):
        np.testing.assert_array_equal(numbers, expected[: len(numbers)])
        assert not expected[len(numbers) :].any()
        assert mask.sum() == len(numbers)


def test_phonemes_are_read_and_continued_by_gpt2_as_the_authors_do() -> None:
    values, context = theirs("text_encoder_2"), theirs("language_model")
    mask = jnp.asarray(values["mask"], bool)

    @jax.jit
    def run(encoder: Any, projection: Any, language_model: Any) -> tuple[jax.Array, jax.Array]:
        states = encoder(values["ids"], mask)
        sequence, joined = projection(jnp.asarray(context["clap"]), jnp.ones((2, 1), bool), states, mask)
        length = sequence.shape[1]
        vectors = language_model.generate(sequence, joined, jnp.arange(length), length, SPOKEN_VECTORS)
        return states, vectors

    projection = loaded("projection_model")
    states, vectors = run(loaded("text_encoder_2"), projection, loaded("language_model"))
    placed = states + projection.position_embedding[...].swapaxes(1, 2)  # which theirs adds in the encoder
    kept, some = values["states"].shape[1], context["vectors"].shape[1]
    assert_parity(placed[:, :kept], jnp.asarray(values["states"]))
    assert_parity(vectors[:, :: vectors.shape[1] // some], jnp.asarray(context["vectors"]))
    assert_parity(vectors[:, -1:], jnp.asarray(context["last"]))
