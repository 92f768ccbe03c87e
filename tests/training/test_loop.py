"""Whole trainings of a small model: what they leave behind, how they resume, and how they fail."""

import dataclasses
import logging
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from litefocus_jax.checkpoint import weights as modules
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.random_model import random_model
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.components import Components
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig
from litefocus_jax.system.locks import InUseError
from litefocus_jax.training import loop
from litefocus_jax.training.checkpoints import Checkpoints, SavingError
from litefocus_jax.training.config import learning_rate_at
from litefocus_jax.training.journal import Journal, read_journal
from litefocus_jax.training.loop import NonFiniteLossError
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.updates import NamedBatch, TrainingInterrupted
from tests.support.models import small_components
from tests.support.stored_models import assert_same_model
from tests.support.training import CONFIG, OneSound, train_small


@dataclasses.dataclass(frozen=True)
class Interrupting:
    """Presses Ctrl-C when a batch is loaded."""

    source: OneSound
    at: int

    def batch(self, index: int) -> NamedBatch[Batch]:
        if index == self.at:
            signal.raise_signal(signal.SIGINT)
        return self.source.batch(index)


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> tuple[Path, Components]:
    folder = tmp_path_factory.mktemp("training") / "run"
    return folder, train_small(folder)


def checkpoint_names(folder: Path) -> list[str]:
    return sorted(path.name for path in (folder / "checkpoints").iterdir())


def test_a_folder_in_which_another_process_trains_is_refused(tmp_path):
    code = "import sys, pathlib, litefocus_jax.system.locks as locks\n"
    code += "with locks.locked(pathlib.Path(sys.argv[1])): print(flush=True); sys.stdin.read()"
    holder = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout is not None
    holder.stdout.readline()
    with pytest.raises(InUseError, match="in use by another process"):
        train_small(tmp_path)
    holder.kill()
    holder.communicate()
    assert list(tmp_path.iterdir()) == []


def test_a_run_leaves_model_log_and_the_newest_checkpoints(finished):
    folder, trained = finished
    assert sorted(path.name for path in folder.iterdir()) == ["checkpoints", "log.jsonl", "model"]
    assert checkpoint_names(folder) == ["step-00000020", "step-00000024"]
    assert_same_model(load_components(folder / "model"), trained)
    log = read_journal(folder / "log.jsonl")
    assert [entry["step"] for entry in log] == list(range(1, 25))
    assert log[0].keys() == {"step", "loss", "gradient_norm", "learning_rate", "steps_per_second"}


def test_the_loss_of_one_repeated_sound_falls(finished):
    losses = [entry["loss"] for entry in read_journal(finished[0] / "log.jsonl")]
    assert np.mean(losses[-6:]) < 0.8 * np.mean(losses[:6])


def test_only_what_is_trained_changes(finished):
    _, trained = finished
    for name, module in small_components().modules.items():
        before, after = modules.to_numpy(module), modules.to_numpy(trained.modules[name])
        changed = any(np.any(before[path] != after[path]) for path in before)
        assert changed == (name in CONFIG.trainable), name


def test_a_run_that_is_interrupted_and_resumed_ends_with_the_same_bits(finished, tmp_path):
    folder, expected = finished
    run = tmp_path / "run"
    with pytest.raises(TrainingInterrupted, match="of 24 updates"):
        train_small(run, Interrupting(OneSound(), at=7))
    stopped_after = len(read_journal(run / "log.jsonl"))
    assert stopped_after < 10
    assert checkpoint_names(run)[-1] == f"step-{stopped_after:08d}"
    # As if the process had gone on for a while after its last checkpoint, and was then killed.
    with (run / "log.jsonl").open("a") as log:
        log.write('{"step": 11, "loss": 0.0}\n{"step": 12, "lo')
    resumed = train_small(run, resume=True)
    assert_same_model(resumed, expected)
    losses, expected_losses = ([entry["loss"] for entry in read_journal(path / "log.jsonl")] for path in (run, folder))
    assert losses == expected_losses


def test_a_finished_run_is_only_read(finished):
    folder, expected = finished
    assert_same_model(train_small(folder, resume=True), expected)
    assert len(read_journal(folder / "log.jsonl")) == 24


def test_nan_stops_with_the_step_and_the_files_and_keeps_the_last_good_checkpoint(tmp_path):
    source = OneSound(not_a_number_at=6)
    with pytest.raises(NonFiniteLossError, match=r"step 7: the loss is nan.*sound-0\.wav, sound-1\.wav.*step-00000004"):
        train_small(tmp_path / "run", source)
    assert checkpoint_names(tmp_path / "run") == ["step-00000004"]
    assert len(read_journal(tmp_path / "run" / "log.jsonl")) == 6


def test_a_disk_that_fills_keeps_the_last_good_checkpoint(tmp_path, monkeypatch):
    write = Checkpoints._write

    def fill_the_disk(self, folder, state):
        write(self, folder, state)
        if int(state.updates) == 8:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr(Checkpoints, "_write", fill_the_disk)
    with pytest.raises(SavingError, match=r"step-00000008.*No space left on device.*step-00000004"):
        train_small(tmp_path / "run")
    assert checkpoint_names(tmp_path / "run") == ["step-00000004"]


