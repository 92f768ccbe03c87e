"""Generations that are ended and gone on with."""

import dataclasses
import logging
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from litefocus_jax import LiteFocusConfig, PartialRun, WindowedDenoising
from litefocus_jax.decoding import whole
from litefocus_jax.generation import sampling
from litefocus_jax.generation.plan import steps_per_call
from litefocus_jax.generation.request import Request
from litefocus_jax.generation.resume import ResumableRun, ResumeError
from tests.support.models import small_pipeline, tiny_pipeline

BRIEF: dict[str, Any] = {"audio_length_in_s": 0.4, "num_inference_steps": 4}


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "rain.wav.partial.safetensors"


def make(path: Path | None = None, *, every: int | None = 1, resume: bool = False, **arguments: Any) -> np.ndarray:
    checkpoint = None if path is None else PartialRun(path, every, resume)
    return small_pipeline()("rain", partial_run=checkpoint, **(BRIEF | arguments)).audios


def make_until(step: int, path: Path, monkeypatch: pytest.MonkeyPatch, **arguments: Any) -> None:
    """Run until Ctrl-C after some steps."""
    with monkeypatch.context() as patch:
        interrupt_after(step, patch)
        with pytest.raises(KeyboardInterrupt):
            make(path, **arguments)


def interrupt_after(step: int, patch: pytest.MonkeyPatch) -> None:
    """Ctrl-C after some steps."""
    after_call = ResumableRun.after_call

    def interrupt(self: ResumableRun, run: sampling.Progress) -> None:
        after_call(self, run)
        if run.steps_done >= step:
            raise KeyboardInterrupt

    patch.setattr(ResumableRun, "after_call", interrupt)


@pytest.mark.parametrize(
    "arguments",
    [
        {"eta": 0.5, "litefocus": LiteFocusConfig()},
        {"scheduler": "dpm++", "windowed": WindowedDenoising("swap", 0.24, 0.08)},
    ],
)
def test_a_run_that_was_ended_goes_on_to_the_same_bytes(arguments, path, monkeypatch):
    make_until(3, path, monkeypatch, every=2, **arguments)
    seen: list[int] = []
    monkeypatch.setattr(sampling, "sample", remembering_steps(seen))
    resumed = make(path, every=2, resume=True, **arguments)
    assert seen == [3, 4]
    assert resumed.tobytes() == make(**arguments).tobytes()
    assert not path.exists()


def remembering_steps(seen: list[int]) -> Any:
    sample = sampling.sample
    return lambda *arguments, **options: sample(*arguments, **(options | {"on_progress": seen.append}))


def test_a_run_is_kept_after_the_last_step_too_so_that_only_decoding_is_left(path, monkeypatch):
    def fail(*arguments: Any) -> None:
        raise RuntimeError("RESOURCE_EXHAUSTED")

    with monkeypatch.context() as patch:
        patch.setattr(whole, "decode_latents", fail)
        with pytest.raises(RuntimeError):
            make(path, every=3, check_memory=False)
    expected = make()
    seen: list[int] = []
    monkeypatch.setattr(sampling, "sample", remembering_steps(seen))
    assert make(path, resume=True).tobytes() == expected.tobytes()
    assert seen == []


def test_the_program_that_began_a_run_goes_on_with_it_whatever_the_new_interval(path):
    # As on an accelerator, where calls have several steps: the second half is done by calls of two.
    pipe = small_pipeline()
    request = in_calls_of(4, pipe.request("rain", **BRIEF))
    with pytest.MonkeyPatch.context() as patch:
        interrupt_after(2, patch)
        with pytest.raises(KeyboardInterrupt):
            pipe.run(request, partial_run=PartialRun(path, every=2))
    assert ResumableRun(PartialRun(path, every=1, resume=True), request, pipe.components, noise(request)).plan == (
        dataclasses.replace(request.plan, steps_per_call=2)
    )


