"""Windowed denoising: where the windows lie, how they are merged, and what the pipeline makes of them."""

import dataclasses
import functools
import itertools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from litefocus_jax import LiteFocusConfig, WindowedDenoising
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import SchedulerState, initial_state, make_schedule, step
from litefocus_jax.diffusion.windows import WindowLayout, merge_windows
from litefocus_jax.generation import sampling
from litefocus_jax.generation.plan import DenoisingPlan
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout, FocusSets
from tests.support.models import small_pipeline
from tests.support.requests import request_with
from tests.support.tolerance import deviation

BOTH = pytest.mark.parametrize("method", ["average", "swap"])
# Frames of the latent, of a window and of an overlap: even ones, a last window out of step, and many to a frame.
LAYOUTS = pytest.mark.parametrize(("frames", "window", "overlap"), [(22, 10, 4), (21, 10, 4), (17, 8, 6), (9, 9, 3)])
LATENTS = jax.random.normal(jax.random.key(0), (2, 21, 4, 3))
# Sixteen latent frames in windows of eight that share four.
WINDOWED = WindowedDenoising("swap", window_in_s=0.32, overlap_in_s=0.16)
BRIEF: dict[str, Any] = {"audio_length_in_s": 0.64, "num_inference_steps": 2}
ROUNDING = 1e-4


def network(pieces: jax.Array) -> jax.Array:
    """A stand-in whose output depends on where a frame lies in its window, and on the frames around it."""
    return jnp.cumsum(pieces, axis=1) + jnp.sin(pieces)


def outputs_of_windows(layout: WindowLayout, latents: jax.Array) -> list[np.ndarray]:
    return [np.asarray(network(latents[:, start : start + layout.window])) for start in layout.starts]


@LAYOUTS
@BOTH
def test_windows_cover_the_latent_and_their_shares_of_a_frame_add_up_to_one(method, frames, window, overlap):
    layout = WindowLayout(method, frames, window, overlap, 8)
    total = np.zeros(frames)
    for start, weights in zip(layout.starts, layout.weights(), strict=True):
        total[start : start + window] += weights
    np.testing.assert_allclose(total, 1.0, rtol=1e-6)
    assert layout.starts[-1] + window == frames
    assert all(after - before <= window - overlap for before, after in itertools.pairwise(layout.starts))


@LAYOUTS
def test_swapping_takes_every_frame_from_exactly_one_window(frames, window, overlap):
    layout = WindowLayout("swap", frames, window, overlap, 8)
    assert set(np.unique(layout.weights())) <= {0.0, 1.0}
    latents = jnp.broadcast_to(jnp.arange(float(frames))[None, :, None, None], (1, frames, 1, 1))
    starts = merge_windows(layout, lambda pieces: jnp.broadcast_to(pieces[:, :1], pieces.shape), latents)[0, :, 0, 0]
    for frame, start in enumerate(np.asarray(starts)):
        assert start in layout.starts
        assert start <= frame < start + window


def test_swapping_takes_frames_by_turns_and_the_later_window_has_the_first():
    # Equation for the swap operator in arXiv 2502.05130: 0 for the first frame of an overlap, which is the later
    # window's, then 1, 0, 1.
    layout = WindowLayout("swap", 16, 10, 4, 8)
    first, second = layout.weights()
    assert first.tolist() == [1, 1, 1, 1, 1, 1, 0, 1, 0, 1]
    assert second.tolist() == [1, 0, 1, 0, 1, 1, 1, 1, 1, 1]


@LAYOUTS
@pytest.mark.parametrize("windows_per_call", [1, 2, 8])
def test_averaging_equals_a_loop_over_the_windows(frames, window, overlap, windows_per_call):
    layout = WindowLayout("average", frames, window, overlap, windows_per_call)
    latents = jax.random.normal(jax.random.key(1), (2, frames, 4, 3))
    total, count = np.zeros(latents.shape), np.zeros((frames, 1, 1))
    for start, output in zip(layout.starts, outputs_of_windows(layout, latents), strict=True):
        total[:, start : start + window] += output
        count[start : start + window] += 1
    np.testing.assert_allclose(merge_windows(layout, network, latents), total / count, atol=1e-5)


