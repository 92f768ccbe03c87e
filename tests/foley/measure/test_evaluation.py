"""The evaluation of the bundled model: everything measured once, and written down as found."""

import dataclasses
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
from flax import nnx

from examples.foley.judges import clap, classifier
from examples.foley.judges.listening import EarConfig
from examples.foley.judges.panel import Judges
from examples.foley.measure import evaluation, generation
from examples.foley.measure.evaluation import Evaluation
from examples.foley.measure.generation import EvaluationConfig, batch_size, generated
from examples.foley.measure.reconstruction import Reconstruction
from examples.foley.measure.variants import ATTENTION, DENSE, LONG, SCALED, SYNTHESISED, Variant
from examples.foley.parts import model
from examples.foley.world.clips import TRAINING_SECONDS
from litefocus_jax import LiteFocusConfig, WindowedDenoising
from litefocus_jax.generation.request import make_request
from litefocus_jax.models.components import LatentGeometry, ModelFacts
from tests.support.foley import (
    RATE,
    SMALL_CLAP,
)


class Singer:
    """Stands in for the pipeline: each sound tells its caption's length, and the first number of its noise."""

    geometry = SimpleNamespace(latent_frames=lambda seconds: 3, frequencies=2, channels=1)
    vae = SimpleNamespace(unscaled=lambda latents: latents)
    components = SimpleNamespace(vae=vae, vocoder=None)
    model_digest = "0"

    def __init__(self) -> None:
        self.batches: list[list[str]] = []
        self.options: list[dict[str, Any]] = []

    def __call__(self, prompts: list[str], *, latents: np.ndarray, audio_length_in_s: float, **keywords: Any) -> Any:
        self.batches.append(prompts)
        self.options.append(keywords)
        samples = round(audio_length_in_s * RATE)
        audios = 0.01 * np.random.default_rng(0).standard_normal((len(prompts), samples)).astype(np.float32)
        audios[:, 0] = [len(prompt) for prompt in prompts]
        audios[:, 1] = latents[:, 0, 0, 0]
        return SimpleNamespace(audios=audios)


def test_generated_sounds_come_in_the_order_of_their_captions():
    pipeline, captions = Singer(), ["a b c", "a", "a b", "a b c d", "ab"]
    config = EvaluationConfig(batch=2)
    made = generated(pipeline, captions, [(0, n) for n in range(5)], config, seconds=0.1)  # pyright: ignore
    sounds = made.outputs
    assert sounds.shape == (5, 1600)
    np.testing.assert_array_equal(sounds[:, 0], [len(text) for text in captions])
    noise = [np.random.default_rng((0, n)).standard_normal((3, 2, 1))[0, 0, 0] for n in range(5)]
    np.testing.assert_allclose(sounds[:, 1], noise, rtol=1e-6)
    assert pipeline.batches == [["a", "ab"], ["a b", "a b c"], ["a b c d", "a b c d"]]
    assert [options["check_memory"] for options in pipeline.options] == [True, False, False]


def test_a_variant_reaches_the_pipeline():
    pipeline, variant = Singer(), Variant(LiteFocusConfig(), windowed=WindowedDenoising("average"))
    generated(pipeline, ["a"], [(0,)], EvaluationConfig(), seconds=0.1, variant=variant)  # pyright: ignore
    assert pipeline.options[0]["litefocus"] == LiteFocusConfig()
    assert pipeline.options[0]["windowed"] == WindowedDenoising("average")


def test_the_time_of_a_sound_is_that_of_the_fastest_batch_after_the_first(monkeypatch):
    # Three batches of two, which take 9 s, 4 s and 6 s.
    monkeypatch.setattr(generation, "time", SimpleNamespace(perf_counter=iter([0, 9, 10, 14, 20, 26]).__next__))
    captions, noise_of = ["a"] * 5, [(0, number) for number in range(5)]
    made = generated(Singer(), captions, noise_of, EvaluationConfig(batch=2), seconds=0.1)  # pyright: ignore
    assert made.seconds_per_sound == 2.0


def test_one_batch_tells_no_time():
    made = generated(Singer(), ["a"], [(0,)], EvaluationConfig(), seconds=0.1)  # pyright: ignore
    assert made.seconds_per_sound is None


@pytest.mark.parametrize(
    ("sounds", "multiple", "expected"), [(72, 1, 12), (24, 4, 8), (14, 1, 5), (12, 8, 4), (72, 8, 6), (4, 32, 1)]
)
def test_long_sounds_are_made_few_at_a_time_in_even_batches(sounds, multiple, expected):
    assert batch_size(sounds, 64 * multiple, largest=12) == expected


SMALL = EvaluationConfig(
    sounds=2, seeds=2, pairs=2, unseen=3, reference=3, reconstructed=2, multiples=(1, 2), batch=2
)  # fmt: skip


def small_evaluation(folder: Path, monkeypatch: pytest.MonkeyPatch, **changes: Any) -> tuple[Singer, Evaluation]:
    losses = Reconstruction(**{field.name: 1.0 for field in dataclasses.fields(Reconstruction)})
    monkeypatch.setattr(evaluation, "measure_reconstruction", lambda vae, vocoder, mels: losses)
    mels = np.zeros((1, 256, 64), np.float32)
    monkeypatch.setattr(evaluation, "decode_latents", lambda vae, latents: mels)
    monkeypatch.setattr(evaluation, "clap_scores", lambda towers, tokenizer, texts, mels: np.full(len(mels), 0.25))
    full = classifier.ClassifierConfig(ear=EarConfig.tiny())
    judges = Judges(
        classifier.Classifier(full, rngs=nnx.Rngs(0)), clap.Clap(SMALL_CLAP, rngs=nnx.Rngs(0)), cast(Any, None)
    )
    pipeline, config = Singer(), dataclasses.replace(SMALL, **changes)
    return pipeline, Evaluation(pipeline, judges, folder, config, progress=False)  # pyright: ignore


