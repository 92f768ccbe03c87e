"""The evaluation of the bundled model and its card: everything measured once, and written down as found."""

import dataclasses
import json
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pytest
import typer
from flax import nnx
from typer.testing import CliRunner

from examples.foley import clap, classifier, evaluate, evaluation, generation, long_report, model, pictures, report
from examples.foley.evaluation import Evaluation, Judges
from examples.foley.generation import EvaluationConfig, batch_size, generated
from examples.foley.ledger import Ledger
from examples.foley.listening import EarConfig
from examples.foley.measures import Spread
from examples.foley.reconstruction import Reconstruction
from examples.foley.summaries import LENGTH_FIGURES
from examples.foley.variants import ATTENTION, DENSE, LONG, SCALED, SYNTHESISED, Variant
from litefocus_jax import LiteFocusConfig, WindowedDenoising
from litefocus_jax.models.components import LatentGeometry
from litefocus_jax.models.unet.self_attention import check_levels
from tests.foley.test_judges import SMALL_CLAP
from tests.support.requests import request_with

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
    components = SimpleNamespace(
        modules={}, vae=SimpleNamespace(config=SimpleNamespace(scaling_factor=1.0)), vocoder=None
    )

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
    pipeline, variant = Singer(), Variant(LiteFocusConfig(), WindowedDenoising("average"))
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
    monkeypatch.setattr(evaluation, "decode_latents", lambda vae, latents, scaling_factor: mels)
    monkeypatch.setattr(evaluation, "clap_scores", lambda towers, tokenizer, texts, mels: np.full(len(mels), 0.25))
    full = classifier.ClassifierConfig(ear=EarConfig.tiny())
    judges = Judges(
        classifier.Classifier(full, rngs=nnx.Rngs(0)), clap.Clap(SMALL_CLAP, rngs=nnx.Rngs(0)), cast(Any, None)
    )
    pipeline, config = Singer(), dataclasses.replace(SMALL, **changes)
    return pipeline, Evaluation(pipeline, judges, folder, config, progress=False)  # pyright: ignore


def test_an_evaluation_measures_everything_once(tmp_path, monkeypatch):
    monkeypatch.setattr(generation, "_FEWEST_FOR_DISTANCE", 2)
    pipeline, measured = small_evaluation(tmp_path, monkeypatch)
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
    pipeline, again = small_evaluation(tmp_path, monkeypatch)
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
        assert variant.litefocus is not None
        plain = LONG[name.removesuffix(SCALED)].litefocus or LiteFocusConfig(levels=(), scale_scores=True)
        assert variant.litefocus == dataclasses.replace(plain, scale_scores=True)


@pytest.mark.parametrize("name", LONG)
def test_every_variant_can_be_asked_of_the_bundled_model(name):
    geometry = LatentGeometry.from_configs(**model.CONFIGS)  # pyright: ignore
    request = request_with(
        geometry,
        model.scheduler_config(),
        audio_length_in_s=32 * model.TRAINING_SECONDS,
        scheduler="dpm++",
        litefocus=LONG[name].litefocus,
        windowed=LONG[name].windowed,
    )
    check_levels(model.UNET_CONFIG, request.litefocus)
    training_frames = model.UNET_CONFIG.sample_size
    assert request.litefocus is None or request.litefocus.window_in_frames in (None, training_frames)
    assert request.windows is None or request.windows.window == training_frames


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


# The command


