"""The judges of the bundled model, what they measure, and how it is written down: small, quick, and on known cases."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from flax import nnx

from examples.foley import clap, classifier, evaluation, measures, pictures, report
from examples.foley.captions import contrasting_scenes
from examples.foley.evaluation import SYNTHESISED, VARIANTS, Evaluation, Judges
from examples.foley.generation import EvaluationConfig, generated
from examples.foley.learner import begin, optimiser
from examples.foley.ledger import Ledger
from examples.foley.listening import SILENCE, EarConfig, by_window, disturbed, log_mels, windows
from examples.foley.measures import Gaussian, Spread
from examples.foley.reconstruction import Reconstruction
from examples.foley.sounds import render
from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.checkpoint import safetensors_files
from litefocus_jax.checkpoint.modules import abstract, to_numpy
from litefocus_jax.config import ClapTextConfig
from litefocus_jax.tokenization import Tokens

RATE = 16000
SMALL = classifier.ClassifierConfig(ear=EarConfig.tiny(), kinds=3)
SMALL_TEXT = dataclasses.replace(ClapTextConfig.tiny(), num_hidden_layers=1)  # half as much to compile
SMALL_CLAP = clap.ClapConfig(
    text=SMALL_TEXT, ear=dataclasses.replace(EarConfig.tiny(), features=SMALL_TEXT.projection_dim)
)


def random_mels(count: int, frames: int = 16, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).normal(-6.0, 2.0, (count, frames, 64)).astype(np.float32)


def small_classifier(seed: int = 0) -> classifier.Classifier:
    return classifier.Classifier(SMALL, rngs=nnx.Rngs(seed))


def gaussian(mean: list[float], deviations: list[float]) -> Gaussian:
    return Gaussian(np.array(mean), np.diag(np.square(deviations)))


def losses_of(update: Any, module: nnx.Module, batch: Any, updates: int = 30) -> list[float]:
    """Losses of a module that is shown one batch again and again."""
    graph, weights = nnx.split(module)
    transformation = optimiser(100, 1e-2)
    jitted, learner, losses = jax.jit(update(graph, transformation)), begin(weights, transformation), []
    for _ in range(updates):
        learner, figures = jitted(learner, batch, jax.random.key(0))
        losses.append(float(figures["loss"]))
    return losses


# Measures


def test_equal_sets_are_no_distance_apart():
    embeddings = np.random.default_rng(0).standard_normal((50, 6)) @ np.random.default_rng(1).standard_normal((6, 6))
    fitted = Gaussian.of(embeddings)
    assert measures.frechet_distance(fitted, fitted) == pytest.approx(0.0, abs=1e-9)


def test_the_distance_of_gaussians_with_common_axes_has_a_closed_form():
    first, second = gaussian([0.0, 1.0], [1.0, 2.0]), gaussian([3.0, 1.0], [2.0, 0.5])
    expected = 3.0**2 + (1.0 - 2.0) ** 2 + (2.0 - 0.5) ** 2
    assert measures.frechet_distance(first, second) == pytest.approx(expected)
    assert measures.frechet_distance(second, first) == pytest.approx(expected)


def test_the_distance_does_not_depend_on_the_axes():
    first, second = gaussian([0.0, 1.0], [1.0, 2.0]), gaussian([3.0, 1.0], [2.0, 0.5])
    turn = np.array([[0.6, -0.8], [0.8, 0.6]])
    turned = [Gaussian(turn @ one.mean, turn @ one.covariance @ turn.T) for one in (first, second)]
    assert measures.frechet_distance(*turned) == pytest.approx(measures.frechet_distance(first, second))


def test_a_set_without_full_rank_has_a_distance():
    flat = Gaussian.of(np.outer([1.0, 2.0, 3.0], [1.0, 1.0]))
    assert measures.frechet_distance(flat, gaussian([2.0, 2.0], [0.0, 0.0])) == pytest.approx(2.0)


@pytest.mark.parametrize(
    ("embeddings", "message"),
    [(np.zeros((1, 3)), "1 embeddings; expected at least 2"), (np.full((2, 3), np.nan), "NaN or infinity")],
)
def test_sets_without_a_covariance_are_an_error(embeddings, message):
    with pytest.raises(ValueError, match=message):
        Gaussian.of(embeddings)


def test_a_sound_is_right_when_all_its_kinds_come_first():
    logits = np.array([[3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [0.0, 5.0, 4.0], [0.0, 5.0, 4.0]])
    kinds = [(0,), (1,), (2, 1), (0, 1)]
    np.testing.assert_array_equal(measures.all_named(logits, kinds), [True, False, True, False])
    assert measures.share_named(logits, kinds) == pytest.approx(4 / 6)


def test_kinds_for_other_sounds_than_there_are_is_an_error():
    with pytest.raises(ValueError, match="2 lists of kinds for 1 sounds; expected one for each"):
        measures.all_named(np.zeros((1, 3)), [(0,), (1,)])


@pytest.mark.parametrize(
    ("parameter", "measure"), [("pitch", measures.spectral_centroid), ("speed", measures.onset_rate)]
)
def test_measures_follow_the_words_in_synthesised_sound(parameter, measure):
    generator, right = np.random.default_rng(0), []
    for _ in range(30):
        values = [
            measure(render(scene, generator, duration_s=2.56), RATE)
            for scene in contrasting_scenes(generator, parameter)
        ]
        right.append(values[1] > values[0])
    assert np.mean(right) >= 0.9


def test_the_centroid_of_a_tone_is_its_frequency():
    tone = np.sin(2.0 * np.pi * 500.0 * np.arange(RATE) / RATE)
    assert measures.spectral_centroid(tone, RATE) == pytest.approx(500.0, abs=1.0)


def test_clicks_are_counted():
    clicks = np.zeros(2 * RATE, np.float32)
    clicks[4000::4000] = 0.5
    assert measures.onset_rate(clicks, RATE) == pytest.approx(3.5)


def test_silence_has_neither_pitch_nor_onsets():
    assert measures.spectral_centroid(np.zeros(RATE), RATE) == 0.0
    assert measures.onset_rate(np.zeros(RATE), RATE) == 0.0


def test_the_deviation_of_one_seed_is_not_known():
    assert Spread.of([0.5]).text(".0%") == "50%"
    assert Spread.of([1.0, 3.0]).text(".2f") == "2.00 ± 1.41"


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
    losses = losses_of(classifier.classifier_update, small_classifier(), classifier.Labelled(random_mels(4), labels))
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
    again = classifier.load_weights(abstract(classifier.Classifier, SMALL), tmp_path / "weights.safetensors")
    for before, after in zip(jax.tree.leaves(judge), jax.tree.leaves(again), strict=True):
        np.testing.assert_array_equal(before, after)


def test_weights_of_another_shape_are_an_error(tmp_path):
    safetensors_files.write_file(tmp_path / "weights.safetensors", to_numpy(small_classifier()))
    other = abstract(classifier.Classifier, dataclasses.replace(SMALL, kinds=4))
    with pytest.raises(ValueError, match=r"does not hold the weights of Classifier: kinds\.bias, kinds\.kernel"):
        classifier.load_weights(other, tmp_path / "weights.safetensors")


def test_judges_of_a_run_that_has_not_come_that_far_are_an_error(tmp_path):
    with pytest.raises(FileNotFoundError, match="tokenizer does not exist; expected the folder of a run"):
        Judges.of_run(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"weights\.safetensors does not exist"):
        classifier.load_classifier(tmp_path)


# CLAP


def random_tokens(rows: int, seed: int = 0) -> Tokens:
    ids = np.random.default_rng(seed).integers(2, SMALL_TEXT.vocab_size, (rows, 6)).astype(np.int32)
    return Tokens(ids, np.ones(ids.shape, bool), 6)


def test_updates_of_clap_lower_the_loss_on_one_batch():
    tokens = random_tokens(4)
    pairs = clap.Pairs(random_mels(4), tokens.input_ids, tokens.attention_mask)
    losses = losses_of(clap.clap_update, clap.Clap(SMALL_CLAP, rngs=nnx.Rngs(0)), pairs)
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


# The ledger


def test_a_cell_is_measured_once(tmp_path):
    ledger = Ledger(tmp_path / "folder" / "ledger.jsonl")
    assert ledger.figures({"seed": 0}, lambda: {"right": 0.5}) == {"right": 0.5}
    again = Ledger(ledger.path)
    assert {"seed": 0} in again
    assert {"seed": 1} not in again
    assert again.figures({"seed": 0}, lambda: pytest.fail("measured again")) == {"right": 0.5}


def test_a_line_that_was_cut_short_is_measured_again(tmp_path):
    path = tmp_path / "ledger.jsonl"
    Ledger(path).figures({"seed": 0}, lambda: {"right": 0.5})
    path.write_text(path.read_text() + '{"cell": {"se')
    ledger = Ledger(path)
    ledger.figures({"seed": 1}, lambda: {"right": 1.0})
    assert [json.loads(line)["cell"]["seed"] for line in path.read_text().splitlines()] == [0, 1]


def test_a_line_that_is_no_entry_is_an_error(tmp_path):
    (tmp_path / "ledger.jsonl").write_text('{"cell": {}}\n')
    with pytest.raises(ValueError, match=r"ledger\.jsonl, line 1: .*expected a JSON object with a cell"):
        Ledger(tmp_path / "ledger.jsonl")


# The evaluation


class Singer:
    """Stands in for the pipeline: each sound tells its caption's length, and the first number of its noise."""

    geometry = SimpleNamespace(latent_frames=lambda seconds: 3, frequencies=2, channels=1)
    components = SimpleNamespace(modules={}, vae=None, vocoder=None)

    def __init__(self) -> None:
        self.batches: list[list[str]] = []

    def __call__(self, prompts: list[str], *, latents: np.ndarray, audio_length_in_s: float, **keywords: Any) -> Any:
        self.batches.append(prompts)
        samples = round(audio_length_in_s * RATE)
        audios = 0.01 * np.random.default_rng(0).standard_normal((len(prompts), samples)).astype(np.float32)
        audios[:, 0] = [len(prompt) for prompt in prompts]
        audios[:, 1] = latents[:, 0, 0, 0]
        return SimpleNamespace(audios=audios)


