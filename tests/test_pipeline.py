"""The pipeline as a user meets it, on a tiny random model and without PyTorch."""

import dataclasses
import inspect
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import soundfile

from litefocus_jax import AudioLDM2Pipeline, LiteFocusConfig
from litefocus_jax.decoding import whole
from litefocus_jax.decoding.plan import TilingConfig
from litefocus_jax.diffusion.schedulers import initial_state
from litefocus_jax.generation import sampling
from litefocus_jax.generation.options import DEFAULTS, RequestOptions
from litefocus_jax.generation.plan import steps_per_call
from litefocus_jax.generation.run_options import RUN_DEFAULTS
from litefocus_jax.system.waiting import NonFiniteError
from tests.support.compilations import compilations
from tests.support.models import tiny_checkpoint, tiny_pipeline
from tests.support.requests import request_for
from tests.support.tolerance import deviation

# Programs of other batch sizes or loop lengths sum in another order; in standard deviations, as the parity tests.
ROUNDING = 1e-4
BRIEF = {"audio_length_in_s": 0.4, "num_inference_steps": 2}


def test_sound_is_float32_and_exactly_as_long_as_asked() -> None:
    result = tiny_pipeline()(["rain", "wind"], audio_length_in_s=0.4321, num_inference_steps=1)
    assert result.audios.shape == (2, int(0.4321 * 16000))
    assert result.audios.dtype == np.float32
    assert result.sampling_rate == 16000


@pytest.mark.parametrize("arguments", [{}, {"eta": 0.7}, {"litefocus": LiteFocusConfig()}, {"scheduler": "dpm++"}])
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(arguments: dict[str, Any]) -> None:
    first, again, other = (tiny_pipeline()("rain", seed=seed, **BRIEF, **arguments).audios for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other)


def test_a_reach_beside_which_all_else_is_seen_by_other_ways_changes_nothing() -> None:
    # A reach of one frame, and all tokens drawn beside it.
    config = LiteFocusConfig(levels="all", sparse_ratio=1.0, overlap="union", reach_in_s=0.05)
    dense, windowed = (tiny_pipeline()("rain", **BRIEF, litefocus=litefocus).audios for litefocus in (None, config))
    assert deviation(windowed, dense) < ROUNDING


def test_a_request_spaces_its_timesteps_as_asked() -> None:
    spacings = ("leading", "trailing", None)
    requests = [tiny_pipeline().request("rain", num_inference_steps=1, timestep_spacing=each) for each in spacings]
    assert [int(each.schedule.steps.timestep[0]) for each in requests] == [1, 999, 999]
    assert [each.facts()["timestep_spacing"] for each in requests] == ["leading", "trailing", "trailing"]


def test_a_request_gives_its_reach_in_latent_frames() -> None:
    assert request_for(tiny_pipeline(), litefocus=LiteFocusConfig(reach_in_s=1.0)).plan.attention.reach == 25


def test_a_prompt_sounds_the_same_alone_and_among_prompts_of_its_length() -> None:
    alone = tiny_pipeline()("rain", seed=3, **BRIEF).audios[0]
    among = tiny_pipeline()(["wind", "rain"], seed=3, **BRIEF).audios[1]
    assert deviation(among, alone) < ROUNDING


def test_waveforms_of_one_prompt_differ_and_the_first_is_that_of_a_single_one() -> None:
    single = tiny_pipeline()("rain", **BRIEF).audios
    several = tiny_pipeline()(["wind", "rain"], num_waveforms_per_prompt=2, **BRIEF).audios
    assert not np.allclose(several[2], several[3])
    assert deviation(several[2], single[0]) < ROUNDING


@pytest.mark.parametrize(("dtype", "bound"), [("bfloat16", 0.15), ("float16", 0.015)])
def test_half_precision_sounds_nearly_like_float32(dtype: str, bound: float) -> None:
    # The bounds, of the standard deviation, are twice what this model shows: 0.07 and 0.007, like the types' epsilons.
    half = AudioLDM2Pipeline.from_pretrained(tiny_checkpoint(), dtype=dtype)
    with jax.default_matmul_precision("default"):  # "highest" would hide products that a device does not have
        actual = half("rain", **BRIEF).audios
    expected = tiny_pipeline()("rain", **BRIEF).audios
    assert np.std(actual - expected) < bound * np.std(expected)


def test_seeds_guidance_scales_and_prompts_of_like_length_compile_once() -> None:
    pipe = tiny_pipeline()
    pipe("rain on a roof", seed=0, guidance_scale=3.5, **BRIEF)
    with compilations() as compiled:
        pipe("a dog barks", seed=1, guidance_scale=2.0, **BRIEF)
    assert compiled == []


