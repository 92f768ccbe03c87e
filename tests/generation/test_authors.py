"""``sampling="authors"``, and each of its parts alone."""

import dataclasses
from types import SimpleNamespace
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from litefocus_jax import LiteFocusConfig, PartialRun, Recipe, ResumeError, WindowedDenoising
from litefocus_jax.checkpoint.random_model import sub_model_configs
from litefocus_jax.generation import sampling
from litefocus_jax.generation.authors import authors_frames_per_second
from litefocus_jax.generation.length import seconds_that_ask_for, sound_length
from litefocus_jax.generation.request import make_request
from litefocus_jax.models.generation_defaults import GenerationDefaults, Sampling
from litefocus_jax.models.unet.self_attention import sparse_attentions_per_level
from tests.support.models import small_pipeline, tiny_pipeline

AS_THEY_DO: Any = {"sampling": "authors", "num_inference_steps": 4, "rank": False}
BRIEF: Any = {"audio_length_in_s": 0.3, **AS_THEY_DO}


def generated(pipe: Any, **options: Any) -> np.ndarray:
    """GPT-2's vectors of the negative prompts and the prompts of a request."""
    return np.asarray(sampling.encode(*pipe.inputs(pipe.request(**options)).tokens).generated_prompt_embeds)


def test_it_stands_for_what_the_authors_do_whatever_the_model_s_own_defaults_are() -> None:
    pipe = tiny_pipeline()
    facts = dataclasses.replace(pipe.facts, defaults=GenerationDefaults("dpm++", 25, "trailing", 4.0))
    request = make_request(facts, "rain", sampling="authors")
    assert request.sampling == Sampling("ddim", 200, "uniform")
    assert (request.eta, request.guidance_scale, request.num_waveforms_per_prompt) == (1.0, 3.5, 3)
    assert (request.force_zeros_for_empty_prompt, request.prompt_padding, request.ranks) == (True, "alone", True)
    assert request.latent_frames_per_second == 25.6
    assert request.plan.attention.sets is None


def test_what_is_given_beside_it_holds() -> None:
    request = tiny_pipeline().request(
        "rain",
        sampling="authors",
        eta=0.0,
        num_inference_steps=50,
        timestep_spacing="trailing",
        guidance_scale=2.0,
        num_waveforms_per_prompt=1,
        force_zeros_for_empty_prompt=False,
        latent_frames_per_second=25.0,
        prompt_padding="batch",
        audio_length_in_s=0.4,
        litefocus="authors",
    )
    assert request.sampling == Sampling("ddim", 50, "trailing")
    assert (request.eta, request.guidance_scale, request.num_waveforms_per_prompt) == (0.0, 2.0, 1)
    assert (request.force_zeros_for_empty_prompt, request.prompt_padding, request.ranks) == (False, "batch", False)
    assert (request.audio_length_in_s, request.plan.frames) == (0.4, 10)
    assert request.plan.attention == LiteFocusConfig.authors().layout(0.04)


def test_ten_seconds_are_256_frames_and_so_are_the_published_ones_unasked() -> None:
    geometry = dataclasses.replace(tiny_pipeline().geometry, training_frames=256)
    assert authors_frames_per_second(geometry) == 25.6
    for asked in (10, None):
        assert sound_length(asked, 25.6, geometry, None, loop=False)[:2] == (10.24, 256)
    assert [sound_length(seconds, 25.6, geometry, None, loop=False).frames for seconds in (20, 40, 80)] == [
        512,
        1024,
        2048,
    ]


def test_the_recipe_s_length_asks_for_as_many_frames() -> None:
    for per_second in (25.6, 12.8, 30.0, 7.3):
        for frames in range(1, 3000):
            assert int(seconds_that_ask_for(frames, per_second) * per_second) == frames


def test_a_longer_sound_is_told_of() -> None:
    request = tiny_pipeline().request("rain", latent_frames_per_second=30.0, audio_length_in_s=0.5)
    assert request.plan.frames == 15
    assert request.notices(0.5) == [
        "The sound is 0.6 s long, 15 latent frames, not 0.5 s: latent_frames_per_second = 30, where a second has 25"
    ]
    assert request.notices(None) == []