def test_generated_sounds_come_in_the_order_of_their_captions():
    pipeline, captions = Singer(), ["a b c", "a", "a b", "a b c d", "ab"]
    config = EvaluationConfig(batch=2)
    sounds = generated(pipeline, captions, [(0, n) for n in range(5)], config, seconds=0.1)  # pyright: ignore
    assert sounds.shape == (5, 1600)
    np.testing.assert_array_equal(sounds[:, 0], [len(text) for text in captions])
    noise = [np.random.default_rng((0, n)).standard_normal((3, 2, 1))[0, 0, 0] for n in range(5)]
    np.testing.assert_allclose(sounds[:, 1], noise, rtol=1e-6)
    assert pipeline.batches == [["a", "ab"], ["a b", "a b c"], ["a b c d", "a b c d"]]


def test_an_evaluation_measures_everything_once(tmp_path, monkeypatch):
    losses = Reconstruction(**{field.name: 1.0 for field in dataclasses.fields(Reconstruction)})
    monkeypatch.setattr(evaluation, "measure_reconstruction", lambda vae, vocoder, mels: losses)
    monkeypatch.setattr(evaluation, "clap_scores", lambda towers, tokenizer, texts, mels: np.full(len(mels), 0.25))
    full = dataclasses.replace(SMALL, kinds=classifier.ClassifierConfig().kinds)
    judges = Judges(
        classifier.Classifier(full, rngs=nnx.Rngs(0)), clap.Clap(SMALL_CLAP, rngs=nnx.Rngs(0)), tokenizer=None
    )
    config = EvaluationConfig(
        sounds=2, seeds=2, pairs=2, unseen=3, reference=3, reconstructed=2, multiples=(1, 2), batch=2
    )
    pipeline = Singer()

    def measured() -> dict[str, Any]:
        return Evaluation(pipeline, judges, tmp_path, config, progress=False).run()  # pyright: ignore

    results = measured()
    assert len(pipeline.batches) == 2 * 2 * 2 + 2 * 2 * len(VARIANTS)  # pairs and seeds; lengths, seeds and variants
    rows = {(row["variant"], row["multiple"]): row for row in results["lengths"]}
    assert rows.keys() == {(variant, multiple) for variant in (SYNTHESISED, *VARIANTS) for multiple in (1, 2)}
    assert rows["dense", 2]["clap"] == {"mean": 0.25, "deviation": 0.0, "count": 2}
    assert set(results["pairs"]["speed"]) == {"generated", SYNTHESISED}
    pipeline.batches.clear()
    assert measured() == results
    assert pipeline.batches == []


