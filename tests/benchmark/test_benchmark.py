"""The benchmark: what it runs, and what its report says."""

import json
from pathlib import Path

import pytest

from litefocus_jax.benchmark.measure import Plan, Row, measure, units_of_progress
from litefocus_jax.benchmark.report import rows_table, stages_table, write_rows, write_stages
from litefocus_jax.benchmark.stages import StageTimes
from litefocus_jax.benchmark.workload import Workload
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.ops.token_merging import TokenMerging
from tests.support.command_line import run
from tests.support.models import many_headed_checkpoint

ROW_KEYS = ["variant", "duration_in_s", "seconds_per_call", "spread", "ratio_to_peer", "peak_bytes", "compile_in_s"]


def _workload(variant: str, duration_in_s: float, size: str = "audioldm2") -> Workload:
    return Workload(variant, duration_in_s, size, None, "float32")


@pytest.mark.parametrize(("duration_in_s", "twin"), [(10.0, "dense"), (40.0, "litefocus"), (80.0, "same_frequency")])
def test_auto_shares_the_program_of_the_variant_it_chooses(duration_in_s: float, twin: str) -> None:
    names = [workload.variant for workload in Plan((duration_in_s,)).workloads(duration_in_s)]
    assert names == ["dense", "litefocus", "same_frequency"]
    assert _workload("auto", duration_in_s).attention == _workload(twin, duration_in_s).attention


def test_variants_differ_by_their_attention() -> None:
    assert _workload("dense", 40.0).attention == DENSE
    assert _workload("litefocus", 10.0).attention == LiteFocusConfig().layout(0.04)
    assert _workload("same_frequency", 10.0).attention == LiteFocusConfig(cross_frequency=False).layout(0.04)
    assert _workload("linear", 10.0).attention == LiteFocusConfig.linear().layout(0.04)
    assert _workload("auto", 320.0).attention == _workload("linear", 320.0).attention
    merged = Plan((10.0,), ("token_merging",), token_merging=0.3).workload("token_merging", 10.0)
    assert Workload.from_json(merged.to_json()).attention == AttentionLayout(merging=TokenMerging(0.3))


def test_heads_as_trained_reach_the_worker_and_the_peer() -> None:
    workload = Plan((10.0,), ("dense",), heads="trained").workload("dense", 10.0)
    assert Workload.from_json(workload.to_json()).configs()["unet"].num_heads_per_level == (4, 8, 12, 20)
    assert _workload("dense", 10.0).configs()["unet"].attention_head_dim == 8


def test_auto_goes_by_the_training_length_of_the_measured_model() -> None:
    # The tiny configuration's is 0.64 s.
    assert _workload("auto", 0.64, "tiny").attention == DENSE
    assert _workload("auto", 1.28, "tiny").attention == LiteFocusConfig().layout(0.04)
    assert _workload("auto", 10.24, "tiny").attention == LiteFocusConfig.linear(0.64).layout(0.04)


def test_the_measured_shape_is_that_of_the_published_model() -> None:
    assert Workload("dense", 10.0, "audioldm2", None, "float32").latent_shape() == (2, 250, 16, 8)


def test_a_workload_survives_the_way_to_its_worker() -> None:
    workload = _workload("litefocus", 12.5)
    assert Workload.from_json(workload.to_json()) == workload


def test_progress_counts_starts_and_rounds() -> None:
    assert units_of_progress(Plan((10.0, 80.0), peer=True, rounds=5)) == 2 * (4 + 5)


def test_the_report_is_a_list_of_rows_and_a_table(tmp_path: Path) -> None:
    rows = [Row("dense", 10.0, 2.0, 0.1, 1.1, 2_000_000_000, 9.0), Row("auto", 10.0, 2.0, 0.1, None, 10**9, 9.0)]
    write_rows(tmp_path / "report", rows, {"cores": 2})
    written = json.loads((tmp_path / "report" / "bench.json").read_text())
    assert [list(row) for row in written] == [ROW_KEYS, ROW_KEYS]
    assert "| 10 s | dense | 2 | 0.1 | 1.10x | 2.00 GB | 9.0 s | 7 min |" in rows_table(rows)


def test_a_table_of_decodings_speaks_of_no_steps() -> None:
    assert rows_table([Row("decoder", 40.0, 30.0, 0.1, 1.5, 2 * 10**9, 9.0)]).splitlines()[-1] == (
        "| 40 s | decoder | 30 | 0.1 | 1.50x | 2.00 GB | 9.0 s |"
    )


