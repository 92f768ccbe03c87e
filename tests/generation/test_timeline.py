"""Several prompts along one sound."""

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax import Recipe
from litefocus_jax.diffusion.windows import WindowLayout, merge_windows
from litefocus_jax.parallel.mesh import DATA_AXIS, TIME_AXIS
from tests.support.models import small_pipeline
from tests.support.tolerance import deviation

BRIEF: dict[str, Any] = {"audio_length_in_s": 0.64, "num_inference_steps": 2, "litefocus": None}
TWO = [(0.0, "rain"), (0.32, "wind")]


def latents(prompt: Any = None, **options: Any) -> np.ndarray:
    asked: dict[str, Any] = {**BRIEF, **options}
    return small_pipeline()(prompt, output_type="latent", **asked).audios


@pytest.mark.parametrize("method", ["swap", "average"])
@pytest.mark.parametrize("layout", [(22, 10, 4), (21, 21, 3)])
@pytest.mark.parametrize("loop", [False, True])
def test_every_frame_is_made_under_the_prompts_that_hold_there_and_their_shares_are_one(
    method: Any, layout: Any, loop: bool
) -> None:
    frames, window, overlap = layout
    windows = WindowLayout(method, frames, window, overlap, 2, loop=loop, stretches=(0, 6, 15))
    numbers = jnp.zeros((2, windows.frames, 1, 1))

    def network(pieces: jax.Array, prompts: jax.Array) -> jax.Array:
        marks = jax.nn.one_hot(prompts, 3)  # [W, 3]: which prompt it was made under
        return jnp.broadcast_to(jnp.tile(marks, (2, 1))[:, None, None], (*pieces.shape[:3], 3))

    wide = jnp.broadcast_to(numbers, (2, windows.frames, 1, 3))
    shares = np.asarray(merge_windows(windows, network, wide))[1, :, 0]
    np.testing.assert_allclose(shares.sum(axis=1), 1.0, rtol=1e-6)
    reach = windows.overlap
    for prompt, (start, end) in enumerate([(0, 6), (6, 15), (15, windows.frames)]):
        np.testing.assert_array_equal(shares[start + reach : end - reach, prompt], 1.0)
        far = np.arange(windows.frames)
        near = (far >= start - reach) & (far < end + reach)
        near |= loop & ((far < end + reach - windows.frames) | (far >= start - reach + windows.frames))
        assert not shares[~near, prompt].any()


def test_the_same_prompt_all_along_is_that_prompt_alone() -> None:
    twice = latents(timeline=[(0.0, "rain"), (0.32, "rain")])
    assert deviation(twice, latents("rain")) < 1e-4


def test_each_stretch_is_denoised_under_its_own_prompt() -> None:
    both, rain, wind = (
        latents(prompt, num_inference_steps=1, **options)[0]  # after a second step, all frames have seen each other
        for prompt, options in ((None, {"timeline": TWO}), ("rain", {}), ("wind", {}))
    )
    assert deviation(both[:6], rain[:6]) < 1e-4 < deviation(rain[:6], wind[:6])
    assert deviation(both[10:], wind[10:]) < 1e-4


def test_each_waveform_of_a_timeline_is_itself_among_others() -> None:
    first, second = latents(num_waveforms_per_prompt=2, timeline=TWO)
    assert deviation(second, latents(first_waveform=1, timeline=TWO)[0]) < 1e-4
    assert deviation(first, second) > 0.1


def test_a_timeline_is_a_fact_and_comes_back_from_its_recipe() -> None:
    pipe = small_pipeline()
    request = pipe.request(timeline=TWO, negative_prompt="hum", num_waveforms_per_prompt=2, **BRIEF)
    assert (request.prompts, request.batch_size) == (("0:rain, 0.32:wind",), 2)
    assert request.encoded_prompts == (("rain", "wind"), ("hum", "hum"))
    recipe = pipe.recipes(request)[1]
    prompts, options = Recipe.from_json(recipe.to_json()).request_options()
    assert pipe.request(prompts, **options) == request
    assert recipe.windowed is None
    assert request.facts()["timeline"] == tuple(TWO)


def test_a_timeline_of_one_prompt_is_that_prompt() -> None:
    pipe = small_pipeline()
    assert pipe.request(timeline=[(0, "rain")], **BRIEF) == pipe.request("rain", **BRIEF)


MESH = jax.sharding.Mesh(np.array(jax.devices()[:1] * 2).reshape(1, 2), (DATA_AXIS, TIME_AXIS))


@pytest.mark.parametrize(("prompt", "options", "error", "message"), [
    ("hail", {"timeline": TWO}, ValueError, "prompt and timeline are both given"),
    (None, {"timeline": "0:rain"}, TypeError, "timeline is a str; expected pairs of seconds and prompt"),
    (None, {"timeline": []}, ValueError, "timeline is empty"),
    (None, {"timeline": ["rain"]}, TypeError, "timeline holds 'rain'; expected pairs"),
    (None, {"timeline": [("rain", 0)]}, TypeError, "timeline holds"),
    (None, {"timeline": [(0, " ")]}, ValueError, "timeline is empty; expected what is to be heard"),
    (None, {"timeline": [(1, "rain")]}, ValueError, "timeline begins at 1 s; expected its first prompt at 0"),
    (None, {"timeline": [(0, "a"), (0.3, "b"), (0.2, "c")]}, ValueError, "timeline has 0.2 s after 0.3 s"),
    (None, {"timeline": [(0, "a"), (9, "b")]}, ValueError, "timeline has a prompt from 9 s on, which leaves"),
    (None, {"timeline": [(0, "a"), (0.01, "b")]}, ValueError, "leaves it nothing of the 0.64 s"),
    (None, {"timeline": TWO, "mesh": MESH}, ValueError, "timeline is given, but the mesh spreads frames along 'time'"),
])  # fmt: skip
def test_what_is_no_timeline_is_one_error(prompt: Any, options: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        small_pipeline().request(prompt, **(BRIEF | options))
