"""What is looked at while a model is trained: validation, sounds, TensorBoard; none of it changes the weights."""

import dataclasses
from pathlib import Path

import pytest

from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.components import Components
from litefocus_jax.training.journal import read_journal
from litefocus_jax.training.monitoring import Monitoring, tensorboard_lines
from tests.support.stored_models import assert_same_model
from tests.support.training import CONFIG, OneSound, train_small

SHORT = dataclasses.replace(CONFIG, steps=5)


@pytest.fixture(scope="module")
def watched(tmp_path_factory) -> tuple[Path, list[int], Components]:
    folder, made = tmp_path_factory.mktemp("watched") / "run", []
    monitoring = Monitoring(
        validation=[OneSound().batch(index).batch for index in (100, 101)],
        validate_every=2,
        make_samples=lambda components, step: made.append((step, components.unet.config.sample_size)),
        samples_every=4,
        tensorboard=True,
    )
    return folder, made, train_small(folder, config=SHORT, monitoring=monitoring)


def test_validation_is_logged_before_the_first_update_every_few_and_after_the_last(watched):
    log = read_journal(watched[0] / "log.jsonl")
    assert [entry["step"] for entry in log] == [0, 1, 2, 3, 4, 5]
    losses = {entry["step"]: entry["validation_loss"] for entry in log if "validation_loss" in entry}
    assert list(losses) == [0, 2, 4, 5]
    assert losses[5] < losses[0]


def test_sounds_are_asked_for_with_the_model_as_it_is_saved(watched):
    assert watched[1] == [(0, 8), (4, 8), (5, 8)]


def test_watching_changes_nothing(watched, tmp_path):
    assert_same_model(train_small(tmp_path / "run", config=SHORT), load_components(watched[0] / "model"))


def test_tensorboard_gets_what_the_log_says(watched):
    [events] = (watched[0] / "tensorboard").iterdir()
    written = events.read_bytes()
    for name in (b"validation_loss", b"gradient_norm", b"learning_rate", b"steps_per_second"):
        assert name in written


def test_lines_without_a_value_are_no_points(tmp_path):
    with tensorboard_lines(tmp_path, after=3) as write:
        write({"step": 4, "loss": 1.0, "steps_per_second": None})
    [events] = tmp_path.iterdir()
    assert b"steps_per_second" not in events.read_bytes()


def test_an_impossible_frequency_is_refused():
    with pytest.raises(ValueError, match="validate_every = 0"):
        Monitoring(validate_every=0)