@BOTH
@pytest.mark.parametrize("kind", ["ddim", "dpm++"])
def test_merging_outputs_equals_merging_the_steps_that_every_window_takes_alone(method, kind):
    layout = WindowLayout(method, 21, 10, 4, 8)
    schedule = make_schedule(SchedulerConfig.tiny(), 4, scheduler=kind)
    assert schedule.clip_range is None

    def advance(row, state, output):
        return step(schedule, row, state, output)

    def merged(parts):
        whole = np.zeros(LATENTS.shape)
        for start, weights, part in zip(layout.starts, layout.weights(), parts, strict=True):
            whole[:, start : start + layout.window] += weights[:, None, None] * np.asarray(part)
        return jnp.asarray(whole, jnp.float32)

    state = initial_state(schedule, LATENTS)
    pieces = [initial_state(schedule, LATENTS[:, start : start + layout.window]) for start in layout.starts]
    for index in range(schedule.num_steps):
        row = jax.tree.map(lambda column: column[index], schedule.steps)  # noqa: B023
        state = advance(row, state, merge_windows(layout, network, state.latents))
        pieces = [advance(row, piece, network(piece.latents)) for piece in pieces]
        latents = merged([piece.latents for piece in pieces])
        pieces = [
            SchedulerState(latents[:, start : start + layout.window], piece.previous_data)
            for start, piece in zip(layout.starts, pieces, strict=True)
        ]
    assert deviation(state.latents, latents) < 1e-5


@functools.cache
def denoise_arguments(frames: int) -> tuple[Any, ...]:
    pipe = small_pipeline()
    request = request_of(guidance_scale=3.0)
    inputs = pipe.inputs(request)
    latents = jax.random.normal(jax.random.key(2), (1, frames, pipe.geometry.frequencies, pipe.geometry.channels))
    unet = pipe.components.unet
    context = sampling.project_context(unet, sampling.encode(*inputs.tokens), num_waveforms_per_prompt=1)
    state = initial_state(request.schedule, latents)
    return sampling.Arguments(unet, context, state, inputs.keys), request.schedule, jnp.int32(0), jnp.float32(3.0)


def request_of(training_frames: int | None = 16, **changes: Any) -> Any:
    arguments = {"audio_length_in_s": 0.64, "num_inference_steps": 2, "guidance_scale": 1.0, "litefocus": "auto"}
    return request_with(small_pipeline(), training_frames, **(arguments | changes))


def test_a_single_window_equals_the_plain_path():
    plan = DenoisingPlan(16, attention=AttentionLayout(FocusSets()))
    in_windows = dataclasses.replace(plan, windows=WindowLayout("swap", 16, 16, 4, 8))
    expected = sampling.denoise(*denoise_arguments(16), plan=plan).latents
    actual = sampling.denoise(*denoise_arguments(16), plan=in_windows).latents
    assert deviation(actual, expected) < 1e-6


def test_memory_does_not_grow_with_the_number_of_windows():
    def temporary_bytes(frames: int) -> int:
        plan = DenoisingPlan(frames, windows=WindowLayout("swap", frames, 8, 2, 2))
        lowered = sampling.denoise.lower(*denoise_arguments(frames), plan=plan)
        return lowered.compile().memory_analysis().temp_size_in_bytes

    one_latent = 4 * small_pipeline().geometry.frequencies * small_pipeline().geometry.channels * (128 - 32)
    assert temporary_bytes(128) - temporary_bytes(32) <= 8 * one_latent


@pytest.mark.parametrize(
    "arguments",
    [
        {"eta": 0.7, "litefocus": LiteFocusConfig()},
        {"scheduler": "dpm++", "windowed": WindowedDenoising("average", 0.32)},
    ],
)
def test_the_same_seed_gives_the_same_bytes_and_another_seed_does_not(arguments: dict[str, Any]) -> None:
    settings: dict[str, Any] = {"windowed": WINDOWED} | BRIEF | arguments
    first, again, other = (small_pipeline()("rain", seed=seed, **settings).audios for seed in (7, 7, 8))
    assert first.tobytes() == again.tobytes()
    assert not np.allclose(first, other)


def test_sound_of_one_window_is_the_same_with_windows_and_without() -> None:
    plain = small_pipeline()("rain", **BRIEF).audios
    assert small_pipeline()("rain", windowed=WindowedDenoising("swap"), **BRIEF).audios.tobytes() == plain.tobytes()
    assert deviation(small_pipeline()("rain", windowed=WINDOWED, **BRIEF).audios, plain) > 0.01


def test_windows_compose_with_several_prompts_and_waveforms() -> None:
    make = functools.partial(small_pipeline(), windowed=WINDOWED, litefocus=None, **BRIEF)
    alone = make("rain", negative_prompt="dogs").audios
    among = make(["wind", "rain"], negative_prompt=["cats", "dogs"], num_waveforms_per_prompt=2).audios
    assert deviation(among[2], alone[0]) < ROUNDING
    assert not np.allclose(among[2], among[3])


def test_windows_at_a_time_change_the_sound_by_rounding_alone() -> None:
    # Three windows, in three calls and in two of which the second has an empty place.
    several, one = (dataclasses.replace(WINDOWED, windows_per_call=count) for count in (2, 1))
    expected = small_pipeline()("rain", windowed=several, **BRIEF).audios
    assert deviation(small_pipeline()("rain", windowed=one, **BRIEF).audios, expected) < ROUNDING


