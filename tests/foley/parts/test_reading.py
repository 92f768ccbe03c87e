"""The text encoders of the bundled model learn to read captions."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from examples.foley.parts import reading
from examples.foley.parts.lengths import LengthOrder
from examples.foley.world.corpus import KIND_NAMES
from examples.foley.world.sounds import Event, Scene
from litefocus_jax.checkpoint.weights import to_numpy
from tests.support.foley import shown_again_and_again
from tests.support.models import small_components


@functools.cache
def exam() -> reading.Exam:
    return reading.Exam(small_components(), captions=200, seed=1)


def test_answers_name_the_kinds_their_words_and_how_they_lie_in_time() -> None:
    scene = Scene((Event("bell", pitch="high"), Event("rain", loudness="soft")), "then", reverberant=True)
    found = reading.answers(scene)
    first, second = found[:7], found[7:14]
    assert (first[0], second[0]) == (KIND_NAMES.index("bell"), KIND_NAMES.index("rain"))
    assert [first[1:].count(0), second[1:].count(0)] == [5, 5]  # one word is said of each
    assert max(first[1:]) == 2  # the upper word
    assert max(second[1:]) == 1  # the lower one
    assert found[14:] == [2, 1, 0]


def test_a_scene_of_one_sound_has_no_second() -> None:
    found = reading.answers(Scene((Event("bell"),)))
    assert found[7] == len(KIND_NAMES)
    assert not any(found[8:])


def test_captions_of_an_update_follow_from_its_number_and_are_of_like_length() -> None:
    jax.tree.map(np.testing.assert_array_equal, exam()(3), exam()(3))
    assert not np.array_equal(exam()(3).answers, exam()(4).answers)
    longest = {int(exam()(index).t5_mask.sum(axis=1).max()) for index in range(8)}
    assert len(longest) > 1


def test_a_batch_holds_captions_up_to_a_length_of_its_own() -> None:
    lengths = np.array([9, 3, 5, 7])
    order = LengthOrder(lengths, np.array([1, 1, 3, 1]))
    assert order.captions.tolist() == [1, 2, 2, 2, 3, 0]
    longest = [lengths[order.draw(np.random.default_rng(seed), 50)].max() for seed in range(40)]
    assert set(longest) == {3, 5, 7, 9}


def test_a_padded_vector_answers_nothing() -> None:
    examiner = reading.Examiner(8, rngs=nnx.Rngs(0))
    vectors = jax.random.normal(jax.random.key(0), (1, 5, 8))
    mask = jnp.array([[True, True, True, False, False]])
    np.testing.assert_allclose(
        examiner(vectors, mask), examiner(vectors.at[:, 3:].set(1e3), mask), rtol=1e-5, atol=1e-6
    )


def test_updates_lower_the_loss_on_one_batch_and_change_what_the_encoders_say() -> None:
    components = small_components()
    learning = reading.Reading(components, rngs=nnx.Rngs(0))
    learner, losses = shown_again_and_again(
        lambda learning, asked, key: reading.reading_loss(learning, components.text_encoder, asked),
        learning,
        jax.tree.map(lambda array: array[:8], exam()(0)),
        steps=30,
        updates=30,
    )
    assert losses[-1] < 0.7 * losses[0]
    trained = nnx.merge(nnx.graphdef(learning), learner.weights)
    for name in ("text_encoder_2", "projection_model", "language_model"):
        before, after = to_numpy(getattr(components, name)), to_numpy(getattr(trained, name))
        assert any(not np.array_equal(before[leaf], after[leaf]) for leaf in before), name


def test_the_model_comes_back_with_new_encoders_alone(tmp_path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        reading, "Exam", lambda *_, **__: lambda index: jax.tree.map(lambda array: array[:4], exam()(0))
    )
    components = small_components()
    trained = reading.train_reading(components, tmp_path, steps=2, progress=False)
    assert trained.unet is components.unet
    assert trained.text_encoder is components.text_encoder
    before, after = to_numpy(components.text_encoder_2), to_numpy(trained.text_encoder_2)
    assert any(not np.array_equal(before[leaf], after[leaf]) for leaf in before)
