"""AudioLDM and MusicLDM on the way of AudioLDM2: the pipeline's options, files, and what only AudioLDM2 has."""

import dataclasses
import json
import shutil
from pathlib import Path
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from typer.testing import CliRunner

import litefocus_jax
from litefocus_jax import AudioLDMPipeline, MusicLDMPipeline
from litefocus_jax.checkpoint.random_model import sub_model_configs
from litefocus_jax.checkpoint.store import load_components, open_checkpoint
from litefocus_jax.cli import app
from litefocus_jax.models.components import Components, differences_in_width
from litefocus_jax.models.unet.config import ClassConditionedUNetConfig
from litefocus_jax.models.unet.heads import doubt, with_heads
from litefocus_jax.system.json_config import ConfigError
from litefocus_jax.training.state import Architecture, frozen_weights, trained_weights
from tests.support.family import FIRST, family_folder, family_pipeline
from tests.support.models import LABELLED_UNET, tiny_checkpoint
from tests.support.tolerance import deviation
from tests.support.training import CONFIG

BRIEF: Any = {"audio_length_in_s": 0.4, "num_inference_steps": 2, "litefocus": None, "progress": False}


def invoke(*arguments: Any) -> str:
    result = CliRunner().invoke(app, [*map(str, arguments)])
    assert result.exit_code == 0, result.output
    return result.output


def test_the_pipeline_is_that_of_the_model_and_has_no_part_that_the_model_has_not() -> None:
    assert type(family_pipeline(FIRST)) is AudioLDMPipeline
    assert isinstance(AudioLDMPipeline.from_pretrained(family_folder(FIRST)).components, Components)
    assert "text_encoder_2" not in family_pipeline(FIRST).components.modules
    with pytest.raises(AttributeError, match="AudioLDMPipeline has no attribute 'language_model'"):
        _ = family_pipeline(FIRST).language_model
    with pytest.raises(AttributeError, match="no 'tokenizer_2'; an AudioLDM has unet, vae, vocoder, text_encoder"):
        _ = family_pipeline(FIRST).components.tokenizer_2  # pyright: ignore[reportAttributeAccessIssue]


@pytest.mark.parametrize(("kind", "source", "message"), [
    (MusicLDMPipeline, lambda: family_folder(FIRST), r"an AudioLDM, and MusicLDMPipeline is for a MusicLDM"),
    (AudioLDMPipeline, tiny_checkpoint, "is an AudioLDM2, and AudioLDMPipeline is for an AudioLDM; expected .*LDM2P"),
])  # fmt: skip
def test_a_pipeline_for_one_model_refuses_another(kind: Any, source: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        kind.from_pretrained(source())


@pytest.mark.parametrize(("options", "message"), [
    ({"generated_prompt_embeds": np.zeros((1, 8, 16))}, "generated_prompt_embeds is of AudioLDM2; this model is an Au"),
    ({"negative_attention_mask": np.ones((1, 8))}, "negative_attention_mask is of AudioLDM2"),
    ({"prompt_padding": "batch"}, "prompt_padding = 'batch' is of AudioLDM2"),
    ({"force_zeros_for_empty_prompt": True}, "force_zeros_for_empty_prompt = True is of AudioLDM2"),
    ({"transcription": "hello"}, "transcription is for a model that speaks"),
    ({"prompt_embeds": np.zeros((1, 3, 8))}, r"prompt_embeds has shape \(1, 3, 8\); expected \[prompts, 8\], CLAP's"),
])  # fmt: skip
def test_what_only_audioldm2_has_is_one_clear_error(options: dict[str, Any], message: str) -> None:
    prompt = None if "prompt_embeds" in options else "rain"
    with pytest.raises(ValueError, match=message):
        family_pipeline(FIRST).request(prompt, **options)


def test_vectors_make_the_sound_of_their_words_and_neighbours_change_nothing() -> None:
    both = family_pipeline(FIRST)(["rain", "a much longer prompt of wind"], seed=3, **BRIEF)
    alone = family_pipeline(FIRST)("rain", seed=3, **BRIEF)
    assert deviation(both.audios[:1], alone.audios) < 1e-4
    embeddings = family_pipeline(FIRST).encode_prompt("rain")
    vectors = family_pipeline(FIRST)(seed=3, **(BRIEF | embeddings._asdict()))
    assert deviation(vectors.audios, alone.audios) < 1e-4
    other = family_pipeline(FIRST)("hail", seed=3, **BRIEF)
    assert deviation(other.audios, alone.audios) > 1e-3  # the prompt is heard


def test_guidance_steers_away_from_a_vector_as_from_its_words() -> None:
    negative = family_pipeline(FIRST).encode_prompt("wind").prompt_embeds
    words = family_pipeline(FIRST)("rain", seed=3, negative_prompt="wind", **BRIEF).audios
    vectors = family_pipeline(FIRST)("rain", seed=3, negative_prompt_embeds=negative, **BRIEF).audios
    assert deviation(vectors, words) < 1e-4
    assert deviation(family_pipeline(FIRST)("rain", seed=3, **BRIEF).audios, words) > 1e-4


def test_litefocus_and_windows_serve_it_too() -> None:
    options: dict[str, Any] = {**BRIEF, "audio_length_in_s": 1.3, "guidance_scale": 1.0, "output_type": "latent"}
    changes: tuple[dict[str, Any], ...] = ({}, {"litefocus": "on"}, {"windowed": "average"})
    dense, sparse, windowed = (family_pipeline(FIRST)("rain", **{**options, **each}).audios for each in changes)
    assert deviation(sparse, dense) > 1e-5
    assert deviation(windowed, dense) > 1e-5


def test_what_is_kept_of_a_given_sound_is_kept_to_the_sample() -> None:
    given = 0.1 * np.random.default_rng(0).standard_normal(6400).astype(np.float32)
    options: dict[str, Any] = {**BRIEF, "audio": given, "sampling_rate": 16000, "fill": [(0.2, 0.3)]}
    del options["audio_length_in_s"]
    filled = family_pipeline(FIRST)("rain", **options).audios[0]
    np.testing.assert_array_equal(filled[:1600], given[:1600])
    assert deviation(filled[3200:4800], given[3200:4800]) > 1e-3


def test_a_sound_is_made_again_from_its_recipe(tmp_path: Path) -> None:
    first, second = tmp_path / "first.wav", tmp_path / "second.wav"
    few = ("-d", 0.4, "--steps", 2, "--litefocus", "off")
    invoke("generate", "rain", "-m", family_folder(FIRST), *few, "--seed", 4, "-o", first)
    invoke("generate", "--from", first, "-o", second)
    assert first.read_bytes() == second.read_bytes()
    shown = invoke("info", family_folder(FIRST))
    assert "native checkpoint of an AudioLDM" in shown
    assert "text_encoder_2" not in shown


def test_training_knows_the_encoder_that_there_is() -> None:
    components = family_pipeline(FIRST).components
    architecture = Architecture.of(components)
    assert [name for name, _ in architecture.configs] == ["unet", "text_encoder"]
    config = dataclasses.replace(CONFIG, trainable=("unet",))
    assert set(frozen_weights(components, config)) == {"text_encoder"}
    with pytest.raises(ValueError, match="trainable names projection_model, but the model is an AudioLDM; expected"):
        trained_weights(components, CONFIG)


def damaged(tmp_path: Path, change: Any) -> Path:
    """The model in diffusers' layout, with a change to its folder."""
    folder = tmp_path / "diffusers"
    litefocus_jax.save_diffusers(load_components(family_folder(FIRST)), folder)
    change(folder)
    return folder


def rewrite(path: Path, **changes: Any) -> None:
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))