def in_calls_of(steps: int, request: Request) -> Request:
    return dataclasses.replace(request, plan=dataclasses.replace(request.plan, steps_per_call=steps))


def noise(request: Request) -> jax.Array:
    return small_pipeline().inputs(request).latents


@pytest.mark.parametrize(("steps", "every", "expected"), [(200, None, 10), (200, 25, 5), (200, 7, 1), (25, 100, 5)])
def test_calls_of_several_steps_end_where_a_run_is_to_be_kept(steps, every, expected, path):
    pipe = small_pipeline()
    request = in_calls_of(steps_per_call(steps, 10), pipe.request("rain", **(BRIEF | {"num_inference_steps": steps})))
    run = ResumableRun(PartialRun(path, every=every), request, pipe.components, noise(request))
    assert run.plan.steps_per_call == expected


def test_without_a_file_a_resumed_run_begins_at_the_beginning(path):
    assert make(path, resume=True, every=None).tobytes() == make().tobytes()
    assert not path.exists()


def test_a_caller_can_keep_the_file_until_the_sound_is_saved(path):
    small_pipeline()("rain", partial_run=PartialRun(path, every=4, keep=True), **BRIEF)
    assert path.exists()


def test_an_earlier_run_is_not_overwritten_by_accident(path, monkeypatch):
    make_until(1, path, monkeypatch)
    before = path.read_bytes()
    with pytest.raises(FileExistsError, match=r"was left by an earlier run; go on with it \(resume, --resume\)"):
        make(path)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"seed": 4}, "seed was 0 and is 4"),
        ({"num_inference_steps": 5}, "num_inference_steps was 4 and is 5"),
        ({"negative_prompt": "wind"}, r"negative_prompt was \[''\] and is \['wind'\]"),
        (
            {"litefocus": LiteFocusConfig(sparse_ratio=0.5)},
            "attention was .*'sets': None.* and is .*'sparse_ratio': 0.5",
        ),
        ({"windowed": WindowedDenoising("swap", 0.24)}, "windows was None and is .*'window': 6"),
        ({"latents": np.zeros((1, 10, 8, 4))}, "digest of the first latents was"),
    ],
)
def test_the_file_of_another_request_is_refused_with_what_differs(changes, message, path, monkeypatch):
    make_until(1, path, monkeypatch)
    with pytest.raises(ResumeError, match=f"belongs to another request: .*{message}"):
        make(path, resume=True, **changes)
    assert path.exists()


def test_the_file_of_another_model_is_refused(path, monkeypatch):
    make_until(1, path, monkeypatch)
    with pytest.raises(ResumeError, match=r"belongs to another model: unet, text_encoder, .* differ"):
        tiny_pipeline()("rain", partial_run=PartialRun(path, resume=True), **BRIEF)


def test_a_damaged_file_is_refused(path, monkeypatch):
    make_until(1, path, monkeypatch)
    path.write_bytes(path.read_bytes()[:-1])
    with pytest.raises(ResumeError, match=r"cannot be read: .*; remove it to start anew"):
        make(path, resume=True)


def test_a_safetensors_file_of_something_else_is_refused(path):
    from safetensors.numpy import save_file

    save_file({"latents": np.zeros(3, np.float32)}, path)
    with pytest.raises(ResumeError, match="is no file of a run: format_version = None, expected 2"):
        make(path, resume=True)


def test_a_run_goes_on_when_its_file_cannot_be_written(tmp_path, caplog):
    (tmp_path / "file").touch()
    with caplog.at_level(logging.WARNING):
        make(tmp_path / "file" / "checkpoint.safetensors", every=4)
    assert "checkpoint.safetensors could not be written after step 4" in caplog.text


def test_an_interval_is_a_positive_whole_number(path):
    with pytest.raises(ValueError, match="every = 0; expected at least 1 step"):
        PartialRun(path, every=0)
    with pytest.raises(TypeError, match=r"every = 1\.5; expected a whole number of steps"):
        PartialRun(path, every=1.5)  # pyright: ignore[reportArgumentType]
