"""``litefocus-jax batch``: processes share a folder; one that is killed loses its work to the others."""

import csv
import dataclasses
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import soundfile

from litefocus_jax import AudioPipelineOutput, read_recipe
from litefocus_jax.cli.batches import grouped
from litefocus_jax.cli.destinations import plan
from litefocus_jax.cli.orders import sound_orders
from litefocus_jax.cli.prompt_files import read_prompts
from litefocus_jax.cli.shared_work import REPORT, SETTINGS, SharedWork
from litefocus_jax.generation.needs import InsufficientMemoryError
from litefocus_jax.generation.request import Request
from tests.support.command_line import FakePipeline, run
from tests.support.models import small_checkpoint, tiny_pipeline

NAMES = ["a-dog-seed7.wav", "rain-2-seed7.wav", "rain-seed7.wav", "sea-seed7.wav", "trees.wav"]
TABLE = "prompt,name,duration\nrain,,\nA dog,,\nWind in the trees,trees,0.32\nrain,,\nsea,,\n"
OPTIONS = ("-d", "0.64", "--steps", "2", "--seed", "7")
DIES_WHILE_IT_WRITES_ITS_SECOND_SOUND = """
import os, signal
import soundfile
from litefocus_jax.cli import main

write, sounds = soundfile.SoundFile.write, set()

def write_and_die(file, block):
    sounds.add(file.name)
    if len(sounds) == 2:
        write(file, block[:100])
        file.flush()
        os.kill(os.getpid(), signal.SIGKILL)
    write(file, block)

soundfile.SoundFile.write = write_and_die
main()
"""