@pytest.mark.parametrize(("change", "message"), [
    (lambda folder: shutil.rmtree(folder / "text_encoder"), "incomplete; it lacks the folders text_encoder of an A"),
    (lambda folder: rewrite(folder / "model_index.json", text_encoder=["transformers", "ClapModel"]),
     "text_encoder is a ClapModel; expected ClapTextModelWithProjection"),
    (lambda folder: rewrite(folder / "model_index.json", _class_name="StableDiffusionPipeline"),
     "expected 'AudioLDM2Pipeline' or 'AudioLDMPipeline' or 'MusicLDMPipeline'"),
    (lambda folder: rewrite(folder / "unet" / "config.json", class_embed_type="timestep"),
     "class_embed_type = 'timestep' is not supported; expected 'simple_projection'"),
    (lambda folder: rewrite(folder / "unet" / "config.json", cross_attention_dim=[8, 24]),
     "cross_attention_dim has 24 at level 1, which is 16 channels wide"),
    (lambda folder: rewrite(folder / "unet" / "config.json", projection_class_embeddings_input_dim=9),
     r"class_embedding.weight \[32, 8\] becomes class_embedding.kernel \[8, 32\]; expected \[9, 32\]"),
])  # fmt: skip
def test_a_folder_that_is_wrong_is_one_clear_error(tmp_path: Path, change: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_checkpoint(damaged(tmp_path, change))


def test_a_text_tower_alone_cannot_rank() -> None:
    with pytest.raises(ValueError, match=r"rank=True: .* is in the native format"):
        family_pipeline(FIRST)("rain", rank=True, **BRIEF)


def test_a_text_tower_alone_is_said_to_hear_nothing(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="text_encoder is CLAP's tower for text alone, as an AudioLDM has it"):
        litefocus_jax.load_clap(damaged(tmp_path, lambda folder: None))


def test_the_authors_keys_are_not_written_of_sizes_that_their_code_has_not(tmp_path: Path) -> None:
    arguments = ["export", str(family_folder(FIRST)), str(tmp_path / "x.safetensors"), "--format", "original"]
    result = CliRunner().invoke(app, arguments)
    assert result.exit_code == 1
    assert "the authors' code has no network of these sizes" in " ".join(result.output.split())


@pytest.mark.parametrize(("size", "trained", "parameters"), [
    ("audioldm", (4, 8, 12, 20), 512),
    ("audioldm-m-full", (6, 12, 18, 30), 512),
    ("audioldm-l-full", (4, 8, 12, 20), 512),
    ("musicldm", (4, 8, 12, 20), 512),
])  # fmt: skip
def test_published_shapes_fit_together_and_their_heads_are_in_doubt(
    size: str, trained: tuple[int, ...], parameters: int
) -> None:
    configs = sub_model_configs(size)
    assert differences_in_width(configs) == []
    unet = configs["unet"]
    assert isinstance(unet, ClassConditionedUNetConfig)
    assert unet.class_labels_dim == parameters
    assert f"({', '.join(map(str, trained))} by level)" in (doubt(unet) or "")
    assert with_heads(unet, "trained").num_heads_per_level == trained
    assert dict(unet.from_dict(unet.to_dict()).to_dict()) == unet.to_dict()


def test_a_network_says_which_kind_of_prompt_it_takes() -> None:
    with pytest.raises(ValueError, match="takes class_labels; found encoder_hidden_states"):
        family_pipeline(FIRST).unet.project_context(jnp.zeros((1, 8, 16)), jnp.zeros((1, 4, 24)))
    with pytest.raises(ConfigError, match="cross_attention_dim"):
        ClassConditionedUNetConfig.from_dict({**LABELLED_UNET.to_dict(), "cross_attention_dim": None})