def test_sampling_in_parts_equals_one_scan() -> None:
    arguments: RequestOptions = {
        "audio_length_in_s": 0.4,
        "num_inference_steps": 6,
        "eta": 0.5,
        "litefocus": LiteFocusConfig(),
    }
    expected = tiny_pipeline()("rain", **arguments).audios
    request = tiny_pipeline().request("rain", **arguments)
    in_parts = dataclasses.replace(request, plan=dataclasses.replace(request.plan, steps_per_call=3))
    assert deviation(tiny_pipeline().run(in_parts).audios, expected) < ROUNDING


@pytest.mark.parametrize(("steps", "longest", "expected"), [(200, 10, 10), (25, 10, 5), (7, 10, 7), (200, 1, 1)])
def test_steps_per_call_divide_the_whole(steps: int, longest: int, expected: int) -> None:
    assert steps_per_call(steps, longest) == expected


def test_progress_counts_every_step() -> None:
    seen: list[int] = []
    pipe = tiny_pipeline()
    request = request_for(pipe, guidance_scale=1.0, num_inference_steps=5)
    inputs = pipe.inputs(request)
    context = sampling.project_context(
        pipe.components.unet, sampling.encode(*inputs.tokens), num_waveforms_per_prompt=1
    )
    state = initial_state(request.schedule, inputs.latents)
    arguments = sampling.Arguments(pipe.components.unet, context, state, inputs.keys)
    sampling.sample(arguments, request.schedule, 1.0, request.plan, on_progress=seen.append)
    assert seen == [1, 2, 3, 4, 5]


def test_the_signature_shows_the_options_of_a_request() -> None:
    parameters = inspect.signature(AudioLDM2Pipeline.__call__).parameters
    assert parameters["guidance_scale"].default is None  # the model's own
    assert set(parameters) == {"self", "prompt", "return_dict", *DEFAULTS, *RUN_DEFAULTS}
    assert set(inspect.signature(AudioLDM2Pipeline.run).parameters) == {"self", "request", *RUN_DEFAULTS}
    for function in (AudioLDM2Pipeline.__call__, AudioLDM2Pipeline.request):
        assert "\n    guidance_scale: how closely to follow" in (inspect.getdoc(function) or "")
    for function in (AudioLDM2Pipeline.__call__, AudioLDM2Pipeline.run):
        assert "\n    callback_steps: steps between two" in (inspect.getdoc(function) or "")


def test_an_unknown_option_of_a_run_is_named_with_the_known_ones() -> None:
    pipe = tiny_pipeline()
    with pytest.raises(TypeError, match="bars: no such option of a run; expected some of rank, partial_run"):
        pipe.run(request_for(pipe), bars=False)  # pyright: ignore[reportCallIssue]


def test_an_unknown_option_is_named_with_the_known_ones() -> None:
    with pytest.raises(TypeError, match="num_steps: no such option of a request; did you mean num_inference_steps"):
        tiny_pipeline().request("rain", num_steps=3)  # pyright: ignore[reportCallIssue]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"audio_length_in_s": 0}, "audio_length_in_s = 0 is too short"),
        ({"audio_length_in_s": -1.0}, "audio_length_in_s = -1 is too short"),
        ({"audio_length_in_s": float("nan")}, "audio_length_in_s = nan; expected a finite number"),
        ({"audio_length_in_s": 0.039}, "at least one latent frame, 0.04 s"),
        ({"num_inference_steps": 0}, "num_inference_steps = 0; expected at least 1"),
        ({"negative_prompt": ["a", "b"]}, "negative_prompt has 2 texts for 1 prompts"),
        ({"num_inference_steps": 1001}, "num_inference_steps = 1001; expected 1 to 1000"),
        ({"num_waveforms_per_prompt": 0}, "num_waveforms_per_prompt = 0"),
        ({"guidance_scale": float("inf")}, "guidance_scale = inf"),
        ({"eta": 1.5}, "eta = 1.5"),
        ({"eta": 0.5, "scheduler": "dpm++"}, "eta = 0.5"),
        ({"scheduler": "euler"}, "scheduler = 'euler'"),
        ({"seed": -1}, "seed = -1"),
        ({"litefocus": "sparse"}, "litefocus = 'sparse'"),
        ({"output_type": "pt"}, "output_type = 'pt'; expected 'audio'"),
        ({"litefocus": LiteFocusConfig(levels=(0,))}, "levels names level 0; this UNet has attention at"),
        ({"latents": np.zeros((1, 2, 3, 4))}, r"latents has shape \(1, 2, 3, 4\); expected \(1, 10, 8, 4\)"),
    ],
)
def test_bad_arguments_are_named_with_what_is_expected(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_pipeline()("rain", **(BRIEF | arguments))


@pytest.mark.parametrize(
    ("prompt", "message"),
    [
        (None, "prompt is a NoneType; expected a string or a list of strings"),
        (b"rain", "prompt is a bytes"),
        (["rain", 5], "prompt holds a int, 5"),
    ],
)
def test_prompts_that_are_no_text_are_refused(prompt: Any, message: str) -> None:
    with pytest.raises(TypeError, match=message):
        tiny_pipeline()(prompt, **BRIEF)


@pytest.mark.parametrize("prompt", ["", " ", ["rain", ""]])
def test_a_prompt_that_says_nothing_is_refused(prompt: Any) -> None:
    with pytest.raises(ValueError, match="prompt is empty"):
        tiny_pipeline()(prompt, **BRIEF)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"guidance_scale": "3.5"}, "guidance_scale = '3.5'; expected a number"),
        ({"audio_length_in_s": True}, "audio_length_in_s = True; expected a number"),
        ({"num_inference_steps": 2.0}, "num_inference_steps = 2.0; expected a whole number"),
        ({"litefocus": True}, "litefocus is a bool"),
        ({"latents": "noise"}, "latents is a str; expected an array of numbers"),
    ],
)
def test_arguments_of_a_wrong_type_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(TypeError, match=message):
        tiny_pipeline()("rain", **(BRIEF | arguments))