def test_durations_that_are_measured_together_share_their_rounds() -> None:
    plan = Plan((0.4, 0.8), variants=("dense",), size="tiny", rounds=2, together=True)
    told: list[str] = []
    rows = [row for rows in measure(plan, told.append) for row in rows]
    assert [row.duration_in_s for row in rows] == [0.4, 0.8]
    assert told == ["0.4 s: dense", "0.8 s: dense", "0.4, 0.8 s: round 1 of 2", "0.4, 0.8 s: round 2 of 2"]
    assert units_of_progress(plan) == len(told)


def test_stages_are_drawn_and_tabled(tmp_path: Path) -> None:
    seconds = {"text encoders": 1.0, "rest of the UNet": 30.0, "VAE": 4.0, "vocoder": 5.0}
    stages = [StageTimes(variant, duration, 200, seconds) for variant in ("dense", "auto") for duration in (10.0, 20.0)]
    write_stages(tmp_path, stages)
    assert (tmp_path / "stages.png").stat().st_size > 10_000
    assert "| 20 s | auto | 1 | 30 | 4 | 5 | 40 |" in stages_table(stages)


def test_bench_measures_a_tiny_model_and_its_stages(tmp_path: Path) -> None:
    arguments = ["--size=tiny", "--durations=0.4", "--variants=linear", "--rounds=2", "--stages"]
    result = run("bench", *arguments, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    (row,) = json.loads((tmp_path / "report" / "bench.json").read_text())
    assert row["variant"] == "linear"
    assert 0 < row["seconds_per_call"] < row["compile_in_s"]
    assert row["peak_bytes"] > 10**8
    assert json.loads((tmp_path / "report" / "machine.json").read_text())["device"] == "cpu"
    (stage,) = json.loads((tmp_path / "report" / "stages.json").read_text())
    assert set(stage["seconds"]) >= {"text encoders", "self-attention, level 1", "VAE", "vocoder"}


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--durations=10,long"], "10,long"),
        (["--durations=-1"], "-1"),
        (["--variants=sparse"], "sparse unknown"),
        (["--part=tiles", "--against=diffusers"], "use --part decoder"),
        (["--token-merging=0.5", "--stages"], "knows no stages of token_merging"),
    ],
)
def test_bad_options_are_refused(arguments: list[str], message: str) -> None:
    result = run("bench", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.output.replace("│", "").split())


def test_bench_measures_the_decoder_against_diffusers(tmp_path: Path) -> None:
    pytest.importorskip("diffusers")
    arguments = ["--size=tiny", "--durations=0.4", "--part=decoder", "--against=diffusers", "--rounds=1"]
    result = run("bench", *arguments, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    rows = json.loads((tmp_path / "report" / "bench.json").read_text())
    assert [row["variant"] for row in rows] == ["decoder", "diffusers"]
    assert all(row["seconds_per_call"] > 0 for row in rows)


def test_bench_measures_a_model_with_heads_as_trained(tmp_path: Path) -> None:
    options = ["-m", many_headed_checkpoint(), "--heads=trained", "--durations=0.4", "--variants=dense", "--rounds=1"]
    result = run("bench", *options, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "report" / "machine.json").read_text())["heads"] == "trained"


def test_bench_refuses_heads_that_cannot_be_before_it_measures(tmp_path: Path) -> None:
    result = run("bench", "--size=tiny", "--heads=trained", "--durations=0.4", "-o", tmp_path / "report")
    assert result.exit_code == 1
    assert "--heads = 'trained', but the UNet has levels of 8, 8, 16, 16 channels" in result.stderr
    assert not (tmp_path / "report").exists()


def test_bench_measures_decoding_in_tiles_to_a_file(tmp_path: Path) -> None:
    arguments = ["--size=tiny", "--durations=0.4", "--part=tiles", "--rounds=1"]
    result = run("bench", *arguments, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    (row,) = json.loads((tmp_path / "report" / "bench.json").read_text())
    assert row["variant"] == "tiles"
    assert row["seconds_per_call"] > 0
    assert row["compile_in_s"] > 0
    assert row["peak_bytes"] > 10**8


def test_bench_times_the_start_of_new_processes(tmp_path: Path) -> None:
    arguments = ["--size=tiny", "--durations=0.4", "--rounds=1", "--start"]
    result = run("bench", *arguments, "-o", tmp_path / "report")
    assert result.exit_code == 0, result.output
    (start,) = json.loads((tmp_path / "report" / "start.json").read_text())
    assert list(start["seconds"]) == ["imported", "loaded", "sampling starts", "first step done"]
    assert sorted(start["seconds"].values()) == list(start["seconds"].values())