def test_another_models_checkpoint_is_refused(finished):
    other = dataclasses.replace(small_components(), unet=random_model(UNet, small_components().unet.config, seed=1))
    with pytest.raises(CheckpointError, match="belongs to another model: unet differ"):
        train_small(finished[0], components=other, resume=True)


def test_a_changed_configuration_is_refused_and_named(finished):
    changed = dataclasses.replace(CONFIG, learning_rate=1e-3, litefocus=LiteFocusConfig(), keep=5)
    with pytest.raises(CheckpointError, match=r"learning_rate was 0\.005 and is 0\.001; litefocus was None") as raised:
        train_small(finished[0], config=changed, resume=True)
    assert "keep" not in str(raised.value)


def test_a_finished_run_is_extended_by_more_steps(finished, tmp_path, caplog):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    longer = dataclasses.replace(CONFIG, steps=26, warmup_steps=3)
    logging.getLogger("litefocus_jax").propagate = True
    train_small(run, config=longer, resume=True)
    log = read_journal(run / "log.jsonl")
    assert [entry["step"] for entry in log] == list(range(1, 27))
    rates = [entry["learning_rate"] for entry in log[-3:]]
    assert rates == pytest.approx([float(learning_rate_at(longer, update)) if update > 23 else rates[0]
                                   for update in (23, 24, 25)])  # fmt: skip
    assert "was to have 24 updates and is to have 26: from update 25 on the learning rate" in caplog.text
    with pytest.raises(ValueError, match=r"steps = 10 is less than the 26 updates that are done"):
        train_small(run, config=dataclasses.replace(CONFIG, steps=10), resume=True)


def test_the_model_says_the_length_that_it_was_trained_on(finished):
    folder, trained = finished
    assert small_components().unet.config.sample_size == 16
    assert trained.unet.config.sample_size == 8
    assert load_components(folder / "model").facts.geometry.training_frames == 8


def test_a_damaged_checkpoint_is_named(finished, tmp_path):
    run = tmp_path / "run"
    shutil.copytree(finished[0], run)
    shutil.rmtree(run / "checkpoints" / "step-00000024" / "state")
    with pytest.raises(CheckpointError, match="step-00000024 is damaged"):
        train_small(run, resume=True)


def test_a_run_that_ended_before_its_first_checkpoint_begins_again(tmp_path, finished):
    run = tmp_path / "run"
    run.mkdir()
    (run / "log.jsonl").write_text('{"step": 1, "loss": 5.0}\n')
    with pytest.raises(TrainingInterrupted):
        train_small(run, Interrupting(OneSound(), at=2), resume=True)
    first, expected = (read_journal(folder / "log.jsonl")[0]["loss"] for folder in (run, finished[0]))
    assert first == expected


def test_a_folder_is_neither_overwritten_nor_taken_for_a_run(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(FileExistsError, match="choose another folder"):
        train_small(tmp_path)
    with pytest.raises(FileNotFoundError, match="no training to resume"):
        train_small(tmp_path, resume=True)


def test_a_batch_of_another_size_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"arrays of \[3\] clips; expected batch_size = 8"):
        train_small(tmp_path / "run", OneSound(batch_size=3))


@pytest.mark.parametrize(
    ("changes", "axis", "message"),
    [
        ({}, "model", r"axes \('model',\); expected one, 'data'"),
        ({"litefocus": LiteFocusConfig(levels=(0,))}, "data", "levels names level 0"),
    ],
)
def test_what_does_not_fit_is_named_before_anything_is_written(changes, axis, message, tmp_path):
    mesh = Mesh(np.array(jax.devices()[:1]), (axis,))
    with pytest.raises(ValueError, match=message):
        train_small(tmp_path / "run", config=dataclasses.replace(CONFIG, **changes), mesh=mesh)
    assert not (tmp_path / "run").exists()


def test_updates_are_given_the_reach_of_the_configuration_in_latent_frames(monkeypatch, tmp_path):
    architectures = []

    def stop(*arguments, architecture, **keywords):
        architectures.append(architecture)
        raise RuntimeError("enough")

    monkeypatch.setattr(loop, "update", stop)
    config = dataclasses.replace(CONFIG, litefocus=LiteFocusConfig(levels="all", reach_in_s=1.0))
    with pytest.raises(RuntimeError, match="enough"):
        train_small(tmp_path / "run", config=config)
    assert architectures[0].attention.reach == 25


def test_a_log_with_a_malformed_line_is_refused(tmp_path):
    path = tmp_path / "log.jsonl"
    path.write_text('{"step": 1}\nnonsense\n{"step": 3}\n')
    with pytest.raises(ValueError, match=r"line 2: 'nonsense'; expected a JSON object"):
        Journal(path, after=3)
