"""The model that comes with the package: it is found, it is small, and it is the one that the recipe describes."""

import dataclasses
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from examples.foley.judges.classifier import hear
from examples.foley.judges.panel import SHIPPED_JUDGES, Judges
from examples.foley.measure.measures import all_named
from examples.foley.parts import redrawn
from examples.foley.parts.model import CONFIGS, GENERATION_DEFAULTS, scheduler_config
from examples.foley.world.clips import TRAINING_SECONDS
from examples.foley.world.corpus import make_corpus
from examples.foley.world.vocabulary import vocabulary
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.store import BUNDLED_FOLDER, BUNDLED_MODEL, load_components, open_checkpoint
from litefocus_jax.checkpoint.weights import leaves
from litefocus_jax.models.components import AudioLDM2Components
from litefocus_jax.pipeline import AudioLDM2Pipeline


def test_it_is_found_by_its_name_and_has_the_shape_of_the_recipe():
    checkpoint = open_checkpoint(BUNDLED_MODEL)
    assert checkpoint.folder == BUNDLED_FOLDER
    configs = {name: stored.config for name, stored in checkpoint.networks.items()}
    factor = configs["vae"].scaling_factor  # pyright: ignore[reportAttributeAccessIssue]
    assert configs == CONFIGS | {"vae": dataclasses.replace(CONFIGS["vae"], scaling_factor=factor)}
    assert checkpoint.scheduler == scheduler_config()
    assert checkpoint.defaults == GENERATION_DEFAULTS
    assert checkpoint.vocabulary == vocabulary()


def test_a_folder_of_its_name_comes_first(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    (tmp_path / BUNDLED_MODEL).mkdir()
    monkeypatch.chdir(tmp_path)
    with pytest.raises(CheckpointError, match="foley is not a checkpoint"):
        open_checkpoint(BUNDLED_MODEL)


def test_it_has_no_revisions():
    with pytest.raises(ValueError, match="revision = 'main' is for models on the hub"):
        open_checkpoint(BUNDLED_MODEL, revision="main")


def test_all_of_it_is_within_12_megabytes_and_has_a_card():
    assert (BUNDLED_FOLDER / "MODEL_CARD.md").is_file()
    assert sum(path.stat().st_size for path in BUNDLED_FOLDER.rglob("*") if path.is_file()) <= 12e6


def test_the_vae_is_stored_in_half_precision_and_loaded_in_single():
    checkpoint = open_checkpoint(BUNDLED_MODEL)
    assert {str(tensor.dtype) for tensor in checkpoint.networks["vae"].tensors.values()} == {"float16"}
    assert {leaf.dtype for leaf in leaves(checkpoint.load("bfloat16").vae).values()} == {np.dtype(np.float32)}


def test_it_makes_sound_of_its_training_length_that_is_neither_silent_nor_clipped():
    result = AudioLDM2Pipeline.from_pretrained(BUNDLED_MODEL)(
        ["a high tone", "heavy rain"], num_inference_steps=10, scheduler="dpm++", progress=False
    )
    assert result.audios.shape == (2, round(TRAINING_SECONDS * result.sampling_rate))
    levels = np.abs(result.audios).max(axis=1)
    assert np.all((levels > 0.01) & (levels < 1.0))


def test_its_judges_name_unseen_sounds_of_one_kind(tmp_path: Path):
    judges = Judges.load(SHIPPED_JUDGES, BUNDLED_FOLDER / "tokenizer")
    corpus = make_corpus(tmp_path, "validation", 40, workers=1, progress=False)
    of_one = [number for number, kinds in enumerate(corpus.kinds) if len(kinds) == 1]
    logits = hear(judges.classifier, corpus.mels[of_one]).logits
    right = all_named(logits, [corpus.kinds[number] for number in of_one])
    assert len(right) >= 20
    assert right.mean() >= 0.9


def test_clips_that_its_unet_redraws_stay_where_they_were(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    small: dict[str, Any] = {"schedules": (40, 7), "batch_size": 2}
    components = AudioLDM2Components.of(load_components(BUNDLED_MODEL, "float32"))
    corpus = make_corpus(tmp_path, "test", 4, workers=1, progress=False)
    drawn = redrawn.redrawn(components, corpus, tmp_path, clips=4, progress=False, **small)
    mels = np.asarray(corpus.mels, np.float32)
    distances = np.abs(np.asarray(drawn, np.float32)[:, None] - mels[None]).mean(axis=(2, 3))
    assert distances.argmin(axis=1).tolist() == [0, 1, 2, 3]
    assert distances.diagonal().min() > 0.02
    monkeypatch.setattr(redrawn, "AudioLDM2Pipeline", lambda _: pytest.fail("drawn again"))
    again = redrawn.redrawn(components, corpus, tmp_path, clips=4, progress=False, **small)
    assert np.array_equal(drawn, again)