def evaluated(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> tuple[Any, dict[str, Any]]:
    """What the command prints, and what it asked the evaluation for."""
    asked: dict[str, Any] = {}

    class FakeEvaluation:
        def __init__(self, pipeline: Any, judges: Any, folder: Path, config: EvaluationConfig) -> None:
            asked["config"] = config

        def run(self, variants: Any, **options: Any) -> dict[str, Any]:
            asked.update(variants=variants, **options)
            return results_of((SYNTHESISED, *variants)) | {"config": dataclasses.asdict(asked["config"])}

    pipeline = SimpleNamespace(components=SimpleNamespace(tokenizer=None))
    monkeypatch.setattr(evaluate, "AudioLDM2Pipeline", SimpleNamespace(from_pretrained=lambda *_, **__: pipeline))
    monkeypatch.setattr(evaluate, "Judges", SimpleNamespace(load=lambda *_: None))
    monkeypatch.setattr(evaluate, "Evaluation", FakeEvaluation)
    app = typer.Typer()
    app.command()(evaluate.main)
    return CliRunner().invoke(app, ["foley", *arguments]), asked


def test_the_long_table_is_measured_alone_and_drawn(tmp_path, monkeypatch):
    arguments = ["--table", "long", "--seeds", "1", "--skip", "32:dense", "--skip", "32:dense, scaled scores"]
    result, asked = evaluated(monkeypatch, "-o", str(tmp_path), *arguments)
    assert result.exit_code == 0, result.output
    assert (asked["config"].multiples, asked["config"].sounds) == ((4, 8, 32), (24, 12, 4))
    assert asked["variants"] is LONG
    assert asked["only_lengths"]
    assert asked["skipped"] == [(32, DENSE), (32, DENSE + SCALED)]
    assert "24 sounds at 4x, 12 sounds at 8x, 4 sounds at 32x for one seed; 50 steps" in result.stdout
    assert "| 2x (5.12 s) | SaFa | not measured | 60% ± 14% | 0.600 ± 0.141 | 0.6 ± 0.1 |" in result.stdout
    assert {path.name for path in tmp_path.iterdir()} == {
        long_report.RESULTS, long_report.TABLE, long_report.PICTURE,
    }  # fmt: skip


def test_the_table_of_the_card_is_the_default(tmp_path, monkeypatch):
    result, asked = evaluated(
        monkeypatch, "-o", str(tmp_path), "--multiples", "1,4", "--sounds", "24", "--only-lengths"
    )
    assert result.exit_code == 0, result.output
    assert (asked["config"].multiples, asked["config"].sounds) == ((1, 4), 24)
    assert asked["variants"] is ATTENTION
    assert asked["only_lengths"]
    assert (tmp_path / report.RESULTS).exists()
    assert (tmp_path / report.LENGTHS).exists()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--multiples", "4,x"], "'4,x'; expected whole numbers"),
        (["--skip", "dense"], "'dense'; expected a multiple and a variant"),
        (["--table", "long", "--multiples", "4,8"], "needs --sounds with --table long"),
    ],
)
def test_options_that_cannot_be_read_are_named(tmp_path, monkeypatch, arguments, message):
    result, asked = evaluated(monkeypatch, "-o", str(tmp_path), *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", "").split())
    assert not asked


# The card


def results_of(variants: tuple[str, ...] = ("synthesised", "dense")) -> dict[str, Any]:
    spread = dataclasses.asdict(Spread.of([0.5, 0.7]))
    return {
        "unseen": {"right": 0.96, "right_of_one": 0.99, "right_of_two": None, "kinds": 0.97},
        "lengths": [
            {"variant": variant, "multiple": multiple, **dict.fromkeys(LENGTH_FIGURES, spread)}
            | ({"frechet": None} if multiple == 2 and variant != DENSE else {})
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
    pictures.draw_lengths(tmp_path / "lengths.png", results_of(("synthesised", *ATTENTION))["lengths"])
    assert (tmp_path / "lengths.png").read_bytes().startswith(b"\x89PNG")


def test_the_table_of_an_evaluation_is_written_again_from_its_results(tmp_path):
    (tmp_path / long_report.RESULTS).write_text(json.dumps(results_of((SYNTHESISED, *LONG))))
    long_report.main(tmp_path, tmp_path / "docs")
    assert (tmp_path / "docs" / long_report.PICTURE).read_bytes().startswith(b"\x89PNG")
    names = "| length | variant | Frechet distance | classifier right | CLAP similarity | seconds per sound |"
    assert (tmp_path / "docs" / long_report.TABLE).read_text().startswith(names)


def test_the_table_of_no_evaluation_is_an_error(tmp_path):
    with pytest.raises(typer.BadParameter, match=r"long_audio\.json does not exist; .* --table long -o"):
        long_report.main(tmp_path, tmp_path)


def test_long_logs_are_drawn_as_means():
    entries = [{"step": step, "loss": float(step % 2)} for step in range(1000)]
    steps, losses = pictures.thinned(entries)
    assert len(steps) == len(losses) == 200
    assert losses[0] == pytest.approx(0.4)
    assert steps[0] == pytest.approx(2.0)
