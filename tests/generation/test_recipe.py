"""Recipes: all that is needed to make a sound again, in JSON that anybody may have changed."""

import dataclasses
import json
from typing import Any

import numpy as np
import pytest

from litefocus_jax import (
    Finish,
    LiteFocusConfig,
    Recipe,
    RecipeError,
    SilenceWarning,
    TilingConfig,
    WindowedDenoising,
    read_recipe,
)
from litefocus_jax.checkpoint.fingerprint import model_digest
from litefocus_jax.checkpoint.store import open_checkpoint
from litefocus_jax.generation.options import DEFAULTS
from litefocus_jax.generation.output import AudioPipelineOutput
from litefocus_jax.models.vocoder import VocoderConfig
from tests.support.models import small_checkpoint, small_pipeline, tiny_checkpoint, tiny_pipeline

BRIEF: Any = {"audio_length_in_s": 0.4, "num_inference_steps": 2}
STRANGE = [
    'he said "boo"\n\tthen \\ left',
    "雨の音 🌧️ \u202e",
    "x" * 10_000,
    "雨🌧" * 5_000,
    "<b>$5</b> [red]",
    "\x1b[2J",
]


def recipes(prompt: Any = "rain", **options: Any) -> tuple[Recipe, ...]:
    pipe = tiny_pipeline()
    return pipe.recipes(pipe.request(prompt, **options))


@pytest.mark.parametrize("options", [
    {},
    {"litefocus": "linear", "audio_length_in_s": 9.7},
    {"litefocus": LiteFocusConfig(reach_in_s=1.234, resample="once", sparse_ratio=0.3), "scale_scores": True},
    {"windowed": WindowedDenoising("average", 0.5, 0.1), "audio_length_in_s": 3.0, "token_merging": 0.5},
    {"scheduler": "dpm++", "num_inference_steps": 200},
    {"sampling": "authors", "audio_length_in_s": 0.7, "litefocus": "authors", "num_inference_steps": 150},
    {"sampling": "authors", "loop": True},
    {"latent_frames_per_second": 30.0, "audio_length_in_s": 0.5},
    {"negative_prompt": ["x", ""], "num_waveforms_per_prompt": 2, "seed": 9, "eta": 0.5, "guidance_scale": 1.0},
])  # fmt: skip
def test_a_recipe_asks_for_what_was_made(options: Any) -> None:
    pipe = tiny_pipeline()
    request = pipe.request(["rain", "wind"], **options)
    for row, recipe in enumerate(pipe.recipes(request)):
        prompts, again = Recipe.from_json(recipe.to_json()).request_options()
        remade = pipe.request(prompts, **again)
        assert remade == request
        assert remade.facts() == request.facts()
        np.testing.assert_array_equal(remade.schedule.steps.timestep, request.schedule.steps.timestep)
        assert recipe.row == row


def test_a_recipe_knows_every_option_of_a_request() -> None:
    # A new option has to be kept, or it is lost when the sound is made again.
    arrays = {name for name in DEFAULTS if name.endswith(("_embeds", "_mask"))} | {"latents"}
    other_words = {
        "quality",
        "sampling",
        "keep",
        "sampling_rate",
    }  # for what is said by other options, and of arrays alone
    assert {*recipes()[0].request_options()[1]} == {*DEFAULTS} - arrays - other_words - {"mesh"}


def test_a_sound_of_prompts_as_vectors_cannot_be_made_again() -> None:
    pipe = tiny_pipeline()
    vectors: Any = pipe.encode_prompt("rain")._asdict()
    recipe = pipe.recipes(pipe.request(**vectors))[0]
    with pytest.raises(RecipeError, match="prompt_embeds"):
        recipe.request_options()


@pytest.mark.parametrize("prompt", STRANGE)
@pytest.mark.parametrize("name", ["rain.wav", "rain.flac", "rain.mp3", "rain.ogg", "rain.opus", "rain.json"])
def test_any_prompt_comes_back_from_any_file(tmp_path: Any, name: str, prompt: str) -> None:
    sound = np.full((1, 8000), 0.1, np.float32)
    result = AudioPipelineOutput(sound, 16000, recipes(prompt, negative_prompt=prompt))
    is_json = name.endswith(".json")
    result.save(tmp_path / (name if not is_json else "rain.wav"), json=is_json)
    read = read_recipe(tmp_path / name)
    assert (read.prompt, read.negative_prompt) == (prompt, prompt)
    assert read == result.recipes[0]


def test_a_file_tells_how_it_was_finished(tmp_path: Any) -> None:
    finish = Finish(peak_in_dbfs=-1.0, end_fade_in_s=0.1)
    AudioPipelineOutput(np.full((1, 8000), 0.1), 16000, recipes()).save(
        tmp_path / "rain.wav", subtype="FLOAT", finish=finish
    )
    read = read_recipe(tmp_path / "rain.wav")
    assert (read.finish, read.subtype) == (finish, "FLOAT")


NO_SUCH_ROW = {
    "prompts": ["a"],
    "negative_prompts": [""],
    "first_waveforms": [0],
    "num_waveforms_per_prompt": 1,
    "row": 5,
}


def change(**values: Any) -> dict[str, Any]:
    return {**recipes()[0].to_dict(), **values}


