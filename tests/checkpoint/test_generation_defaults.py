"""Sampling defaults that travel with a model: saved, loaded, exported."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from litefocus_jax.checkpoint.diffusers import save_diffusers
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.store import load_components, open_checkpoint
from litefocus_jax.models.components import Components
from litefocus_jax.models.generation_defaults import PUBLISHED, GenerationDefaults
from tests.support.models import tiny_checkpoint
from tests.support.stored_models import change_json, tiny_diffusers_checkpoint

OWN = GenerationDefaults("dpm++", 25, "trailing", 4.0, "alone")


def tiny_with_defaults() -> Components:
    return dataclasses.replace(load_components(tiny_checkpoint()), defaults=OWN)


def test_a_saved_model_keeps_its_defaults(tmp_path: Path) -> None:
    save_native(tiny_with_defaults(), tmp_path / "model")
    assert json.loads((tmp_path / "model" / "model.json").read_text())["generation"]["num_inference_steps"] == 25
    assert open_checkpoint(tmp_path / "model").facts.defaults == OWN
    assert load_components(tmp_path / "model").facts.defaults == OWN


def test_an_exported_model_keeps_its_defaults_and_diffusers_gets_its_scheduler(tmp_path: Path) -> None:
    save_diffusers(tiny_with_defaults(), tmp_path / "exported")
    assert open_checkpoint(tmp_path / "exported").defaults == OWN
    scheduler = json.loads((tmp_path / "exported" / "scheduler" / "scheduler_config.json").read_text())
    assert (scheduler["_class_name"], scheduler["timestep_spacing"]) == ("DPMSolverMultistepScheduler", "trailing")
    index = json.loads((tmp_path / "exported" / "model_index.json").read_text())
    assert index["scheduler"] == ["diffusers", "DPMSolverMultistepScheduler"]


def test_models_that_say_nothing_are_sampled_as_diffusers_does(tmp_path: Path) -> None:
    assert open_checkpoint(tiny_diffusers_checkpoint()).defaults == PUBLISHED
    older = shutil.copytree(tiny_checkpoint(), tmp_path / "older")
    manifest = json.loads((older / "model.json").read_text())
    del manifest["generation"]
    (older / "model.json").write_text(json.dumps(manifest))
    assert open_checkpoint(older).defaults == PUBLISHED


@pytest.mark.parametrize(
    ("generation", "message"),
    [
        ({"scheduler": "euler"}, r"model\.json: generation: scheduler = 'euler'; expected"),
        ({"num_inference_steps": 2000}, r"model\.json: generation: num_inference_steps = 2000; expected at most 1000"),
        (None, r"model\.json: generation is a JSON NoneType; expected an object"),
    ],
)
def test_wrong_defaults_are_one_clear_error(generation: Any, message: str, tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_checkpoint(), tmp_path / "model")
    change_json(folder / "model.json", generation=generation)
    with pytest.raises(CheckpointError, match=message):
        open_checkpoint(folder)
