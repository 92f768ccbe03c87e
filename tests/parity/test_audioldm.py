"""AudioLDM and MusicLDM against diffusers and transformers: networks, a whole sound, and the way there and back."""

import dataclasses
import json
import shutil
import types
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
import torch
from diffusers import UNet2DConditionModel
from typer.testing import CliRunner

import litefocus_jax
from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.cli import app
from litefocus_jax.models.clap.features import ClapFeaturesConfig
from litefocus_jax.models.clap.text import TEXT_ALONE
from litefocus_jax.models.model_type import AUDIOLDM, MODEL_TYPES, MUSICLDM
from litefocus_jax.models.unet.config import ClassConditionedUNetConfig
from litefocus_jax.models.unet.network import CLASS_CONDITIONED, UNet
from tests.support.models import LABELLED_UNET
from tests.support.parity import assert_parity, nhwc, port, randomise, to_jax
from tests.support.reference import build_labelled_folder, build_labelled_models
from tests.support.tolerance import deviation

PROMPTS = ["rain on a tin roof", "a dog barks twice, far away"]
NEGATIVE = ["low", "hum"]  # diffusers cuts these to the width of CLAP's vector, which is 8 in the tiny one
VARIANTS = {
    "as published": {},
    "linear projections, several blocks, heads and layers by level": {
        "use_linear_projection": True,
        "transformer_layers_per_block": 2,
        "attention_head_dim": (4, 2),
        "layers_per_block": (2, 1),
        "time_embedding_dim": 20,
    },
}


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_unet_is_that_of_diffusers(variant: str) -> None:
    config = dataclasses.replace(LABELLED_UNET, **VARIANTS[variant])
    theirs: Any = randomise(UNet2DConditionModel.from_config(config.to_dict()))  # pyright: ignore[reportArgumentType]
    assert ClassConditionedUNetConfig.from_dict(dict(theirs.config)) == config
    ours: UNet = port(CLASS_CONDITIONED, config, theirs)
    generator = torch.Generator().manual_seed(1)
    sample = torch.randn(2, 4, 11, 6, generator=generator)
    labels = torch.randn(2, 8, generator=generator)
    timesteps = torch.tensor([3, 801])
    expected = theirs(sample, timesteps, encoder_hidden_states=None, class_labels=labels).sample

    @jax.jit
    def predict(unet: UNet, sample: jax.Array, timesteps: jax.Array, labels: jax.Array) -> jax.Array:
        return unet(sample, unet.embed_time(timesteps), unet.project_context(class_labels=labels))

    actual = predict(ours, nhwc(sample), to_jax(timesteps), to_jax(labels))
    assert_parity(actual.transpose(0, 3, 1, 2), expected)


def test_the_vector_of_a_prompt_is_that_of_the_text_tower_alone() -> None:
    theirs = build_labelled_models(AUDIOLDM)["text_encoder"]
    config = TEXT_ALONE.config_class.tiny()
    assert TEXT_ALONE.config_class.from_dict(theirs.config.to_dict()) == config
    ids, mask = torch.tensor([[0, 7, 9, 2, 1], [0, 5, 2, 1, 1]]), torch.tensor([[1, 1, 1, 1, 0], [1, 1, 1, 0, 0]])
    expected = torch.nn.functional.normalize(theirs(ids, attention_mask=mask).text_embeds, dim=-1)
    assert_parity(port(TEXT_ALONE, config, theirs)(to_jax(ids), to_jax(mask)), expected)


