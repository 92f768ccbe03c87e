"""Callbacks: what they are told, and what they may change and end."""

import dataclasses
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from litefocus_jax import AudioPipelineOutput, PartialRun, StopGeneration
from tests.support.models import small_pipeline
from tests.support.requests import BRIEF


def make(**arguments: Any) -> AudioPipelineOutput:
    return small_pipeline()("rain", **(BRIEF | arguments))


def test_a_callback_sees_every_step_and_changes_nothing() -> None:
    seen = []
    result = make(callback=lambda step, steps, latents: seen.append((step, steps, np.asarray(latents))))
    assert [each[:2] for each in seen] == [(1, 4), (2, 4), (3, 4), (4, 4)]
    assert (seen[-1][2] == make(output_type="latent").audios).all()
    assert result.audios.tobytes() == make().audios.tobytes()


def test_a_callback_is_called_at_every_nth_step() -> None:
    seen: list[int] = []
    make(callback=lambda step, steps, latents: seen.append(step), callback_steps=2)
    assert seen == [2, 4]


def test_calls_end_where_a_callback_is_due() -> None:
    pipe = small_pipeline()
    asked: dict[str, Any] = BRIEF | {"num_inference_steps": 6}
    request = pipe.request("rain", **asked)
    in_calls_of_six = dataclasses.replace(request, plan=dataclasses.replace(request.plan, steps_per_call=6))
    seen: list[int] = []
    pipe.run(in_calls_of_six, callback=lambda step, steps, latents: seen.append(step), callback_steps=3)
    assert seen == [3, 6]


def test_a_callback_written_for_diffusers_gets_timesteps() -> None:
    seen: list[tuple[int, int]] = []

    def callback(step: int, timestep: int, latents: Any) -> None:
        seen.append((step, timestep))

    make(callback=callback, callback_steps=2)
    assert [step for step, _ in seen] == [0, 2]
    assert seen[0][1] > seen[1][1] > 1


def stop_by_raising(step: int, steps: int, latents: Any) -> None:
    if step == 2:
        raise StopGeneration


@pytest.mark.parametrize("callback", [stop_by_raising, lambda step, steps, latents: step < 2])
def test_a_callback_ends_a_run_and_the_sound_so_far_is_returned(callback: Callable[..., Any]) -> None:
    latents = []

    def watched(step: int, steps: int, now: Any) -> Any:
        latents.append(np.asarray(now))
        return callback(step, steps, now)

    result = make(callback=watched, output_type="latent")
    assert result.steps_done == len(latents) == 2
    assert (result.audios == latents[-1]).all()
    assert "ended after 2 of 4 steps" in repr(result)


def test_a_run_that_was_stopped_is_resumed_to_the_same_bytes(tmp_path: Path) -> None:
    path = tmp_path / "rain.run"
    make(callback=stop_by_raising, partial_run=PartialRun(path, every=1))
    assert path.exists()
    resumed = make(partial_run=PartialRun(path, resume=True))
    assert resumed.audios.tobytes() == make().audios.tobytes()
    assert not path.exists()


@pytest.mark.parametrize("scheduler", ["ddim", "dpm++"])
def test_the_callback_of_diffusers_changes_latents_and_interrupts(scheduler: str) -> None:
    seen: list[tuple[int, int]] = []

    def on_step_end(pipe: Any, step: int, timestep: int, callback_kwargs: dict[str, Any]) -> dict[str, Any]:
        seen.append((step, timestep))
        pipe._interrupt = step == 1
        return {"latents": 0 * callback_kwargs["latents"]}

    arguments = {"callback_on_step_end": on_step_end, "callback_on_step_end_tensor_inputs": ["latents"]}
    result = make(scheduler=scheduler, output_type="latent", **arguments)
    assert [step for step, _ in seen] == [0, 1]
    assert not result.audios.any()
    assert make(scheduler=scheduler).steps_done == 4  # the next call is not interrupted


@pytest.mark.parametrize(
    ("arguments", "error", "message"),
    [
        ({"callback": 3}, TypeError, "callback is a int; expected a function"),
        ({"callback_steps": 0}, ValueError, "callback_steps = 0; expected at least 1"),
        ({"callback_steps": 1.5}, TypeError, "callback_steps = 1.5; expected a whole number"),
        (
            {"callback_on_step_end_tensor_inputs": ["prompt_embeds"]},
            ValueError,
            r"callback_on_step_end_tensor_inputs = \['prompt_embeds'\]; expected \['latents'\]",
        ),
        ({"callback_on_step_end": lambda *_: 3}, TypeError, "callback_on_step_end returned a int"),
        (
            {"callback_on_step_end": lambda *_: {"latents": np.zeros(3)}},
            ValueError,
            r"latents of shape \(3,\); expected \(1, 10, 8, 4\)",
        ),
    ],
)
def test_callbacks_that_cannot_be_honoured_are_refused(arguments: Any, error: type[Exception], message: str) -> None:
    with pytest.raises(error, match=message):
        make(**arguments)


def test_what_a_callback_raises_reaches_the_caller() -> None:
    def callback(step: int, steps: int, latents: Any) -> None:
        raise LookupError("mine")

    with pytest.raises(LookupError, match="mine"):
        make(callback=callback)