def test_a_prompt_past_the_limit_is_cut_with_a_warning_that_shows_what_was_lost(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tiny_pipeline()("rain " * 7 + "thunder", **BRIEF)
    assert "is cut to 36 tokens, the most that the text encoder takes; this part is lost: 'thunder'" in caplog.text


def test_a_negative_prompt_longer_than_the_prompt_is_cut_with_a_warning_that_says_why(
    caplog: pytest.LogCaptureFixture,
) -> None:
    tiny_pipeline()("rain", negative_prompt="rain and wind", **BRIEF)
    assert "is cut to 6 tokens, as many as the longest prompt has; this part is lost: 'and wind'" in caplog.text


@pytest.mark.parametrize(
    ("function", "stage"),
    [("encode", "text encoders"), ("sample", "UNet"), ("decode_latents", "VAE"), ("vocode", "vocoder")],
)
def test_a_stage_that_returns_what_is_not_finite_is_named(
    monkeypatch: pytest.MonkeyPatch, function: str, stage: str
) -> None:
    module = whole if hasattr(whole, function) else sampling
    exact = getattr(module, function)

    def spoiled(*arguments: Any, **options: Any) -> Any:
        return jax.tree.map(lambda leaf: leaf + jnp.nan, exact(*arguments, **options))

    monkeypatch.setattr(module, function, spoiled)
    with pytest.raises(NonFiniteError, match=f"the {stage} returned NaN or infinity"):
        tiny_pipeline()("rain", **BRIEF)


def tiled_pipeline() -> AudioLDM2Pipeline:
    """The tiny pipeline, decoding in tiles of 48 latent frames."""
    pipe = AudioLDM2Pipeline(tiny_pipeline().components)
    pipe.tiling = TilingConfig(whole_up_to_in_s=1.0, tile_in_s=1.92, margin_in_s=0.2, sample_in_s=1.6, passes=1)
    return pipe


def test_latents_make_the_sound_that_the_pipeline_returns() -> None:
    latents = tiny_pipeline()(["rain", "wind"], output_type="latent", **BRIEF).audios
    assert latents.shape == (2, 10, 8, 4)
    (sound,) = tiny_pipeline().decode_blocks(latents[1], 0.4)
    assert sound.tobytes() == tiny_pipeline()(["rain", "wind"], **BRIEF).audios[1].tobytes()


def test_a_long_sound_comes_in_blocks_to_its_exact_length() -> None:
    pipe, seconds = tiled_pipeline(), 3.4321
    result = pipe("rain", audio_length_in_s=seconds, num_inference_steps=1)
    latents = pipe("rain", audio_length_in_s=seconds, num_inference_steps=1, output_type="latent").audios[0]
    blocks = [*pipe.decode_blocks(latents, seconds)]
    assert len(blocks) > 1
    assert result.audios.shape == (1, int(seconds * 16000))
    assert np.concatenate(blocks).tobytes() == result.audios[0].tobytes()
    assert sum(map(len, pipe.decode_blocks(latents))) == latents.shape[0] * 640


@pytest.mark.parametrize(
    ("shape", "seconds", "message"),
    [
        ((10, 8, 3), None, r"latents has shape \(10, 8, 3\); expected \[time, 8, 4\]"),
        ((1, 10, 8, 4), None, r"latents has shape \(1, 10, 8, 4\)"),
        ((10, 8, 4), 0.41, "audio_length_in_s = 0.41; expected at most the 0.4 s"),
        ((10, 8, 4), 0.0, "audio_length_in_s = 0.0; expected at most"),
    ],
)
def test_latents_that_cannot_be_decoded_are_refused_before_the_first_block(
    shape: tuple[int, ...], seconds: float | None, message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        tiny_pipeline().decode_blocks(np.zeros(shape, np.float32), seconds)


def test_several_sounds_are_saved_by_a_pattern(tmp_path: Path) -> None:
    result = tiny_pipeline()(["rain", "wind"], **BRIEF)
    with pytest.raises(ValueError, match=r"put \{index\} in it"):
        result.save(tmp_path / "sound.wav")
    files = result.save(tmp_path / "sound-{index}.flac")
    assert [file.name for file in files] == ["sound-0.flac", "sound-1.flac"]
    assert soundfile.info(files[0]).frames == 6400


def test_a_saved_pipeline_loads_to_the_same_sound(tmp_path: Path) -> None:
    tiny_pipeline().save_pretrained(tmp_path / "copy")
    copy = AudioLDM2Pipeline.from_pretrained(tmp_path / "copy")
    assert copy("rain", **BRIEF).audios.tobytes() == tiny_pipeline()("rain", **BRIEF).audios.tobytes()


def test_generation_neither_imports_torch_nor_speaks_of_it() -> None:
    script = """
        import importlib.machinery, sys
        find = importlib.machinery.PathFinder.find_spec.__func__
        def find_all_but_torch(cls, name, path=None, target=None):
            return None if name.split(".")[0] in ("torch", "diffusers") else find(cls, name, path, target)
        importlib.machinery.PathFinder.find_spec = classmethod(find_all_but_torch)
        from litefocus_jax import AudioLDM2Pipeline
        pipe = AudioLDM2Pipeline.from_pretrained(sys.argv[1])
        pipe("rain", audio_length_in_s=0.2, num_inference_steps=1)
        assert "torch" not in sys.modules
    """
    command = [sys.executable, "-c", textwrap.dedent(script), str(tiny_checkpoint())]
    result = subprocess.run(command, check=True, capture_output=True, text=True)
    assert result.stderr == ""


@pytest.mark.parametrize("arguments", [{}, {"eta": 0.7}])
def test_one_of_several_waveforms_is_made_again_alone(arguments: dict[str, Any]) -> None:
    several = tiny_pipeline()("rain", num_waveforms_per_prompt=3, **BRIEF, **arguments).audios
    alone = tiny_pipeline()("rain", first_waveform=2, **BRIEF, **arguments).audios
    assert deviation(alone[0], several[2]) < ROUNDING


def test_a_prompt_given_twice_gets_the_noise_of_its_next_waveform() -> None:
    request = tiny_pipeline().request(["rain", "wind", "rain"], num_waveforms_per_prompt=2, first_waveform=1)
    assert request.waveforms == (1, 2, 1, 2, 3, 4)
    again = tiny_pipeline().request(["rain", "rain"], first_waveform=[1, 1])
    assert again.waveforms == (1, 1)
    twice = tiny_pipeline()(["rain", "rain"], **BRIEF).audios
    assert not np.allclose(*twice)


def test_prompts_with_different_negative_prompts_are_not_the_same() -> None:
    request = tiny_pipeline().request(["rain", "rain"], negative_prompt=["wind", ""])
    assert request.waveforms == (0, 0)


@pytest.mark.parametrize(
    ("first_waveform", "error", "message"),
    [
        (-1, ValueError, "first_waveform = -1; expected a number from 0"),
        (2**40, ValueError, "first_waveform = 1099511627776"),
        ([0, 1], ValueError, "first_waveform has 2 numbers for 1 prompts"),
        (1.0, TypeError, "first_waveform = 1.0; expected a whole number"),
        (True, TypeError, "first_waveform = True"),
    ],
)
def test_bad_numbers_of_waveforms_are_named(first_waveform: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        tiny_pipeline().request("rain", first_waveform=first_waveform)


def test_an_empty_prompt_is_refused() -> None:
    with pytest.raises(ValueError, match="prompt is empty"):
        tiny_pipeline().request(["rain", "  "])


def test_a_negative_prompt_that_does_nothing_is_warned_of(caplog: pytest.LogCaptureFixture) -> None:
    tiny_pipeline().request("rain", negative_prompt="wind", guidance_scale=1.0)
    assert "does nothing: guidance is off at 1" in caplog.text


def test_negative_guidance_is_refused() -> None:
    with pytest.raises(ValueError, match="guidance_scale = -1; expected 0 or more"):
        tiny_pipeline().request("rain", guidance_scale=-1)
