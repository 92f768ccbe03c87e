"""The recipe of the bundled model from end to end, without training anything worth hearing."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from examples.foley import train
from examples.foley.parts import model
from examples.foley.world.corpus import Corpus
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.checkpoint.weights import to_numpy
from litefocus_jax.models.components import NETWORKS, AudioLDM2Components
from tests.support.foley import (
    CLIPS,
    small_corpus,
)
from tests.support.models import tiny_checkpoint

MODEL_CLASSES = {name: network.model_class for name, network in NETWORKS.items()}


def same_in_half_precision(found: Any, wanted: Any) -> bool:
    """Whether weights are the same but for how they are stored."""
    weights, expected = to_numpy(found), to_numpy(wanted)
    return all(np.allclose(weights[leaf], expected[leaf], rtol=1e-3, atol=1e-5) for leaf in expected)


@pytest.mark.parametrize("part", ["text", "unet", "wording", "vocoder"])
def test_training_a_model_further_changes_the_named_part_alone(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubled = functools.partial(jax.tree.map, lambda weight: 2.0 * weight)

    def longer_diffusion(components: AudioLDM2Components, *_: Any, **__: Any) -> AudioLDM2Components:
        return dataclasses.replace(components, unet=doubled(components.unet))

    def longer_vocoder(*_: Any, trained: Any, **__: Any) -> Any:
        return doubled(trained)

    def longer_reading(components: AudioLDM2Components, *_: Any, **__: Any) -> AudioLDM2Components:
        return dataclasses.replace(components, text_encoder_2=doubled(components.text_encoder_2))

    others = {
        "train_diffusion": longer_diffusion,
        "redrawn": lambda *_, **__: small_corpus().mels,
        "train_vocoder": longer_vocoder,
        "train_reading": longer_reading,
        "train_wording": longer_reading,
    }
    for name, replacement in others.items():
        monkeypatch.setattr(train, name, replacement)
    monkeypatch.setattr(train, "make_corpus", lambda *_, **__: small_corpus())
    folder = train.train_further(
        tmp_path, tiny_checkpoint(), train.BUDGETS["trial"], parts=(train.Part(part),), progress=False
    )
    before, after = load_components(tiny_checkpoint(), "float32"), load_components(folder, "float32")
    for name in ("unet", "vocoder", "vae", "text_encoder_2"):
        expected = getattr(before, name)
        if name == {"text": "text_encoder_2", "wording": "text_encoder_2"}.get(part, part):
            expected = doubled(expected)
        assert same_in_half_precision(getattr(after, name), expected), name


def test_the_vocoder_of_a_new_model_learns_from_its_trained_unet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = {name: random_model(MODEL_CLASSES[name], model.CONFIGS[name], 7) for name in MODEL_CLASSES}
    heard = np.full((CLIPS, 1, 64), 5.0)
    seen: list[Any] = []

    def finished_diffusion(components: AudioLDM2Components, *_: Any, **__: Any) -> AudioLDM2Components:
        return dataclasses.replace(components, unet=trained["unet"])

    def redrawn(components: AudioLDM2Components, *_: Any, **__: Any) -> np.ndarray:
        seen.append(components.unet)
        return heard

    def finished_vocoder(corpus: Corpus, drawn: np.ndarray, *_: Any, **options: Any) -> Any:
        assert drawn is heard
        assert options["trained"] is None
        return trained["vocoder"]

    stages: dict[str, Any] = {
        "make_corpus": lambda *_, **__: small_corpus(),
        "train_autoencoder": lambda *_, **__: trained["vae"],
        "train_classifier": lambda *_, **__: None,
        "train_clap": lambda *_, **__: trained["text_encoder"],
        "train_reading": lambda components, *_, **__: components,
        "train_diffusion": finished_diffusion,
        "train_wording": lambda components, *_, **__: components,
        "redrawn": redrawn,
        "train_vocoder": finished_vocoder,
    }
    for name, stage in stages.items():
        monkeypatch.setattr(train, name, stage)
    stored = load_components(train.train_model(tmp_path, train.BUDGETS["trial"], progress=False), "float32")
    assert seen == [trained["unet"]]
    for name in ("vae", "unet", "vocoder", "text_encoder"):
        assert same_in_half_precision(getattr(stored, name), trained[name]), name
