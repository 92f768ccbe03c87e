"""What a request will take, told before it runs."""

import dataclasses
import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import jax
import pytest

from litefocus_jax import LiteFocusConfig, WindowedDenoising
from litefocus_jax.checkpoint.weights import leaves
from litefocus_jax.decoding import whole
from litefocus_jax.generation import needs as memory_needs
from litefocus_jax.generation import sampling
from litefocus_jax.generation.needs import InsufficientMemoryError, MemoryEstimate, TimeEstimate, require_memory
from litefocus_jax.generation.request import Request
from litefocus_jax.system.platform import memory_limit
from tests.support.models import small_components, small_pipeline
from tests.support.requests import request_for


def request_of(prompt: Any = "rain", **changes: Any) -> Request:
    return request_for(small_pipeline(), prompt=prompt, **changes)


def test_memory_is_the_weights_and_the_largest_stage() -> None:
    pipe = small_pipeline()
    estimate = pipe.estimate(request_of()).memory
    assert estimate.weights == sum(
        leaf.nbytes for part in pipe.components.modules.values() for leaf in leaves(part).values()
    )
    assert list(estimate.stages) == ["denoising", "VAE", "vocoder"]
    assert all(count > 0 for count in estimate.stages.values())
    assert estimate.needed == estimate.weights + max(estimate.stages.values())


def test_longer_sound_needs_more_in_every_stage() -> None:
    requests = [request_of(audio_length_in_s=seconds) for seconds in (0.4, 4.0)]
    short, long = (small_pipeline().estimate(request).memory for request in requests)
    assert all(long.stages[name] > 2 * count for name, count in short.stages.items())


def written(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_the_limit_of_a_cpu_is_what_the_system_has_to_give(tmp_path: Path) -> None:
    memory = {"proc/meminfo": "MemTotal:  9000 kB\nMemAvailable:  50 kB\n", "proc/self/status": "RssAnon:\t3 kB\n"}
    assert memory_limit(written(tmp_path, memory)) == 53 * 1024
    groups = {"sys/fs/cgroup/memory.max": "4000\n", "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**62)}
    assert memory_limit(written(tmp_path, groups)) == 4000
    assert memory_limit(written(tmp_path, {"sys/fs/cgroup/memory.max": "max\n"})) == 53 * 1024


def test_without_linux_the_limit_is_the_memory_that_is_built_in(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(os, "sysconf", {"SC_PHYS_PAGES": 1000, "SC_PAGE_SIZE": 4096}.__getitem__)
    assert memory_limit(tmp_path) == 4096000


def test_the_limit_of_an_accelerator_is_what_jax_may_allocate(monkeypatch: pytest.MonkeyPatch) -> None:
    device = SimpleNamespace(memory_stats=lambda: {"bytes_limit": 123})
    monkeypatch.setattr(jax, "local_devices", lambda: [device])
    assert memory_limit() == 123


def test_sampling_does_not_begin_where_memory_is_too_small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_needs, "memory_limit", lambda: 1000)
    monkeypatch.setattr(sampling, "sample", None)
    message = r"this request needs .* GB for the weights and .* GB for .*, and 1e-06 GB can be had on this cpu; ask for"
    with pytest.raises(InsufficientMemoryError, match=message):
        small_pipeline()("rain", audio_length_in_s=0.8, num_inference_steps=2)


def test_the_check_of_memory_can_be_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_needs, "memory_limit", lambda: 1000)
    result = small_pipeline()("rain", audio_length_in_s=0.4, num_inference_steps=4, check_memory=False)
    assert result.audios.shape == (1, 6400)


LONGER, SPARSE, FEWER = "ask for shorter sound", "use sparse attention", "make fewer sounds at a time"
WINDOWS, FEWER_WINDOWS, BFLOAT16 = "denoise in windows", "denoise fewer windows at a time", "load the model in bfloat16"


@pytest.mark.parametrize(
    ("changes", "stage", "dtype", "expected"),
    [
        ({"audio_length_in_s": 4.0}, "denoising", "float32", [LONGER, WINDOWS, SPARSE, BFLOAT16]),
        ({"prompt": ["a", "b"], "litefocus": LiteFocusConfig()}, "denoising", "bfloat16", [LONGER, FEWER]),
        ({"audio_length_in_s": 4.0, "windowed": WindowedDenoising()}, "denoising", "bfloat16",
         [LONGER, FEWER_WINDOWS, SPARSE]),
        ({"audio_length_in_s": 4.0}, "VAE", "bfloat16", [LONGER]),
    ],
)  # fmt: skip
def test_what_to_change_follows_from_the_request(changes, stage, dtype, expected) -> None:
    estimate = MemoryEstimate(10, {stage: 100, "other": 5}, limit=50)
    with pytest.raises(InsufficientMemoryError) as raised:
        require_memory(estimate, request_of(**changes), dataclasses.replace(small_components(), dtype=dtype))
    remedies = str(raised.value).partition("; ")[2]
    assert [remedy for remedy in (LONGER, WINDOWS, FEWER_WINDOWS, SPARSE, FEWER, BFLOAT16) if remedy in remedies] == [
        *expected
    ]


def test_memory_that_is_enough_or_not_known_is_no_error() -> None:
    estimate = MemoryEstimate(10, {"denoising": 100}, limit=110)
    require_memory(estimate, request_of(), small_components())
    require_memory(dataclasses.replace(estimate, limit=None), request_of(), small_components())


def test_nothing_is_timed_where_memory_does_not_suffice(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(memory_needs, "memory_limit", lambda: 1000)
    monkeypatch.setattr(sampling, "sample", None)
    estimate = small_pipeline().estimate(request_of())
    assert not estimate.memory.suffices
    assert estimate.time is None


def test_time_comes_from_one_call_of_the_loop_twice_and_a_short_decoding(monkeypatch: pytest.MonkeyPatch) -> None:
    calls: list[tuple[str, Any]] = []
    sample, decode = sampling.sample, whole.decode_latents

    def remember_sample(*arguments: Any, **options: Any) -> Any:
        calls.append(("steps", arguments[1].num_steps))
        return sample(*arguments, **options)

    def remember_decode(vae: Any, latents: jax.Array) -> Any:
        calls.append(("frames", latents.shape[1]))
        return decode(vae, latents)

    monkeypatch.setattr(sampling, "sample", remember_sample)
    monkeypatch.setattr(whole, "decode_latents", remember_decode)
    times = small_pipeline().estimate(request_of(audio_length_in_s=4.0, num_waveforms_per_prompt=2)).time
    assert times is not None
    assert sorted(calls) == [("frames", 16)] * 3 + [("steps", 1)] * 2
    assert (times.num_steps, times.measured_sound_in_s, times.sound_in_s) == (4, 0.64, 8.0)
    assert min(times.step_in_s, times.measured_decoding_in_s) > 0


def test_time_of_the_whole_is_steps_and_decoding_in_proportion() -> None:
    times = TimeEstimate(
        step_in_s=2.0, num_steps=10, measured_decoding_in_s=0.5, measured_sound_in_s=10.0, sound_in_s=80.0
    )
    assert (times.denoising_in_s, times.decoding_in_s, times.total_in_s) == (20.0, 4.0, 24.0)
