"""What an AudioLDM2 for speech reads, against transformers' VITS and diffusers' own pipeline."""

from pathlib import Path
from typing import Any

import diffusers
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import torch
import transformers

from litefocus_jax import AudioLDM2Pipeline, save_diffusers
from litefocus_jax.checkpoint.random_model import published_config, save_character_tokenizers, sub_model_configs
from litefocus_jax.checkpoint.tokenizer_files import save_phoneme_tokenizer
from litefocus_jax.models.vits import NETWORK, VitsConfig
from tests.parity.test_text import projection_reference, tokens
from tests.support.parity import assert_parity, nhwc, port, randomise, to_jax
from tests.support.reference import build_models
from tests.support.tolerance import deviation

TINY = VitsConfig.tiny()
PROMPTS = ["a woman speaks", "a man, far away"]
NEGATIVE_PROMPTS = ["noise", "music"]
SAID = ["həlˈoʊ, wˈɜːld!", "ɡˈʊd mˈɔːnɪŋ" * 4]  # the second one is longer than a tiny model takes


def vits_reference(config: VitsConfig = TINY) -> transformers.VitsModel:
    """A VITS whose decoder and flow, which nothing runs, are small."""
    small: dict[str, Any] = {
        "upsample_initial_channel": 64,
        "prior_encoder_num_flows": 2,
        "posterior_encoder_num_wavenet_layers": 1,
    }
    return randomise(transformers.VitsModel(transformers.VitsConfig(**(config.to_dict() | small))))


@pytest.mark.parametrize("lengths", [(7, 3, 11), (2,), (1, 4)], ids=["longer than the window", "two", "one and four"])
def test_vits_reads_phonemes_as_transformers_does_within_windows_and_beyond(lengths):
    theirs = vits_reference()
    ids, mask = tokens(TINY.vocab_size, 0, lengths)
    expected = theirs.text_encoder(ids, attention_mask=mask, padding_mask=mask.unsqueeze(-1)).last_hidden_state
    found = jax.jit(lambda ours, *inputs: ours(*inputs))(port(NETWORK, TINY, theirs), to_jax(ids), to_jax(mask))
    assert_parity(found, expected)
    assert not found[~np.asarray(mask, bool)].any()


def test_where_nothing_is_said_there_are_zeros_as_diffusers_has_them():
    ours = port(NETWORK, TINY, vits_reference())
    states = ours(jnp.zeros((1, 9), jnp.int32), jnp.zeros((1, 9), bool))
    np.testing.assert_array_equal(states, np.zeros((1, 9, TINY.hidden_size)))


def test_padding_changes_nothing():
    ours = port(NETWORK, TINY, vits_reference())
    ids, mask = (to_jax(each) for each in tokens(TINY.vocab_size, 0, (6,)))
    padded = ours(jnp.pad(ids, ((0, 0), (0, 5)), constant_values=7), jnp.pad(mask, ((0, 0), (0, 5))))
    np.testing.assert_allclose(padded[:, :6], ours(ids, mask), atol=1e-5)


def build_speech_folder(folder: Path) -> Any:
    """Save a small model for speech as diffusers does, and return diffusers' pipeline, which gets phonemes."""
    configs = sub_model_configs("tiny-speech")
    unet: Any = diffusers.AudioLDM2UNet2DConditionModel.from_config(configs["unet"].to_dict())
    models = build_models() | {
        "unet": randomise(unet),
        "text_encoder_2": vits_reference(),
        "projection_model": projection_reference(configs["projection_model"]),
    }
    models["vocoder"].conv_post.weight.mul_(0.1)
    made = folder.with_name(folder.name + "-tokenizers")
    tokenizer, _ = save_character_tokenizers(made)
    save_phoneme_tokenizer(made / "phonemes", model_max_length=configs["projection_model"].max_seq_length)
    scheduler: Any = diffusers.DDIMScheduler.from_config(published_config("audioldm2", "scheduler"))
    pipeline = diffusers.AudioLDM2Pipeline(
        **models,
        tokenizer=transformers.AutoTokenizer.from_pretrained(tokenizer),
        tokenizer_2=transformers.AutoTokenizer.from_pretrained(made / "phonemes"),
        feature_extractor=transformers.ClapFeatureExtractor(feature_size=8),
        scheduler=scheduler,
    )
    pipeline.save_pretrained(folder)
    return says_phonemes(pipeline)


def says_phonemes(pipeline: Any) -> Any:
    """Have diffusers' tokenizer take phonemes, as espeak would make them."""
    pipeline.tokenizer_2.phonemize = pipeline.tokenizer_2.normalize = False
    pipeline.set_progress_bar_config(disable=True)
    return pipeline


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("speech") / "diffusers"


@pytest.fixture(scope="module")
def reference(folder: Path) -> Any:
    return build_speech_folder(folder)


@pytest.fixture(scope="module")
def ours(folder: Path, reference: Any) -> AudioLDM2Pipeline:
    return AudioLDM2Pipeline.from_pretrained(folder)


def test_prompts_and_phonemes_are_encoded_as_diffusers_does(ours, reference):
    count = ours.language_model.config.max_new_tokens
    expected = reference.encode_prompt(
        PROMPTS, "cpu", 1, True, transcription=SAID, negative_prompt=NEGATIVE_PROMPTS, max_new_tokens=count
    )
    found = ours.encode_prompt(
        PROMPTS, do_classifier_free_guidance=True, negative_prompt=NEGATIVE_PROMPTS, phonemes=SAID
    )
    embeds, mask, generated = expected
    assert_parity(found.prompt_embeds, embeds)
    np.testing.assert_array_equal(found.attention_mask, np.asarray(mask, bool))
    assert_parity(found.generated_prompt_embeds, generated)


def test_a_guided_sentence_sounds_as_in_diffusers(ours, reference):
    shape = (2, ours.geometry.channels, 10, ours.geometry.frequencies)
    latents = torch.randn(shape, generator=torch.Generator().manual_seed(1))
    arguments = {"audio_length_in_s": 0.4, "num_inference_steps": 3, "guidance_scale": 3.5}
    arguments["max_new_tokens"] = ours.language_model.config.max_new_tokens
    expected = reference(PROMPTS, transcription=SAID, latents=latents, **arguments).audios
    actual = ours(
        PROMPTS, phonemes=SAID, latents=nhwc(latents), timestep_spacing="leading", litefocus=None, **arguments
    ).audios
    assert deviation(actual, expected) < 1e-3


def test_what_is_written_for_diffusers_says_the_same_there(ours, reference, tmp_path):
    save_diffusers(ours.components, tmp_path / "written")
    written = says_phonemes(diffusers.AudioLDM2Pipeline.from_pretrained(tmp_path / "written"))
    arguments = ("cpu", 1, False)
    for found, expected in zip(
        written.encode_prompt(PROMPTS, *arguments, transcription=SAID, max_new_tokens=4),
        reference.encode_prompt(PROMPTS, *arguments, transcription=SAID, max_new_tokens=4),
        strict=True,
    ):
        assert_parity(to_jax(found), expected)