@pytest.fixture(scope="module", params=[AUDIOLDM.name, MUSICLDM.name])
def both(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> tuple[Any, Path]:
    """diffusers' pipeline, and its folder."""
    model_type = MODEL_TYPES[request.param]
    folder = tmp_path_factory.mktemp(model_type.name) / "diffusers"
    theirs = build_labelled_folder(model_type, folder)
    if model_type is MUSICLDM:
        _repair(theirs)
    return theirs, folder


def _repair(theirs: Any) -> None:
    """Have CLAP return the features and nothing around them, as it did before transformers 5, and diffusers expects."""
    of_text = type(theirs.text_encoder).get_text_features

    def get_text_features(self: Any, *arguments: Any, **named: Any) -> torch.Tensor:
        found = of_text(self, *arguments, **named)
        return getattr(found, "pooler_output", found)

    theirs.text_encoder.get_text_features = types.MethodType(get_text_features, theirs.text_encoder)


def made_by_both(theirs: Any, ours: AudioLDM2Pipeline, **changes: Any) -> tuple[np.ndarray, np.ndarray]:
    geometry = ours.geometry
    shape = (len(PROMPTS), geometry.channels, geometry.latent_frames(0.4), geometry.frequencies)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    arguments = {"audio_length_in_s": 0.4, "num_inference_steps": 3, "negative_prompt": NEGATIVE} | changes
    expected = theirs(PROMPTS, latents=latents, **arguments).audios
    as_there = {"timestep_spacing": "leading", "litefocus": None, "progress": False}
    return ours(PROMPTS, latents=nhwc(latents), **as_there, **arguments).audios, expected


def test_guided_steps_give_the_waveform_of_diffusers_and_come_back_to_it(
    both: tuple[Any, Path], tmp_path: Path
) -> None:
    theirs, folder = both
    ours = AudioLDM2Pipeline.from_pretrained(folder)
    assert type(ours).__name__ == type(theirs).__name__
    actual, expected = made_by_both(theirs, ours)  # guidance as either has it by default
    assert deviation(actual, expected) < 1e-4
    ours.save_pretrained(tmp_path / "native")
    exported = tmp_path / "exported"
    result = CliRunner().invoke(app, ["export", str(tmp_path / "native"), str(exported)])
    assert result.exit_code == 0, result.output
    again = type(theirs).from_pretrained(exported)
    for name in ours.components.model_type.networks:
        kept = getattr(again, name).state_dict()
        for key, weight in getattr(theirs, name).state_dict().items():
            if not key.startswith(("audio_", "logit_scale_")):
                assert torch.equal(kept[key], weight), key
    index = json.loads((exported / "model_index.json").read_text(encoding="utf-8"))
    assert index["_class_name"] == type(theirs).__name__
    assert ("feature_extractor" in index) == (ours.components.model_type is MUSICLDM)


def test_waveforms_are_ranked_by_the_clap_of_a_musicldm_which_hears(both: tuple[Any, Path], tmp_path: Path) -> None:
    _, published = both
    folder = tmp_path / "diffusers"
    shutil.copytree(published, folder)
    options: Any = {"audio_length_in_s": 0.4, "num_inference_steps": 1, "num_waveforms_per_prompt": 2}
    ours = AudioLDM2Pipeline.from_pretrained(folder)
    if ours.components.model_type is not MUSICLDM:
        with pytest.raises(ValueError, match=r"rank=True: .* is CLAP's tower for text alone, as an AudioLDM has it"):
            ours("rain", rank=True, progress=False, **options)
        return
    features = ClapFeaturesConfig(  # as the tiny tower takes them
        feature_size=8,
        sampling_rate=8000,
        hop_length=80,
        max_length_s=1,
        fft_window_size=256,
        frequency_max=4000.0,
        truncation="rand_trunc",
    )
    (folder / "feature_extractor" / "preprocessor_config.json").write_text(json.dumps(features.to_dict()))
    ranked = ours(PROMPTS, rank=True, progress=False, **options)
    made = ours(PROMPTS, progress=False, **options)
    assert ranked.scores is not None
    assert ranked.numbers is not None
    for first in (0, 2):
        assert ranked.scores[first] >= ranked.scores[first + 1]
        assert {*ranked.numbers[first : first + 2]} == {first, first + 1}
    np.testing.assert_array_equal(ranked.audios, made.audios[list(ranked.numbers)])


def test_vectors_in_the_place_of_words_are_those_of_diffusers(both: tuple[Any, Path]) -> None:
    theirs, folder = both
    ours = litefocus_jax.AudioLDM2Pipeline.from_pretrained(folder)
    embeddings = ours.encode_prompt(PROMPTS, negative_prompt=NEGATIVE, do_classifier_free_guidance=True)
    expected = theirs._encode_prompt(PROMPTS, "cpu", 1, True, NEGATIVE)
    assert_parity(embeddings.prompt_embeds, expected)
