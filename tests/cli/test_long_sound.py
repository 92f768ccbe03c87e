"""``litefocus-jax generate`` for long sound: windows, estimates, and commands that are ended and gone on with."""

from pathlib import Path

import pytest

from litefocus_jax import PartialRun, WindowedDenoising
from litefocus_jax.cli.dry_run import duration
from litefocus_jax.generation import needs as memory_needs
from litefocus_jax.generation.resume import ResumableRun
from tests.support.command_line import FakePipeline, generate, run, written
from tests.support.models import small_checkpoint

REAL = ("-d", "0.4", "--steps", "4", "-o", "rain.wav")


@pytest.fixture
def fake(monkeypatch, tmp_path):
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


def generate_for_real(*arguments):
    return run("generate", "-m", small_checkpoint(), "rain", *REAL, *arguments)


def test_windows_reach_the_pipeline(fake):
    options = "-d 8 --windows average --window-length 4 --window-overlap 2 --ignore-memory"
    assert generate("rain", *options.split()).exit_code == 0
    expected = WindowedDenoising("average", 4.0, 2.0).layout(200, frame_in_s=0.04, training_frames=None)
    assert expected is not None
    assert fake.requests[0].plan.windows == expected
    assert fake.arguments[0]["check_memory"] is False


@pytest.mark.parametrize(("arguments", "message"), [
    (["--window-length", "4"], "needs --windows swap or --windows average"),
    (["--window-overlap", "1"], "needs --windows swap or --windows average"),
    (["--windows", "blend"], "--windows"),
    (["--save-every", "0"], "--save-every"),
])  # fmt: skip
def test_usage_errors_are_found_before_anything_runs(fake, arguments, message):
    result = generate("rain", *arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", "").split())
    assert not fake.opened


@pytest.mark.parametrize(("arguments", "message"), [
    (["--window-length", "0.01"], "--window-length = 0.01; expected at least two latent frames, 0.08 s"),
    (["--window-length", "-1"], "--window-length = -1.0; expected a positive number of seconds, at most 86,400"),
    (["--window-overlap", "2"], "--window-overlap = 2.0 is 50 latent frames of 0.04 s; expected at least one, and few"),
    (["--window-overlap", "nan"], "--window-overlap = nan; expected a positive number of seconds, at most 86,400"),
])  # fmt: skip
def test_bad_windows_are_found_before_the_weights_are_read(fake, arguments, message):
    result = generate("rain", "-d", "8", "--windows", "swap", *arguments)
    assert (result.exit_code, fake.loaded) == (1, [])
    assert message in result.stderr


def test_each_batch_is_kept_beside_its_first_sound(fake):
    generate("a", "b", "c", "--batch-size", "2", "-o", "sounds", "--save-every", "5")
    assert [arguments["partial_run"] for arguments in fake.arguments] == [
        PartialRun(Path(f"sounds/{name}-seed0.wav.partial.safetensors"), every=5, keep=True) for name in "ac"
    ]


def test_a_resumed_command_leaves_out_what_is_complete_and_goes_on_with_the_rest(fake):
    assert generate("rain", "interrupt", "wind", "-o", "sounds/").exit_code == 130
    fake.requests.clear()
    fake.arguments.clear()
    Path("sounds/wind-seed0.wav").touch()
    left = Path("sounds/wind-seed0.wav.partial.safetensors")  # ended between the sound and its removal
    left.touch()
    result = generate("rain", "wind", "dog", "-o", "sounds/", "--resume")
    assert result.exit_code == 0, result.stderr
    assert fake.prompts == [("wind",), ("dog",)]
    assert fake.arguments[0]["partial_run"] == PartialRun(left, every=None, resume=True, keep=True)
    assert written("sounds") == ["dog-seed0.wav", "rain-seed0.wav", "wind-seed0.wav"]
    again = generate("rain", "wind", "dog", "-o", "sounds/", "--resume")
    assert (again.exit_code, again.stderr) == (0, "All of these sounds are there already.\n")


def test_a_command_that_was_ended_is_not_begun_anew_by_accident(fake):
    Path("rain.wav.partial.safetensors").write_text("an hour of work")
    result = generate("rain", "-o", "rain.wav", "--save-every", "5")
    assert result.exit_code == 1
    assert "resume it (--resume), or start again (--overwrite)" in result.stderr
    assert Path("rain.wav.partial.safetensors").read_text() == "an hour of work"
    assert generate("rain", "-o", "rain.wav", "--save-every", "5", "--overwrite").exit_code == 0
    assert written() == ["rain.wav"]


def test_a_real_command_that_was_ended_goes_on_to_the_same_file(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    after_call = ResumableRun.after_call

    def interrupt(self, partial):
        after_call(self, partial)
        if partial.steps_done == 3:
            raise KeyboardInterrupt

    assert generate_for_real().exit_code == 0
    expected = Path("rain.wav").read_bytes()
    Path("rain.wav").unlink()
    with monkeypatch.context() as patch:
        patch.setattr(ResumableRun, "after_call", interrupt)
        result = generate_for_real("--save-every", "2")
    assert result.exit_code == 130
    assert "rain.wav.partial.safetensors is where it was left; the same command with --resume goes" in result.stderr
    assert written() == ["rain.wav.partial.safetensors"]
    assert generate_for_real("--save-every", "2", "--resume").exit_code == 0
    assert Path("rain.wav").read_bytes() == expected
    assert written() == ["rain.wav"]


def test_a_dry_run_tells_memory_and_time_and_makes_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = generate_for_real("--dry-run")
    assert result.exit_code == 0, result.output
    memory, stages, _, time, _ = result.stdout.splitlines()
    assert memory.startswith("Memory  0.0")
    assert [part.split()[0] for part in stages.split(", ")] == ["denoising", "VAE", "vocoder"]
    assert "4 steps of " in time
    assert written() == []


def test_a_dry_run_that_cannot_fit_says_what_to_change_and_times_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(memory_needs, "memory_limit", lambda: 1000)
    result = generate_for_real("--dry-run")
    assert result.exit_code == 1
    assert "ask for shorter sound (audio_length_in_s, --duration)" in result.stderr
    assert "Time" not in result.stdout


@pytest.mark.parametrize(("seconds", "expected"), [(0.0512, "0.0512 s"), (75, "75 s"), (5400, "90 min"), (9e4, "25 h")])
def test_durations_are_told_in_a_unit_that_is_easily_read(seconds, expected):
    assert duration(seconds) == expected