@pytest.fixture(scope="module")
def prompts(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("prompts") / "prompts.csv"
    path.write_text(TABLE)
    return path


def start(prompts: Path, out: Path, *options: str, program: str | None = None) -> subprocess.Popen[str]:
    before = ("-m", "litefocus_jax") if program is None else ("-c", program)
    return subprocess.Popen(
        [sys.executable, *before, "batch", prompts, out, "-m", small_checkpoint(), *OPTIONS, *options],
        env=os.environ | {"LITEFOCUS_COMPILATION_CACHE": str(prompts.parent / "compiled")},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process: subprocess.Popen[str]) -> list[str]:
    """Names of the sounds that it made."""
    paths, log = process.communicate(timeout=300)
    assert process.returncode == 0, log
    return [Path(line).name for line in paths.splitlines()]


def sounds_of(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.glob("*.wav")}


def states(folder: Path) -> dict[str, str]:
    with (folder / REPORT).open(newline="") as table:
        return {row["file"]: row["state"] for row in csv.DictReader(table)}


@pytest.fixture(scope="module")
def shared(prompts: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What two processes made at the same time."""
    folder = tmp_path_factory.mktemp("shared") / "sounds"
    processes = [start(prompts, folder) for _ in range(2)]
    made = [finish(process) for process in processes]
    assert sorted(made[0] + made[1]) == NAMES
    return folder


def test_processes_make_each_sound_once_and_write_a_report(shared: Path) -> None:
    assert sorted(sounds_of(shared)) == NAMES
    assert len(set(sounds_of(shared).values())) == len(NAMES)
    assert states(shared) == dict.fromkeys(NAMES, "made")
    assert [soundfile.info(shared / name).duration for name in ("rain-seed7.wav", "trees.wav")] == [0.64, 0.32]
    assert read_recipe(shared / "rain-2-seed7.wav").waveform == 1
    assert not (shared / ".batch").exists()


def test_a_killed_process_loses_its_work_to_the_next_which_ends_with_the_same_files(
    shared: Path, prompts: Path, tmp_path: Path
) -> None:
    killed = start(prompts, tmp_path, program=DIES_WHILE_IT_WRITES_ITS_SECOND_SOUND)
    killed.communicate(timeout=300)
    assert killed.returncode == -signal.SIGKILL
    (first,) = sounds_of(tmp_path)
    assert [path.suffix for path in (tmp_path / ".batch").iterdir()] == [".lease"]
    made = finish(start(prompts, tmp_path))
    assert sorted([first, *made]) == NAMES
    assert sounds_of(tmp_path) == sounds_of(shared)
    left = {path.name for path in tmp_path.rglob("*")} - {*NAMES, SETTINGS, REPORT}
    assert left == set()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> FakePipeline:
    Path(tmp_path / "prompts.txt").write_text("rain\nsea\nwind\n")
    return FakePipeline.put_in_place(monkeypatch, tmp_path)


def test_a_second_time_nothing_is_made(fake: FakePipeline) -> None:
    for made in (3, 0):
        result = run("batch", "prompts.txt", "out", "-m", "model", "--format", "flac", "--batch-size", 2)
        assert result.exit_code == 0, result.output
        assert len(result.stdout.splitlines()) == made
        assert f"3 of 3 sounds are there, {made} of them made here" in result.stderr
    assert [request.batch_size for request in fake.requests] in ([2, 1], [1, 2])
    assert states(Path("out")) == dict.fromkeys(("rain-seed0.flac", "sea-seed0.flac", "wind-seed0.flac"), "made")


def test_what_a_killed_process_left_is_removed_and_what_it_had_yet_to_write_is_written(
    fake: FakePipeline, monkeypatch: pytest.MonkeyPatch
) -> None:
    make = fake.run

    def with_recipes(request: Request, **arguments: Any) -> AudioPipelineOutput:
        return dataclasses.replace(make(request, **arguments), recipes=tiny_pipeline().recipes(request))

    monkeypatch.setattr(fake, "run", with_recipes)
    command = ("batch", "prompts.txt", "out", "-m", "model", "--json")
    assert run(*command).exit_code == 0
    whole = {path.name: path.read_bytes() for path in Path("out").iterdir()}
    Path("out/rain-seed0.json").unlink()  # killed after the sound
    for name in (".sea-seed0.wav.0123abcd.partial", ".rain-seed0.json.0123abcd.partial", ".batch/.0.probe"):
        Path("out/.batch").mkdir(exist_ok=True)
        Path("out", name).touch()
    Path("out/.own-notes").touch()
    result = run(*command)
    assert result.exit_code == 0, result.output
    assert {path.name: path.read_bytes() for path in Path("out").iterdir()} == {**whole, ".own-notes": b""}


def test_what_another_is_at_is_left_and_not_waited_for_where_that_is_asked(fake: FakePipeline) -> None:
    Path("out/.batch").mkdir(parents=True)
    Path("out/.batch", f"{names_of_work('prompts.txt', 'out')[1]}.1.lease").write_text("elsewhere 1 token\n")
    result = run("batch", "prompts.txt", "out", "-m", "model", "--no-wait")
    assert result.exit_code == 0, result.output
    assert sorted(request.prompts for request in fake.requests) == [("rain",), ("wind",)]
    assert "2 of 3 sounds are there" in result.stderr
    assert "others are at 1 more" in result.stderr
    assert not Path("out", REPORT).exists()


def names_of_work(file: str, out: str) -> list[str]:
    """Of a command, in its order."""
    orders = sound_orders(read_prompts(Path(file)), [0], 1, None)
    batches = grouped(orders, plan(orders, target=f"{out}/", spectrogram=None), 1)
    return SharedWork(Path(out), batches, 1.0).names


def test_sounds_that_are_made_otherwise_are_not_mixed(fake: FakePipeline) -> None:
    assert run("batch", "prompts.txt", "out", "-m", "model", "--steps", "20").exit_code == 0
    result = run("batch", "prompts.txt", "out", "-m", "model", "--steps", "30", "--guidance", "2")
    assert result.exit_code == 1
    assert "steps was 20 and is 30; guidance was None and is 2.0. Say the same" in " ".join(result.stderr.split())
    Path("out", SETTINGS).write_text("[")
    result = run("batch", "prompts.txt", "out", "-m", "model", "--steps", "20")
    assert "batch.json is damaged" in result.stderr


def test_what_cannot_be_made_is_in_the_report_and_tried_once(fake: FakePipeline, monkeypatch) -> None:
    make, tried = fake.run, []

    def refuse_sea(request, **arguments):
        tried.append(request.prompts[0])
        if request.prompts == ("sea",):
            raise ValueError("the UNet returned NaN")
        return make(request, **arguments)

    monkeypatch.setattr(fake, "run", refuse_sea)
    for _ in range(2):
        result = run("batch", "prompts.txt", "out", "-m", "model")
        assert result.exit_code == 1
        assert "1 of 3 sounds could not be made; out/report.csv says why of each" in result.stderr
    assert sorted(tried) == ["rain", "sea", "wind"]
    assert states(Path("out"))["sea-seed0.wav"] == "failed"
    assert "the UNet returned NaN" in Path("out", REPORT).read_text()


def test_memory_that_does_not_suffice_ends_this_host_and_is_nobody_elses_failure(fake, monkeypatch) -> None:
    def refuse(request, **arguments):
        raise InsufficientMemoryError("1 GB are missing")

    monkeypatch.setattr(fake, "run", refuse)
    result = run("batch", "prompts.txt", "out", "-m", "model")
    assert result.exit_code == 1
    assert "1 GB are missing" in result.stderr
    assert [path.name for path in Path("out").rglob("*") if path.is_file()] == [SETTINGS]


@pytest.mark.parametrize(
    ("content", "options", "message"),
    [
        ("rain", ("--seed", "random"), "--seed: random; expected numbers"),
        ('{"prompt": "rain", "seed": "random"}', (), "line 1, column seed: random; expected numbers"),
        ("rain", ("-d", "-1"), "--duration = -1"),
        ("", (), "holds no prompts"),
    ],
)
def test_what_hosts_could_not_agree_on_is_refused_before_weights_are_read(fake, content, options, message) -> None:
    Path("bad.jsonl" if content.startswith("{") else "bad.txt").write_text(content)
    (bad,) = Path().glob("bad.*")
    result = run("batch", bad, "out", "-m", "model", *options)
    assert result.exit_code == 1
    assert message in " ".join(result.stderr.split())
    assert not fake.loaded
    assert not Path("out").exists()


def test_settings_are_plain_json(fake: FakePipeline) -> None:
    run("batch", "prompts.txt", "out", "-m", "model", "--waveforms", "2", "--seeds", "3-4", "--json")
    assert json.loads(Path("out", SETTINGS).read_text())["batch_size"] == 1
    assert len([*Path("out").glob("*.wav")]) == 12
