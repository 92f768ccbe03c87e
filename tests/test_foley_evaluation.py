"""The evaluation of the bundled model and its card: everything measured once, and written down as found."""

import dataclasses
import json
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
from flax import nnx

from examples.foley import clap, classifier, evaluation, pictures, report
from examples.foley.evaluation import SYNTHESISED, VARIANTS, Evaluation, Judges
from examples.foley.generation import EvaluationConfig, generated
from examples.foley.ledger import Ledger
from examples.foley.listening import EarConfig
from examples.foley.measures import Spread
from examples.foley.reconstruction import Reconstruction
from tests.test_foley_judges import SMALL_CLAP

RATE = 16000


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
    full = classifier.ClassifierConfig(ear=EarConfig.tiny())
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
