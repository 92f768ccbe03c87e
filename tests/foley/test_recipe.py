"""The recipe of the bundled model: clips, stages and tokenizers, without training anything worth hearing."""

import dataclasses
import functools
import os
import tempfile
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from examples.foley import model, train
from examples.foley.corpus import CAPTIONS_PER_CLIP, FULL_SCALE, Corpus, make_corpus
from examples.foley.diffusion import LatentClips
from examples.foley.stage import run_stage, training_cost_s
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.checkpoint.weights import to_numpy
from litefocus_jax.models.components import NETWORKS, Components
from litefocus_jax.models.tokenization import load_tokenizer
from litefocus_jax.pipeline import AudioLDM2Pipeline
from tests.support.models import tiny_checkpoint

CLIPS = 4
MODEL_CLASSES = {name: network.model_class for name, network in NETWORKS.items()}


@functools.cache
def small_corpus() -> Corpus:
    return make_corpus(Path(tempfile.mkdtemp(prefix="litefocus-jax-")), "training", CLIPS, workers=1, progress=False)


def test_clips_are_as_long_as_the_model_is_trained_on() -> None:
    corpus = small_corpus()
    assert corpus.waveforms.shape == (CLIPS, model.TRAINING_SAMPLES)
    assert corpus.mels.shape == (CLIPS, model.TRAINING_FRAMES, 64)
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
    monkeypatch.setattr("examples.foley.corpus._CLIPS_PER_PART", 2)
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
    monkeypatch.setattr("examples.foley.corpus.render", lambda *_, **__: pytest.fail("rendered again"))
    again = make_corpus(tmp_path, "training", CLIPS, workers=1, progress=False)
    assert np.array_equal(first.mels, again.mels)


def count(state: dict[str, jax.Array], batch: np.ndarray, key: jax.Array) -> tuple[dict[str, jax.Array], Any]:
    total = state["total"] + batch + jax.random.normal(key)
    return {"total": total}, {"total": total}


def counting_stage(folder: Path, *, steps: int, **changes: Any) -> dict[str, jax.Array]:
    arguments = {
        "name": "counting",
        "initial": lambda: {"total": jnp.zeros(())},
        "update": count,
        "batch": np.float32,
    }
    return run_stage(folder, steps=steps, progress=False, **(arguments | changes))


def test_a_stage_that_was_interrupted_ends_as_one_that_was_not(tmp_path: Path) -> None:
    expected = counting_stage(tmp_path / "whole", steps=50)
    counting_stage(tmp_path / "halves", steps=30)
    assert counting_stage(tmp_path / "halves", steps=50) == expected
    logs = [(tmp_path / name / "counting.jsonl").read_text().count("\n") for name in ("whole", "halves")]
    assert logs == [3, 4]  # at steps 20, 40 and 50; and at 30, where the first half ended
    assert training_cost_s(tmp_path / "whole", "counting") >= 0.0


def test_a_finished_stage_is_only_read(tmp_path: Path) -> None:
    expected = counting_stage(tmp_path, steps=20)
    assert counting_stage(tmp_path, steps=20, batch=lambda index: pytest.fail("trained again")) == expected


def test_a_stage_of_another_shape_is_refused(tmp_path: Path) -> None:
    counting_stage(tmp_path, steps=20)
    with pytest.raises(ValueError, match=r"counting\.safetensors holds the state of another configuration"):
        counting_stage(tmp_path, steps=40, initial=lambda: {"total": jnp.zeros(3)})


def test_a_stage_stops_at_a_figure_that_is_not_finite(tmp_path: Path) -> None:
    counting_stage(tmp_path, steps=20)
    with pytest.raises(FloatingPointError, match="counting: step 40 gave"):
        counting_stage(tmp_path, steps=40, batch=lambda index: np.float32("nan"))
    assert counting_stage(tmp_path, steps=20)  # what was there before is still there


def test_tokenizers_know_the_words_of_the_captions(tmp_path: Path) -> None:
    captions = ["a low bell", "a high bell while rain can be heard"]
    folders = model.save_tokenizers(captions, tmp_path)
    clap = load_tokenizer(folders[0], model.CLAP_CONFIG.vocab_size)
    t5 = load_tokenizer(folders[1], model.T5_CONFIG.vocab_size)
    (words, unseen) = t5.ids(["a low bell", "a zeppelin"])
    assert [t5.decode([token]) for token in words] == ["a", "low", "bell", "</s>"]
    assert "<unk>" not in t5.decode(unseen)
    for tokenizer in (clap, t5):
        (tokens,) = tokenizer.ids(["rain while a bell"])
        assert tokenizer.decode(tokens, skip_special_tokens=True).strip() == "rain while a bell"


