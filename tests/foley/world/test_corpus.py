"""Clips on disk: how long they are, and that they can be made again anywhere."""

import os
from pathlib import Path

import numpy as np
import pytest

from examples.foley.world.clips import TRAINING_FRAMES, TRAINING_SAMPLES
from examples.foley.world.corpus import FULL_SCALE, make_corpus
from tests.support.foley import CLIPS, small_corpus


def test_clips_are_as_long_as_the_model_is_trained_on() -> None:
    corpus = small_corpus()
    assert corpus.waveforms.shape == (CLIPS, TRAINING_SAMPLES)
    assert corpus.mels.shape == (CLIPS, TRAINING_FRAMES, 64)
    assert 0.01 * FULL_SCALE < np.abs(corpus.waveforms.astype(int)).max() <= 0.9 * FULL_SCALE + 1
    assert corpus.kind_labels().sum(axis=1).tolist() == [len(kinds) for kinds in corpus.kinds]


def test_a_corpus_is_the_same_wherever_it_is_made_and_splits_differ(tmp_path: Path) -> None:
    again = make_corpus(tmp_path, "training", CLIPS, workers=1, progress=False)
    other = make_corpus(tmp_path, "validation", CLIPS, workers=1, progress=False)
    assert np.array_equal(again.waveforms, small_corpus().waveforms)
    assert again.captions == small_corpus().captions
    assert other.captions != again.captions


def test_several_processes_render_the_same_clips_and_leave_the_environment_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("examples.foley.world.corpus._CLIPS_PER_PART", 2)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    before = dict(os.environ)
    together = make_corpus(tmp_path, "training", CLIPS, workers=2, progress=False)
    assert np.array_equal(together.waveforms, small_corpus().waveforms)
    assert together.captions == small_corpus().captions
    assert dict(os.environ) == before


def test_a_corpus_can_begin_with_any_clip(tmp_path: Path) -> None:
    part = make_corpus(tmp_path, "training", 2, first=1, workers=1, progress=False)
    assert np.array_equal(part.waveforms, small_corpus().waveforms[1:3])
    assert part.captions == small_corpus().captions[1:3]


def test_a_corpus_that_is_there_is_read_and_not_rendered(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    first = make_corpus(tmp_path, "training", CLIPS, workers=1, progress=False)
    monkeypatch.setattr("examples.foley.world.corpus.render", lambda *_, **__: pytest.fail("rendered again"))
    again = make_corpus(tmp_path, "training", CLIPS, workers=1, progress=False)
    assert np.array_equal(first.mels, again.mels)