@pytest.mark.parametrize(("field", "value"), [("sounds", 1), ("seeds", 0), ("batch", 0)])
def test_an_evaluation_of_nothing_is_an_error(field, value):
    with pytest.raises(ValueError, match=rf"{field} = {value}; expected at least {value + 1}"):
        EvaluationConfig(**{field: value})


def test_an_evaluation_at_no_length_is_an_error():
    with pytest.raises(ValueError, match=r"multiples = \(\); expected at least one"):
        EvaluationConfig(multiples=())


# The card


def results_of(variants: tuple[str, ...] = ("synthesised", "dense")) -> dict[str, Any]:
    spread = dataclasses.asdict(Spread.of([0.5, 0.7]))
    return {
        "unseen": {"right": 0.96, "right_of_one": 0.99, "right_of_two": None, "kinds": 0.97},
        "lengths": [
            {"variant": variant, "multiple": multiple, "frechet": spread, "right": spread, "clap": spread}
            for multiple in (1, 2)
            for variant in variants
        ],
    }


def test_a_card_without_measurements_says_so(tmp_path):
    text = report.write_card(tmp_path / "run", tmp_path / "card").read_text()
    assert "Clips trained on: not measured" in text
    assert "Weights as stored: not measured." in text
    for stage in report.STAGES:
        assert f"| {stage} | not measured | not measured | not measured |" in text
    assert "| classifier right on unseen synthesised sounds | not measured | at least 95% |" in text
    assert "| pitch words move the spectral centroid the right way | not measured | at least 80% |" in text
    assert "![" not in text