def test_zeros_stand_in_the_place_of_gpt2_s_vectors_of_empty_negative_prompts_alone() -> None:
    pipe, options = tiny_pipeline(), {"prompt": ["rain", "wind"], "negative_prompt": ["", "hum"]}
    usual, zeros = (generated(pipe, **options, force_zeros_for_empty_prompt=zeros) for zeros in (None, True))
    assert not zeros[0].any()
    np.testing.assert_array_equal(zeros[1:], usual[1:])
    assert usual[0].any()
    assert pipe.inputs(pipe.request("rain", guidance_scale=1.0, force_zeros_for_empty_prompt=True)).tokens[-1] is None


def test_zeros_stand_before_prompts_that_are_vectors_and_along_a_timeline() -> None:
    pipe = tiny_pipeline()
    vectors: Any = pipe.encode_prompt("rain")._asdict()
    found = generated(pipe, prompt=None, force_zeros_for_empty_prompt=True, **vectors)
    assert [bool(row.any()) for row in found] == [False, True]
    along: Any = [(0.0, "rain"), (2.0, "birds")]
    found = generated(pipe, timeline=along, force_zeros_for_empty_prompt=True, audio_length_in_s=4.0)
    assert [bool(row.any()) for row in found] == [False, False, True, True]


def test_each_part_changes_the_sound_and_all_are_made_again_by_the_recipe() -> None:
    pipe = small_pipeline()
    plain = pipe("rain", num_inference_steps=3, audio_length_in_s=0.3).audios
    zeros = pipe("rain", num_inference_steps=3, audio_length_in_s=0.3, force_zeros_for_empty_prompt=True).audios
    assert not np.allclose(plain, zeros, atol=1e-4)
    made = pipe("rain", **BRIEF)
    assert made.audios.shape == (3, 7 * 640)
    prompts, options = Recipe.from_json(made.recipes[2].to_json()).request_options()
    again = pipe(prompts, **options)
    np.testing.assert_array_equal(again.audios[2], made.audios[2])


def test_recipes_of_other_sounds_do_not_speak_of_it() -> None:
    pipe = tiny_pipeline()
    plain = pipe.recipes(pipe.request("rain", litefocus="on"))[0].to_dict()
    assert not plain.keys() & {"sampling", "force_zeros_for_empty_prompt", "latent_frames_per_second"}
    assert not plain["litefocus"].keys() & {"transformers", "transformer_blocks"}


def test_steps_that_were_asked_for_are_what_a_recipe_asks_for() -> None:
    pipe = tiny_pipeline()
    request = pipe.request("rain", sampling="authors", num_inference_steps=150)
    assert (request.num_inference_steps, request.schedule.num_steps, request.skipped_steps) == (150, 167, 0)
    assert pipe.recipes(request)[0].num_inference_steps == 150
    assert request.sampling.describe() == "167 steps of ddim, uniform spacing"


def test_a_run_is_gone_on_with_to_the_same_bytes_and_not_without_the_zeros(tmp_path: Any) -> None:
    pipe, path = small_pipeline(), tmp_path / "run.safetensors"
    whole = pipe("rain", **BRIEF).audios
    run = PartialRun(path, every=1, keep=True)

    def stop(step: int, steps: int, latents: Any) -> bool:
        return step < 2

    pipe("rain", partial_run=run, callback=stop, **BRIEF)
    resumed = PartialRun(path, every=1, resume=True, keep=True)
    with pytest.raises(ResumeError, match="force_zeros_for_empty_prompt was True and is False"):
        pipe("rain", partial_run=resumed, **BRIEF, force_zeros_for_empty_prompt=False)
    np.testing.assert_array_equal(pipe("rain", partial_run=resumed, **BRIEF).audios, whole)


def test_devices_that_share_the_sounds_make_the_same() -> None:
    mesh = Mesh(np.array(jax.devices()[:1]).reshape(1, 1), ("data", "time"))
    pipe = small_pipeline()
    one, shared = (pipe("rain", mesh=each, **BRIEF).audios for each in (None, mesh))
    np.testing.assert_allclose(shared, one, atol=1e-4)