def test_batches_depend_on_their_number_alone_and_hold_captions_of_their_clips() -> None:
    pipe = AudioLDM2Pipeline.from_pretrained(tiny_checkpoint())
    corpus = small_corpus()
    mean = np.arange(CLIPS, dtype=np.float16)[:, None, None, None] * np.ones((1, 4, 2, 4), np.float16)
    source = LatentClips(pipe.components, corpus, mean, np.zeros_like(mean), batch_size=16, seed=0)
    first, again, other = source.batch(3), source.batch(3), source.batch(4)
    jax.tree.map(np.testing.assert_array_equal, first.batch, again.batch)
    assert first.names != other.names
    clips = first.batch.latents.mean[:, 0, 0, 0].astype(int)
    assert first.names == tuple(f"clip {clip}" for clip in clips)
    assert len(first.names) == 16
    for clip, tokens in zip(clips, first.batch.t5_ids, strict=True):
        text = pipe.tokenizer_2.decode(tokens, skip_special_tokens=True)
        known = {caption[: len(text)] for caption in corpus.captions[clip]}
        assert text in known or text == ""


def test_captions_of_two_sounds_are_drawn_more_often() -> None:
    pipe = AudioLDM2Pipeline.from_pretrained(tiny_checkpoint())
    corpus = dataclasses.replace(small_corpus(), kinds=((0,), (1, 2), (3,), (4,)))
    latents = np.zeros((CLIPS, 4, 2, 4), np.float16)
    drawn = (
        LatentClips(pipe.components, corpus, latents, latents, batch_size=1, seed=0, repeats_of_two=4).order.captions
        // CAPTIONS_PER_CLIP
    )
    assert np.bincount(drawn).tolist() == [CAPTIONS_PER_CLIP * times for times in (1, 4, 1, 1)]


def same_in_half_precision(found: Any, wanted: Any) -> bool:
    """Whether weights are the same but for how they are stored."""
    weights, expected = to_numpy(found), to_numpy(wanted)
    return all(np.allclose(weights[leaf], expected[leaf], rtol=1e-3, atol=1e-5) for leaf in expected)


@pytest.mark.parametrize("part", ["text", "unet", "vocoder"])
def test_training_a_model_further_changes_the_named_part_alone(
    part: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    doubled = functools.partial(jax.tree.map, lambda weight: 2.0 * weight)

    def longer_diffusion(components: Components, *_: Any, **__: Any) -> Components:
        return dataclasses.replace(components, unet=doubled(components.unet))

    def longer_vocoder(*_: Any, trained: Any, **__: Any) -> Any:
        return doubled(trained)

    def longer_reading(components: Components, *_: Any, **__: Any) -> Components:
        return dataclasses.replace(components, text_encoder_2=doubled(components.text_encoder_2))

    others = {
        "train_diffusion": longer_diffusion,
        "redrawn": lambda *_, **__: small_corpus().mels,
        "train_vocoder": longer_vocoder,
        "train_reading": longer_reading,
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
        if name == {"text": "text_encoder_2"}.get(part, part):
            expected = doubled(expected)
        assert same_in_half_precision(getattr(after, name), expected), name


def test_the_vocoder_of_a_new_model_learns_from_its_trained_unet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    trained = {name: random_model(MODEL_CLASSES[name], model.CONFIGS[name], 7) for name in MODEL_CLASSES}
    heard = np.full((CLIPS, 1, 64), 5.0)
    seen: list[Any] = []

    def finished_diffusion(components: Components, *_: Any, **__: Any) -> Components:
        return dataclasses.replace(components, unet=trained["unet"])

    def redrawn(components: Components, *_: Any, **__: Any) -> np.ndarray:
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
        "redrawn": redrawn,
        "train_vocoder": finished_vocoder,
    }
    for name, stage in stages.items():
        monkeypatch.setattr(train, name, stage)
    stored = load_components(train.train_model(tmp_path, train.BUDGETS["trial"], progress=False), "float32")
    assert seen == [trained["unet"]]
    for name in ("vae", "unet", "vocoder", "text_encoder"):
        assert same_in_half_precision(getattr(stored, name), trained[name]), name