def test_a_card_shows_what_was_measured(tmp_path):
    run = tmp_path / "run"
    (run / "clap").mkdir(parents=True)
    (run / "clap" / "clap.jsonl").write_text('{"step": 20, "seconds": 7200.0, "loss": 1.5}\n')
    (run / "evaluation").mkdir()
    (run / "evaluation" / report.RESULTS).write_text(json.dumps(results_of()))
    text = report.write_card(run, tmp_path / "card").read_text()
    assert "| CLAP | 20 | 2.0 h | 1.5 |" in text
    assert "| classifier right on unseen synthesised sounds | 96.0% | at least 95% |" in text
    assert "| the same, scenes of two kinds (both found) | not measured |  |" in text
    held_out = "classifier right on sounds generated from held-out captions"
    assert f"| {held_out} | 60.0% ± 14.1% | at least 80% |" in text
    assert "| 2x (5.12 s) | dense | 0.60 ± 0.14 | 60% ± 14% | 0.600 ± 0.141 |" in text
    assert f"]({report.LOSSES})" in text
    assert (tmp_path / "card" / report.LOSSES).exists()


def test_the_time_of_a_log_without_seconds_is_that_of_its_updates():
    assert report.seconds_of([{"step": 1, "steps_per_second": 2.0}, {"step": 2, "steps_per_second": 0.5}]) == 2.5


def test_the_picture_of_lengths_is_a_picture(tmp_path):
    pictures.draw_lengths(tmp_path / "lengths.png", results_of(("synthesised", *VARIANTS))["lengths"])
    assert (tmp_path / "lengths.png").read_bytes().startswith(b"\x89PNG")


def test_long_logs_are_drawn_as_means():
    entries = [{"step": step, "loss": float(step % 2)} for step in range(1000)]
    steps, losses = pictures.thinned(entries)
    assert len(steps) == len(losses) == 200
    assert losses[0] == pytest.approx(0.4)
    assert steps[0] == pytest.approx(2.0)
