"""The judges of the bundled model: what they hear, and that they learn."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from examples.foley.judges import clap, classifier
from examples.foley.judges.listening import SILENCE, EarConfig, by_window, disturbed, log_mels, windows
from examples.foley.judges.panel import Judges
from examples.foley.judges.training import load_weights
from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.weights import abstract, to_numpy
from litefocus_jax.models.tokenization import Tokens
from tests.support.foley import (
    RATE,
    SMALL_CLAP,
    SMALL_TEXT,
    shown_again_and_again,
)

SMALL = classifier.ClassifierConfig(ear=EarConfig.tiny(), kinds=3)


def random_mels(count: int, frames: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-6.0, 2.0, (count, frames, 64)).astype(np.float32)


def small_classifier(seed: int = 0) -> classifier.Classifier:
    return classifier.Classifier(SMALL, rngs=nnx.Rngs(seed))


# Listening


@pytest.mark.parametrize(("frames", "starts"), [(8, [0]), (16, [0, 8]), (20, [0, 6, 12]), (5, [0])])
def test_windows_cover_sound_of_any_length(frames, starts):
    mel = np.arange(frames, dtype=np.float32)[:, None] * np.ones((1, 64), np.float32)
    found = windows(mel, frames=8)
    assert found.shape == (len(starts), 8, 64)
    np.testing.assert_array_equal(found[:, 0, 0], starts)
    if frames < 8:
        assert (found[0, frames:] == np.float32(SILENCE)).all()
    else:
        assert found[-1, -1, 0] == frames - 1


def test_no_sound_at_all_is_an_error():
    with pytest.raises(ValueError, match="mel has no frames; expected at least one"):
        windows(np.zeros((0, 64)))


@pytest.mark.parametrize("batch", [1, 3, 4, 100])
def test_results_by_window_do_not_depend_on_the_batch(batch):
    mels = random_mels(5, frames=600)
    found = by_window(lambda piece: {"mean": piece.mean(axis=(1, 2))}, mels, batch=batch)
    assert len(found) == 5
    for mel, result in zip(mels, found, strict=True):
        np.testing.assert_allclose(result["mean"], windows(mel).mean(axis=(1, 2)), rtol=1e-4)


def test_log_mels_have_a_frame_for_every_whole_hop():
    waveforms = 0.1 * np.random.default_rng(0).standard_normal((2, 1700)).astype(np.float32)
    found = log_mels(waveforms)
    assert found.shape == (2, 10, 64)
    np.testing.assert_array_equal(found[1], log_mel_spectrogram(waveforms[1], RATE)[:10])


def test_disturbed_sound_is_never_below_silence_and_follows_its_gain():
    mels = np.full((40, 4, 64), -2.0, np.float32)
    found = disturbed(mels, np.random.default_rng(0), gain_in_nepers=1.0, highest_floor=-8.0)
    assert found.dtype == np.float32
    assert found.min() >= np.float32(SILENCE)
    levels = found.mean(axis=(1, 2)) + 2.0
    assert -1.1 < levels.min() < -0.8
    assert 0.8 < levels.max() < 1.1


# The classifier


def test_updates_of_the_classifier_lower_the_loss_on_one_batch():
    labels = np.eye(3, dtype=np.float32)[[0, 1, 2, 0]]
    _, losses = shown_again_and_again(
        lambda judge, batch, key: classifier.classifier_loss(judge, batch),
        small_classifier(),
        classifier.Labelled(random_mels(4), labels),
        learning_rate=1e-2,
        updates=30,
    )
    assert losses[-1] < 0.5 * losses[0]


def test_clips_follow_from_the_seed_and_the_number_of_the_update():
    mels, labels = random_mels(6), np.eye(6, dtype=np.float32)
    first, again, other = (classifier.labelled_clips(mels, labels, 0, index, batch=4) for index in (3, 3, 4))
    np.testing.assert_array_equal(first.mel, again.mel)
    assert not np.array_equal(first.mel, other.mel)
    assert first.labels.shape == (4, 6)


def test_clips_of_one_kind_are_also_heard_together():
    mels, labels = random_mels(5), np.eye(5, dtype=np.float32)
    labels[4, 0] = 1.0  # a clip of two kinds, which stays alone
    batch = classifier.labelled_clips(mels, labels, 0, 0, batch=200)
    heard = {tuple(np.flatnonzero(row)) for row in np.asarray(batch.labels)}
    assert heard == {(0,), (1,), (2,), (3,), (0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3), (0, 4)}


def test_long_sound_is_described_by_the_mean_of_its_windows_and_named_by_its_surest():
    judge, mels = small_classifier(), random_mels(2, frames=512)
    whole = classifier.hear(judge, mels)
    halves = [classifier.hear(judge, mels[:, start : start + 256]) for start in (0, 256)]
    np.testing.assert_allclose(whole.embeddings, np.mean([half.embeddings for half in halves], axis=0), atol=1e-4)
    np.testing.assert_allclose(whole.logits, np.max([half.logits for half in halves], axis=0), atol=1e-4)


def test_nothing_is_named_in_silence_beside_sound():
    judge, mels = small_classifier(), random_mels(2, frames=512)
    mels[:, 256:] = SILENCE
    alone = classifier.hear(judge, mels[:, :256])
    np.testing.assert_allclose(classifier.hear(judge, mels).logits, alone.logits, atol=1e-4)


def test_weights_come_back_from_their_file(tmp_path):
    judge = small_classifier()
    safetensors_files.write_file(tmp_path / "weights.safetensors", to_numpy(judge))
    again = load_weights(abstract(classifier.Classifier, SMALL), tmp_path / "weights.safetensors")
    for before, after in zip(jax.tree.leaves(judge), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(before, after)


def test_weights_of_another_shape_are_an_error(tmp_path):
    safetensors_files.write_file(tmp_path / "weights.safetensors", to_numpy(small_classifier()))
    other = abstract(classifier.Classifier, dataclasses.replace(SMALL, kinds=4))
    with pytest.raises(ValueError, match=r"does not hold the weights of Classifier: kinds\.bias, kinds\.kernel"):
        load_weights(other, tmp_path / "weights.safetensors")


def test_judges_of_a_run_that_has_not_come_that_far_are_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"weights\.safetensors does not exist"):
        Judges.load(tmp_path, tokenizer=tmp_path)


# CLAP


def random_tokens(rows: int, seed: int = 0) -> Tokens:
    ids = np.random.default_rng(seed).integers(2, SMALL_TEXT.vocab_size, (rows, 6)).astype(np.int32)
    return Tokens(ids, np.ones(ids.shape, bool), 6)


def test_updates_of_clap_lower_the_loss_on_one_batch():
    tokens = random_tokens(4)
    pairs = clap.Pairs(random_mels(4), tokens.input_ids, tokens.attention_mask)
    _, losses = shown_again_and_again(
        lambda towers, batch, key: clap.clap_loss(towers, batch),
        clap.Clap(SMALL_CLAP, rngs=nnx.Rngs(0)),
        pairs,
        learning_rate=1e-2,
        updates=30,
    )
    assert losses[-1] < 0.5 * losses[0]


def test_captions_come_with_their_own_sounds():
    mels = np.broadcast_to(np.arange(8.0)[:, None, None], (8, 4, 64)).astype(np.float32)
    rows = np.repeat(np.arange(8), clap.CAPTIONS_PER_CLIP)[:, None].astype(np.int32)
    pairs = clap.captioned_clips(mels, Tokens(rows, rows >= 0, 1), seed=0, index=5, batch=6)
    np.testing.assert_allclose(pairs.mel[:, 0, 0], pairs.input_ids[:, 0], atol=0.05)
    assert len(set(pairs.input_ids[:, 0].tolist())) == 6


def test_the_loss_of_towers_that_agree_is_near_zero():
    class Agreeing:
        log_scale = jnp.full((), 10.0)

        def embed_text(self, input_ids, mask):
            return jnp.eye(3)

        def embed_sound(self, mel):
            return jnp.eye(3)

    pairs = clap.Pairs(random_mels(3), np.zeros((3, 1), int), np.ones((3, 1), bool))
    loss, figures = clap.clap_loss(Agreeing(), pairs)  # pyright: ignore[reportArgumentType]
    assert float(loss) == pytest.approx(0.0, abs=1e-6)
    assert float(figures["right"]) == 1.0
    assert float(figures["scale"]) == pytest.approx(100.0)  # no more, however large


def test_towers_that_end_in_different_spaces_are_an_error():
    with pytest.raises(ValueError, match=rf"ear.features = 5; expected .* {SMALL_TEXT.projection_dim}"):
        clap.ClapConfig(text=SMALL_TEXT, ear=EarConfig.tiny())


def test_texts_for_other_sounds_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="1 texts for 2 sounds; expected one for each"):
        clap.clap_scores(None, None, ["a bell"], random_mels(2))  # pyright: ignore[reportArgumentType]