def test_litefocus_left_to_choose_goes_by_the_window() -> None:
    # The small model's training length is 0.64 s.
    assert request_of(audio_length_in_s=5.12).plan.attention == LiteFocusConfig(cross_frequency=False).layout(0.04)
    assert request_of(audio_length_in_s=5.12, windowed=WindowedDenoising()).plan.attention == DENSE
    in_windows = request_of(audio_length_in_s=5.12, windowed=WindowedDenoising("swap", 1.28))
    assert in_windows.plan.attention == LiteFocusConfig().layout(0.04)


def test_litefocus_left_to_choose_takes_the_training_length_for_its_reach() -> None:
    expected = LiteFocusConfig.linear(0.64).layout(0.04)
    assert expected.reach == 16
    assert request_of(audio_length_in_s=10.24).plan.attention == expected


def test_without_a_training_length_litefocus_goes_by_that_of_the_published_models() -> None:
    requests = [request_of(training_frames=None, audio_length_in_s=seconds) for seconds in (10.24, 20.48)]
    assert [request.plan.attention for request in requests] == [DENSE, LiteFocusConfig().layout(0.04)]


def test_the_window_is_the_training_length_and_the_overlap_a_fifth_unless_given() -> None:
    request = request_of(audio_length_in_s=2.0, windowed=WindowedDenoising())
    assert request.plan.windows == WindowLayout("swap", 50, 16, 3, 8)
    assert request_of(audio_length_in_s=2.0, windowed="swap").plan.windows == request.plan.windows


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"method": "blend"}, "method = 'blend'; expected one of average, swap"),
        ({"window_in_s": 0.0}, r"window_in_s = 0\.0; expected a positive"),
        ({"window_in_s": float("nan")}, "window_in_s = nan"),
        ({"overlap_in_s": -1.0}, r"overlap_in_s = -1\.0"),
        ({"windows_per_call": 0}, "windows_per_call = 0; expected at least 1"),
    ],
)
def test_bad_windows_are_named(arguments: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        WindowedDenoising(**arguments)


@pytest.mark.parametrize(
    ("window_in_s", "overlap_in_s", "message"),
    [
        (0.04, None, r"window_in_s = 0\.04; expected at least two latent frames, 0\.08 s"),
        (
            0.4,
            0.4,
            r"overlap_in_s = 0\.4 is 10 latent frames of 0\.04 s; expected at least one, and fewer than the .*10",
        ),
        (0.4, 0.01, r"overlap_in_s = 0\.01 is 0 latent frames"),
    ],
)
def test_windows_that_are_none_in_latent_frames_are_refused(window_in_s, overlap_in_s, message) -> None:
    with pytest.raises(ValueError, match=message):
        small_pipeline()("rain", windowed=WindowedDenoising("swap", window_in_s, overlap_in_s), **BRIEF)


def test_a_window_length_is_asked_for_where_the_model_does_not_tell() -> None:
    with pytest.raises(ValueError, match="window_in_s is not given, and the UNet's sample_size does not say"):
        WindowedDenoising().layout(50, frame_in_s=0.04, training_frames=None)


def test_something_else_than_windows_is_refused() -> None:
    with pytest.raises(TypeError, match="windowed is a float; expected None, 'swap', 'average' or a WindowedDenoising"):
        small_pipeline()("rain", windowed=2.0, **BRIEF)  # pyright: ignore[reportArgumentType]
    with pytest.raises(ValueError, match="method = 'blend'; expected one of average, swap"):
        small_pipeline()("rain", windowed="blend", **BRIEF)  # pyright: ignore[reportArgumentType]
    with pytest.raises(TypeError, match=r"windows_per_call = 2\.0; expected a whole number"):
        WindowedDenoising(windows_per_call=2.0)  # pyright: ignore[reportArgumentType]


@BOTH
@pytest.mark.parametrize(("frames", "window", "overlap"), [(20, 10, 4), (21, 10, 1), (11, 10, 9), (100, 16, 3)])
def test_on_a_circle_the_windows_go_round(method, frames, window, overlap):
    layout = WindowLayout(method, frames, window, overlap, 3, loop=True)
    total = np.zeros(frames)
    for start, weights in zip(layout.starts, layout.weights(), strict=True):
        np.add.at(total, (start + np.arange(window)) % frames, weights)
    np.testing.assert_allclose(total, 1.0, rtol=1e-6)
    assert all(after - before <= window - overlap for before, after in itertools.pairwise((*layout.starts, frames)))
    latents = jax.random.normal(jax.random.key(1), (2, frames, 4, 3))
    np.testing.assert_allclose(merge_windows(layout, lambda pieces: 2 * pieces, latents), 2 * latents, rtol=1e-6)
