"""What users of diffusers write works, or is answered in one line that says what to use."""

import inspect
import re
import shutil
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.generation.habits import dtype_name
from tests.support.models import small_checkpoint, small_pipeline
from tests.support.requests import BRIEF
from tests.support.stored_models import tiny_diffusers_checkpoint


class Generator:
    """As PyTorch's, as far as it is looked at."""


Generator.__module__ = "torch._C"


class Dtype:
    """As PyTorch's, which are printed with their module."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return f"torch.{self._name}"


Dtype.__module__ = "torch"


def pipeline() -> Any:
    """Not known by its type, which knows no habits."""
    return small_pipeline()


def test_what_asks_for_nothing_is_let_pass() -> None:
    defaults = {"transcription": None, "max_new_tokens": None, "cross_attention_kwargs": None, "generator": None}
    assert pipeline().request("rain", **BRIEF, **defaults) == pipeline().request("rain", **BRIEF)


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"generator": Generator()}, "generator is a torch._C.Generator; expected a number, as in seed=0"),
        ({"seed": np.random.default_rng(0)}, "seed is a numpy.random._generator.Generator; expected a number"),
        ({"seed": jax.random.split(jax.random.key(0))}, "seed is a key of shape (2,); expected one number or one key"),
        ({"generator": 1, "seed": 1}, "generator and seed are both given"),
        ({"max_new_tokens": 12}, "language_model/config.json"),
        ({"cross_attention_kwargs": {"scale": 0.5}}, "attention is chosen by litefocus"),
        ({"output_type": "pt"}, "torch.from_numpy(result.audios)"),
        ({"scheduler": "euler"}, "expected 'ddim' or 'dpm++'"),
        ({"scheduler": Generator()}, "scheduler is a Generator; expected 'ddim' or 'dpm++'"),
    ],
)
def test_arguments_of_a_call_that_cannot_be_honoured_say_what_to_use(arguments: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)) as error:
        pipeline()("rain", **(BRIEF | arguments))
    assert "\n" not in str(error.value)


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("num_inference_step", "num_inference_steps"),
        ("negativ_prompt", "negative_prompt"),
        ("steps", "num_inference_steps"),
        ("duration", "audio_length_in_s"),
        ("num_images_per_prompt", "num_waveforms_per_prompt"),
        ("callbacks", "callback"),
    ],
)
def test_an_unknown_argument_is_answered_by_the_one_that_was_meant(name: str, meant: str) -> None:
    with pytest.raises(TypeError, match=rf"{name}: no such option of a request; did you mean {meant}\?"):
        pipeline()("rain", **{name: 1})


@pytest.mark.parametrize(
    ("attribute", "advice"),
    [
        ("to", "JAX_PLATFORMS"),
        ("scheduler", "scheduler='ddim' or scheduler='dpm++'"),
        ("enable_attention_slicing", "litefocus"),
        ("enable_vae_slicing", "pipe.tiling"),
        ("enable_model_cpu_offload", "dtype='bfloat16'"),
        ("set_progress_bar_config", "progress=False"),
        ("enable_xformers_memory_efficient_attention", "attention"),
        ("decode_block", "did you mean 'decode_blocks'?"),
    ],
)
def test_attributes_of_diffusers_say_what_to_use(attribute: str, advice: str) -> None:
    assert not hasattr(pipeline(), attribute)
    with pytest.raises(AttributeError, match=re.escape(advice)) as error:
        getattr(pipeline(), attribute)
    assert "\n" not in str(error.value)


@pytest.mark.parametrize("attribute", ["scheduler", "unet", "vae"])
def test_parts_are_not_exchanged_in_place(attribute: str) -> None:
    with pytest.raises(AttributeError, match=f"pipe.{attribute}"):
        setattr(pipeline(), attribute, None)


def test_networks_device_and_type_are_attributes() -> None:
    pipe = pipeline()
    assert pipe.unet is pipe.components.unet
    assert pipe.vocoder.config.sampling_rate == 16000
    assert pipe.device == jax.devices()[0]
    assert pipe.dtype == "float32"


def test_the_pipeline_shows_its_parts() -> None:
    shown = repr(pipeline())
    for part in ("unet", "vae", "vocoder", "language_model", "float32", "16000 Hz", "cpu"):
        assert part in shown
    assert len(shown) < 1000


def test_a_tuple_is_returned_where_diffusers_would() -> None:
    result = pipeline()("rain", output_type="np", **BRIEF)
    (audios,) = pipeline()("rain", return_dict=False, **BRIEF)
    assert audios.tobytes() == result.audios.tobytes()


def test_keys_and_numbers_are_seeds() -> None:
    pipe = pipeline()
    key, raw = jax.random.key(7), jax.random.PRNGKey(7)
    asked: list[dict[str, Any]] = [{"seed": key}, {"generator": 7}, {"generator": [raw]}, {"seed": np.int64(7)}]
    assert [pipe.request("rain", **each).seed for each in asked] == [7] * 4
    drawn = [pipe.request("rain", **{"seed": each}).seed for each in [*jax.random.split(key)] * 2]
    assert drawn[:2] == drawn[2:]
    assert drawn[0] != drawn[1]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        (Dtype("float16"), "float16"),
        (Dtype("bfloat16"), "bfloat16"),
        ("torch.float16", "float16"),
        ("bfloat16", "bfloat16"),
        ("auto", None),
        (None, None),
        (np.float32, np.float32),
    ],
)
def test_types_of_pytorch_are_known_by_their_names(given: Any, expected: Any) -> None:
    assert dtype_name(given) == expected


def test_a_checkpoint_is_loaded_as_diffusers_would() -> None:
    pipe = AudioLDM2Pipeline.from_pretrained(
        small_checkpoint().parent,
        subfolder=small_checkpoint().name,
        torch_dtype=Dtype("float16"),
        use_safetensors=True,
        low_cpu_mem_usage=True,
        device_map=None,
        local_files_only=True,
    )
    assert pipe.dtype == "float16"


@pytest.mark.parametrize(
    ("arguments", "advice"),
    [
        ({"torch_dtype": Dtype("float64")}, "expected float32, bfloat16, float16"),
        ({"torch_dtype": "float16", "dtype": "float32"}, "expected one of them"),
        ({"device_map": "auto"}, "JAX chooses the device"),
        ({"use_safetensors": False}, "python -m convert"),
        ({"custom_pipeline": "mine"}, "no code of a repository is ever run"),
        ({"scheduler": object()}, "scheduler='ddim' or 'dpm++'"),
        ({"unet": object()}, "dataclasses.replace(pipe.components, unet=...)"),
        ({"variant": "fp16"}, "say dtype='float16'"),
    ],
)
def test_arguments_of_loading_that_cannot_be_honoured_say_what_to_use(arguments: dict[str, Any], advice: str) -> None:
    with pytest.raises(ValueError, match=re.escape(advice)) as error:
        AudioLDM2Pipeline.from_pretrained(small_checkpoint(), **arguments)
    assert "\n" not in str(error.value)


def test_an_unknown_argument_of_loading_is_answered_by_the_one_that_was_meant() -> None:
    with pytest.raises(TypeError, match=r"cachedir: no such argument of from_pretrained; did you mean cache_dir\?"):
        AudioLDM2Pipeline.from_pretrained(small_checkpoint(), cachedir="x")


def test_the_hub_is_asked_as_told(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(name=name, **options)
        return str(small_checkpoint().parent)

    monkeypatch.setattr("huggingface_hub.snapshot_download", download)
    told = {
        "cache_dir": tmp_path,
        "token": "secret",
        "local_files_only": True,
        "revision": "v1",
        "force_download": True,
    }
    AudioLDM2Pipeline.from_pretrained("org/name", subfolder=small_checkpoint().name, **told)
    assert {name: asked[name] for name in told} == told
    assert f"{small_checkpoint().name}/model.json" in asked["allow_patterns"]


def test_a_variant_is_read_before_the_files_without_one(tmp_path: Path) -> None:
    folder = shutil.copytree(tiny_diffusers_checkpoint(), tmp_path / "model")
    with pytest.raises(ValueError, match="has no weights of variant 'fp16'"):
        AudioLDM2Pipeline.from_pretrained(folder, variant="fp16")
    weights = folder / "unet" / "diffusion_pytorch_model.safetensors"
    shutil.copy(weights, weights.with_suffix(".fp16.safetensors"))
    weights.write_bytes(b"not to be read")
    assert AudioLDM2Pipeline.from_pretrained(folder, variant="fp16").dtype == "float32"


def test_arguments_of_diffusers_are_each_known() -> None:
    diffusers = pytest.importorskip("diffusers")
    call = inspect.signature(diffusers.AudioLDM2Pipeline.__call__).parameters
    defaults = {name: each.default for name, each in call.items() if name not in ("self", "prompt")}
    assert pipeline()("rain", **(defaults | BRIEF)).audios.shape == (1, 6400)
