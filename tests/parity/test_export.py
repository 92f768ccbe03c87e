"""An exported model in diffusers: the folder is complete as it is, and the sound is ours."""

import dataclasses
import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from diffusers import AudioLDM2Pipeline as DiffusersPipeline
from flax import nnx
from typer.testing import CliRunner

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint.native import save_native
from litefocus_jax.checkpoint.store import BUNDLED_MODEL, load_components
from litefocus_jax.cli import app
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.models.vocoder import Vocoder
from tests.parity.test_pipeline import NEGATIVE_PROMPTS, PROMPTS
from tests.support.models import many_headed_checkpoint, tiny_checkpoint
from tests.support.parity import nhwc
from tests.support.reference import build_diffusers_folder
from tests.support.tolerance import deviation


def export(model: Path | str, folder: Path, *options: str) -> Path:
    result = CliRunner().invoke(app, ["export", str(model), str(folder), *options])
    assert result.exit_code == 0, result.output
    return folder


def assert_same_sound(model: Path | str, folder: Path, prompts: list[str] = PROMPTS) -> None:
    """Fail unless a model, exported to the folder, makes in diffusers the sound it makes here."""
    ours = uncorrected(AudioLDM2Pipeline.from_pretrained(model))
    # Of a half-precision folder, transformers' parts would stay half and diffusers' would not.
    theirs: Any = DiffusersPipeline.from_pretrained(export(model, folder)).to(torch.float32)
    theirs.set_progress_bar_config(disable=True)
    geometry = ours.geometry
    shape = (len(prompts), geometry.channels, geometry.latent_frames(0.5), geometry.frequencies)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    arguments = {"audio_length_in_s": 0.5, "num_inference_steps": 5, "negative_prompt": NEGATIVE_PROMPTS}
    # What would begin below pure noise, diffusers does as it is told.
    as_there = {"timestep_spacing": ours.facts.defaults.timestep_spacing or "leading", "prompt_padding": "batch"}

    expected = theirs(prompts, latents=latents, **arguments).audios
    actual = ours(prompts, latents=nhwc(latents), litefocus=None, **as_there, **arguments).audios
    assert deviation(actual, expected) < 1e-3


def uncorrected(pipeline: AudioLDM2Pipeline) -> AudioLDM2Pipeline:
    """The same model without what follows its vocoder here, and does not in diffusers."""
    components = pipeline.components
    vocoder = Vocoder(dataclasses.replace(components.vocoder.config, mel_corrections=0), rngs=nnx.Rngs(0))
    nnx.update(vocoder, nnx.state(components.vocoder))
    return AudioLDM2Pipeline(dataclasses.replace(components, vocoder=vocoder))


def test_an_exported_model_sounds_the_same_in_diffusers(tmp_path: Path) -> None:
    assert_same_sound(tiny_checkpoint(), tmp_path / "exported")


def test_the_bundled_model_sounds_the_same_in_diffusers(tmp_path: Path) -> None:
    # In small letters without punctuation, since transformers' classes leave out what its tokenizers say of them.
    assert_same_sound(BUNDLED_MODEL, tmp_path / "exported", ["a steady tone", "a two tone siren and rain"])


def test_what_diffusers_does_not_do_after_the_vocoder_is_said(tmp_path: Path) -> None:
    result = CliRunner().invoke(app, ["export", str(BUNDLED_MODEL), str(tmp_path / "exported")])
    assert "nothing about mel_corrections = 2 and least_level_in_dbfs = -38 of" in " ".join(result.output.split())
    assert load_components(tmp_path / "exported").vocoder.config.mel_corrections == 2
    assert (
        "mel_corrections" not in CliRunner().invoke(app, ["export", str(tiny_checkpoint()), str(tmp_path / "b")]).output
    )


def test_every_weight_comes_back_to_diffusers_as_it_left(tmp_path: Path) -> None:
    expected = build_diffusers_folder(tmp_path / "diffusers")  # biases and norms are random in it
    save_native(load_components(tmp_path / "diffusers"), tmp_path / "native")
    exported = export(tmp_path / "native", tmp_path / "exported")
    for name in NETWORKS:
        original = getattr(expected, name)
        model, report = type(original).from_pretrained(exported / name, output_loading_info=True)
        assert not any(report.values()), f"{name}: {report}"
        weights = model.state_dict()
        for name, weight in original.state_dict().items():
            if not name.startswith(("audio_", "logit_scale_")):
                assert torch.equal(weights[name], weight), name


def test_half_precision_is_read_by_diffusers(tmp_path: Path) -> None:
    folder = export(tiny_checkpoint(), tmp_path / "exported", "--dtype", "bfloat16")
    theirs: Any = DiffusersPipeline.from_pretrained(folder).to(torch.bfloat16)
    theirs.set_progress_bar_config(disable=True)
    audios = theirs("rain", audio_length_in_s=0.2, num_inference_steps=2).audios
    assert audios.shape == (1, 3200)
    assert np.isfinite(audios).all()


def test_to_the_audio_tower_all_sounds_are_alike(tmp_path: Path) -> None:
    theirs: Any = DiffusersPipeline.from_pretrained(export(tiny_checkpoint(), tmp_path / "exported"))
    sounds = list(np.random.default_rng(0).standard_normal((5, 48000), np.float32))
    texts = theirs.tokenizer(PROMPTS, return_tensors="pt", padding=True)
    features = theirs.feature_extractor(sounds, return_tensors="pt", sampling_rate=48000).input_features
    scores = theirs.text_encoder(**texts, input_features=features).logits_per_text
    assert torch.isfinite(scores).all()
    assert (scores == scores[:, :1]).all()


def test_heads_as_trained_travel_to_diffusers_and_sound_the_same_there(tmp_path: Path) -> None:
    AudioLDM2Pipeline.from_pretrained(many_headed_checkpoint(), heads="trained").save_pretrained(tmp_path / "trained")
    assert_same_sound(tmp_path / "trained", tmp_path / "exported")
    config = json.loads((tmp_path / "exported" / "unet" / "config.json").read_text(encoding="utf-8"))
    assert config["attention_head_dim"] == [1, 2]
    again = export(many_headed_checkpoint(), tmp_path / "again", "--heads", "trained")
    assert json.loads((again / "unet" / "config.json").read_text(encoding="utf-8")) == config