def test_windows_and_sounds_that_are_given_are_sampled_so_too() -> None:
    pipe = small_pipeline()
    options: Any = {**AS_THEY_DO, "audio_length_in_s": 2.0}
    windowed = pipe("rain", windowed=WindowedDenoising("average", 0.64, 0.32), **options)
    assert windowed.audios.shape == (3, 51 * 640)
    given = np.random.default_rng(0).standard_normal(8000).astype(np.float32) * 0.1
    varied = pipe("rain", **AS_THEY_DO, audio=given, sampling_rate=16000, strength=0.5)
    assert varied.audios.shape == (3, 8000)
    assert all(np.isfinite(each.audios).all() for each in (windowed, varied))


def test_the_candidates_are_ranked_by_clap_unless_told(monkeypatch: pytest.MonkeyPatch) -> None:
    heard = iter(np.linspace(0.1, 0.3, 3))
    clap = SimpleNamespace(
        sampling_rate=16000,
        embed_sound=lambda waveform: np.array([next(heard)]),
        embed_captions=lambda texts: np.ones((len(texts), 1)),
    )
    monkeypatch.setattr(small_pipeline(), "clap", clap)
    asked: Any = BRIEF | {"rank": None}
    assert small_pipeline()("rain", **asked).numbers == (2, 1, 0)
    assert small_pipeline()("rain", **BRIEF).scores is None
    latents = small_pipeline()("rain", **asked, output_type="latent")
    assert (latents.scores, len(latents.audios)) == (None, 3)


def test_a_model_that_does_not_hear_says_how_to_do_without() -> None:
    with pytest.raises(ValueError, match=r"sampling='authors', which ranks unless rank=False is given: "):
        tiny_pipeline()("rain", sampling="authors", num_inference_steps=1, audio_length_in_s=0.2)
    along: Any = [(0.0, "rain"), (2.0, "birds")]
    with pytest.raises(ValueError, match="unless rank=False is given, compares sounds with their prompts"):
        tiny_pipeline()(timeline=along, sampling="authors", audio_length_in_s=4.0)


@pytest.mark.parametrize(
    ("options", "error", "message"),
    [
        ({"sampling": "paper"}, ValueError, "sampling = 'paper'; expected 'authors' or None"),
        ({"sampling": "authors", "quality": "fast"}, ValueError, "sampling = 'authors' beside quality = 'fast'"),
        ({"sampling": "authors", "scheduler": "dpm++"}, ValueError, r"beside scheduler = 'dpm\+\+'"),
        ({"sampling": "authors", "num_inference_steps": 300}, ValueError, "300 with timestep_spacing 'uniform'"),
        ({"force_zeros_for_empty_prompt": 1}, TypeError, "force_zeros_for_empty_prompt = 1; expected True or False"),
        ({"latent_frames_per_second": 0}, ValueError, "latent_frames_per_second = 0; expected more than 0"),
        ({"latent_frames_per_second": "25.6"}, TypeError, "latent_frames_per_second = '25.6'; expected a number"),
        ({"latent_frames_per_second": 1.0, "audio_length_in_s": 0.5}, ValueError, "too short; expected at least 1 s"),
        (
            {"latent_frames_per_second": 25.6, "audio": np.zeros(8000, np.float32), "sampling_rate": 16000},
            ValueError,
            "latent_frames_per_second = 25.6 beside audio",
        ),
    ],
)
def test_what_cannot_be_is_refused(options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny_pipeline().request("rain", **options)


@pytest.mark.parametrize(("name", "all_of_level", "authors"), [("audioldm2", 20, 20), ("audioldm2-large", 60, 20)])
def test_the_authors_litefocus_changes_as_many_attentions_of_every_size(
    name: str, all_of_level: int, authors: int
) -> None:
    config: Any = sub_model_configs(name)["unet"]
    counts = [
        sparse_attentions_per_level(config, each.layout(0.04))
        for each in (LiteFocusConfig(), LiteFocusConfig.authors())
    ]
    assert counts == [(0, all_of_level, 0, 0), (0, authors, 0, 0)]
    assert config.self_attentions_per_level[1] == all_of_level