@pytest.mark.parametrize(("values", "message"), [
    ({"format": "other"}, "holds no recipe of a sound: expected format = 'litefocus-jax recipe'"),
    ({"format_version": 2, "library_version": "9.0"}, "format_version = 2, written by litefocus-jax 9.0; this version"),
    ({"format_version": "1"}, "format_version = '1'"),
    ({"seed": "7"}, "recipe: seed = '7'; expected a whole number"),
    ({"seed": True}, "recipe: seed = True; expected a whole number"),
    ({"prompt": 7}, "recipe: prompt = 7; expected text"),
    ({"prompt": "\ud800"}, r"recipe: prompt = '\\ud800'; expected Unicode text"),
    ({"prompt": ["rain"] * 1000}, r"recipe: prompt = \['rain', .*\.\.\.; expected text"),
    ({"scheduler": "euler"}, "recipe: scheduler = 'euler'; expected 'ddim' or 'dpm"),
    ({"eta": None}, "recipe: eta = None; expected a number"),
    ({"litefocus": {"levels": [-1]}}, r"litefocus: levels = \(-1,\); expected distinct whole numbers from 0"),
    ({"litefocus": {"code": "x"}}, "litefocus: 'code' is unknown"),
    ({"windowed": 3}, "windowed = 3; expected an object"),
    ({"given": "latents"}, "given = 'latents'; expected a list"),
    ({"neighbours": NO_SUCH_ROW}, "row = 5; expected one of the sounds of the batch"),
    ({"surprise": 1}, "'surprise' is unknown; expected prompt, "),
])  # fmt: skip
def test_a_recipe_that_was_changed_is_one_clear_error(values: Any, message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Recipe.from_json(json.dumps(change(**values)))


@pytest.mark.parametrize(
    "text", ["", "rain", "[1]", "null", "[" * 100_000, '{"a": NaN}', '{"seed": 1' + "0" * 5000 + "}"]
)
def test_text_that_is_no_recipe_is_one_clear_error(text: str) -> None:
    with pytest.raises(RecipeError, match=r"rain\.json holds no recipe of a sound"):
        Recipe.from_json(text, "rain.json")


def test_a_recipe_that_lacks_a_value_says_which() -> None:
    values = change()
    del values["seed"]
    with pytest.raises(RecipeError, match="recipe: seed is missing"):
        Recipe.from_dict(values)


def test_numbers_of_the_caller_cannot_be_made_again() -> None:
    latents = np.zeros((1, 16, 8, 4), np.float32)
    shape = tiny_pipeline().inputs(tiny_pipeline().request("rain")).latents.shape
    [recipe] = recipes(latents=np.resize(latents, shape))
    with pytest.raises(RecipeError, match="cannot be made again from its recipe: latents were arrays"):
        recipe.request_options()


def test_what_is_other_here_is_told() -> None:
    recipe = dataclasses.replace(recipes()[0], jax_version="0.0", platform="tpu", mesh=(("data", 2),))
    assert [change.partition(" was ")[0] for change in recipe.changes_here()] == [
        "JAX",
        "the device",
        "several devices shared the work",
    ]
    assert recipes()[0].changes_here() == []


def test_a_models_digest_does_not_hang_on_how_it_is_loaded() -> None:
    pipe = tiny_pipeline()
    assert model_digest(open_checkpoint(tiny_checkpoint())) == model_digest(pipe.components) == pipe.model_digest
    assert model_digest(open_checkpoint(small_checkpoint())) != pipe.model_digest
    half = dataclasses.replace(pipe.components, tokenizer=tiny_checkpoint() / "unet")
    assert model_digest(half) != pipe.model_digest


def test_what_came_later_leaves_the_digests_of_other_models_as_they_were(monkeypatch):
    pipe = tiny_pipeline()
    fields = VocoderConfig.to_dict
    monkeypatch.setattr(VocoderConfig, "to_dict", lambda config: without(fields(config), "mel_corrections"))
    assert model_digest(pipe.components) == pipe.model_digest


def without(fields: dict, name: str) -> dict:
    return {key: value for key, value in fields.items() if key != name}


def test_a_result_holds_the_recipe_of_each_sound() -> None:
    pipe = small_pipeline()
    result = pipe(["rain", "wind"], num_waveforms_per_prompt=2, seed=3, **BRIEF)
    assert [(each.prompt, each.seed, each.waveform) for each in result.recipes] == [
        ("rain", 3, 0),
        ("rain", 3, 1),
        ("wind", 3, 0),
        ("wind", 3, 1),
    ]
    assert result.recipes[0].tiling == TilingConfig()


def test_a_silent_sound_is_warned_of_with_its_prompt_seed_and_level(monkeypatch: pytest.MonkeyPatch) -> None:
    pipe = small_pipeline()
    levels = iter([1e-4, 0.1])
    monkeypatch.setattr(pipe, "decode_blocks", lambda *_, **__: iter([np.full(6400, next(levels), np.float32)]))
    with pytest.warns(SilenceWarning, match=r"'rain' \(seed 5\) is next to silent, -80 dBFS as a whole: try") as told:
        pipe(["rain", "wind"], seed=5, **BRIEF)
    assert len(told) == 1
    assert told[0].filename == __file__