def test_an_evaluation_measures_everything_once(tmp_path, monkeypatch):
    pipeline, measured = small_evaluation(tmp_path, monkeypatch, fewest_for_distance=2)
    results = measured.run()
    # Two batches of two for pairs and seeds; two batches of one for log-mels and for lengths, seeds and variants.
    assert len(pipeline.batches) == 2 * 2 * 2 + 2 * 2 + 2 * 2 * 2 * len(ATTENTION)
    assert [options["output_type"] for options in pipeline.options].count("latent") == 2 * 2
    rows = {(row["variant"], row["multiple"]): row for row in results["lengths"]}
    assert rows.keys() == {(variant, multiple) for variant in (SYNTHESISED, *ATTENTION) for multiple in (1, 2)}
    assert rows["dense", 2]["clap"] == {"mean": 0.25, "deviation": 0.0, "count": 2}
    assert rows["dense", 2]["frechet"]["mean"] > 0.0
    assert rows["dense", 2]["seconds"]["count"] == 2
    assert rows[SYNTHESISED, 2]["seconds"] is None
    assert set(results["pairs"]["speed"]) == {"generated", SYNTHESISED}
    assert results["drawn"]["right"]["count"] == 2
    pipeline, again = small_evaluation(tmp_path, monkeypatch, fewest_for_distance=2)
    assert again.run() == results
    assert pipeline.batches == []


def test_lengths_alone_take_their_own_numbers_of_sounds_and_share_the_ledger(tmp_path, monkeypatch):
    compared = {name: LONG[name] for name in (DENSE, "SaFa")}
    pipeline, measured = small_evaluation(tmp_path, monkeypatch, sounds=(2, 1), seeds=1)
    results = measured.run(compared, skipped=[(2, DENSE)], only_lengths=True)
    assert set(results) == {"config", "lengths"}
    assert [(row["multiple"], row["variant"]) for row in results["lengths"]] == [
        (1, SYNTHESISED), (1, DENSE), (1, "SaFa"), (2, SYNTHESISED), (2, "SaFa"),
    ]  # fmt: skip
    assert [options["windowed"] for options in pipeline.options] == [None] * 2 + [WindowedDenoising("swap")] * 3
    assert all(row["frechet"] is None for row in results["lengths"])
    # Nothing is compared with the reference, which is not rendered.
    clips = {folder.name for folder in (tmp_path / "clips").iterdir()}
    assert clips == {f"test-0-{name}-from-3-held-out" for name in ("2-2.56s", "1-2.56s", "1-5.12s")}
    pipeline, more = small_evaluation(tmp_path, monkeypatch, sounds=2, multiples=(1,))
    more.run(compared, only_lengths=True)
    assert len(pipeline.batches) == 2 * 2  # those of the second seed


@pytest.mark.parametrize("skipped", [(3, DENSE), (2, "safa")])
def test_skipping_what_is_not_measured_is_an_error(tmp_path, monkeypatch, skipped):
    _, measured = small_evaluation(tmp_path, monkeypatch)
    with pytest.raises(ValueError, match=rf"'{skipped[1]}' at {skipped[0]} training lengths is not measured"):
        measured.run(LONG, skipped=[skipped])


def test_few_sounds_have_no_frechet_distance():
    config = EvaluationConfig(multiples=(4, 32), sounds=(12, 11))
    assert config.measures_distance(4)
    assert not config.measures_distance(32)


def test_the_name_of_a_scaled_variant_is_that_of_another_one():
    scaled = {name: variant for name, variant in LONG.items() if name.endswith(SCALED)}
    assert len(scaled) == 3
    for name, variant in scaled.items():
        assert variant == dataclasses.replace(LONG[name.removesuffix(SCALED)], scale_scores=True)


@pytest.mark.parametrize("name", LONG)
def test_every_variant_can_be_asked_of_the_bundled_model(name):
    geometry = LatentGeometry.from_configs(**model.CONFIGS)  # pyright: ignore
    plan = make_request(
        ModelFacts(geometry, model.scheduler_config(), model.UNET_CONFIG),
        "rain",
        audio_length_in_s=32 * TRAINING_SECONDS,
        scheduler="dpm++",
        litefocus=LONG[name].litefocus,
        scale_scores=LONG[name].scale_scores,
        windowed=LONG[name].windowed,
    ).plan
    training_frames = model.UNET_CONFIG.sample_size
    assert plan.attention.reach in (None, training_frames)
    assert plan.windows is None or plan.windows.window == training_frames


@pytest.mark.parametrize(("field", "value"), [("sounds", 0), ("seeds", 0), ("batch", 0)])
def test_an_evaluation_of_nothing_is_an_error(field, value):
    with pytest.raises(ValueError, match=rf"{field} = {value}; expected at least {value + 1}"):
        EvaluationConfig(**{field: value})


def test_an_evaluation_at_no_length_is_an_error():
    with pytest.raises(ValueError, match=r"multiples = \(\); expected at least one"):
        EvaluationConfig(multiples=())


@pytest.mark.parametrize("sounds", [(24,), (24, 12)])
def test_other_numbers_of_sounds_than_lengths_are_an_error(sounds):
    with pytest.raises(ValueError, match="expected one number for all, or one for each"):
        EvaluationConfig(sounds=sounds, multiples=(4, 8, 32))
