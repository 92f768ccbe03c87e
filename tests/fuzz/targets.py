"""What is damaged and read again: for each kind a folder of whole files, a reader, and what a right reading is."""

import contextlib
import dataclasses
import functools
import json
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

from litefocus_jax.audio import save_audio
from litefocus_jax.checkpoint.diffusers import open_diffusers_network
from litefocus_jax.checkpoint.lora import LoraConfig, read_adapter, save_adapter
from litefocus_jax.checkpoint.native import open_native, open_native_network
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.checkpoint.weights import leaves
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import initial_state
from litefocus_jax.generation.inputs import make_inputs
from litefocus_jax.generation.recipe import Recipe
from litefocus_jax.generation.recipe_files import read_recipe, write_recipe
from litefocus_jax.generation.resume import PartialRun, ResumableRun
from litefocus_jax.generation.sampling import Progress
from litefocus_jax.models.components import NETWORKS
from litefocus_jax.models.generation_defaults import GenerationDefaults
from litefocus_jax.models.stored_tokenizers import load_tokenizer
from litefocus_jax.models.vocabulary import Vocabulary
from litefocus_jax.training.checkpoints import Checkpoints
from litefocus_jax.training.data import open_dataset
from litefocus_jax.training.examination import UnusableSoundError, examine
from tests.support.folders import new_path
from tests.support.models import tiny_checkpoint, tiny_pipeline
from tests.support.stored_models import tiny_diffusers_checkpoint

DOCUMENTED = (ValueError, OSError)
"""Every error about a file is one of these, or of their kinds."""


class WronglyReadError(AssertionError):
    """A damaged file was read, and not as it was before; and nothing said so."""


@dataclasses.dataclass(frozen=True)
class Target:
    """One kind of input.

    Attributes:
        name: of the kind.
        make: writes whole files into a folder.
        files: those that are damaged, one at a time.
        read: reads the folder, of which one file is damaged; raises `WronglyReadError` where what it found is not
            what a whole file says, though a header, a checksum or a digest could tell.
    """

    name: str
    make: Callable[[Path], object]
    files: Sequence[str]
    read: Callable[[Path, str], object]


def _network_target(name: str, *, is_native: bool) -> Target:
    network = NETWORKS[name]
    source = tiny_checkpoint() if is_native else tiny_diffusers_checkpoint()
    weights = "model.safetensors" if is_native else f"{network.weights}.safetensors"

    def read(folder: Path, damaged: str) -> None:
        del damaged
        stored = (open_native_network if is_native else open_diffusers_network)(folder, network)
        stored.check()
        module = stored.load(jnp.float32)
        if not all(bool(jnp.isfinite(leaf).all()) for leaf in leaves(module).values()):
            raise WronglyReadError("weights that are not finite")

    def make(folder: Path) -> None:
        shutil.copytree(source / name, folder, dirs_exist_ok=True)

    return Target(f"{'native' if is_native else 'diffusers'} {name}", make, ("config.json", weights), read)


def _make_folder(folder: Path) -> None:
    source = tiny_checkpoint()
    (folder / "scheduler").mkdir()
    shutil.copy(source / "scheduler" / "scheduler_config.json", folder / "scheduler")
    kinds = {"rain": {"names": ["rain", "drizzle"], "prompts": ["heavy rain"]}}
    (folder / "vocabulary.json").write_text(json.dumps({"kinds": kinds, "words": ["heavy", "light"]}))
    (folder / "generation.json").write_text(json.dumps(GenerationDefaults().to_dict()))
    shutil.copy(source / "model.json", folder / "model.json")


def _read_folder(folder: Path, damaged: str) -> None:
    match damaged:
        case "scheduler/scheduler_config.json":
            SchedulerConfig.from_file(folder / damaged)
        case "vocabulary.json":
            Vocabulary.from_file(folder / damaged)
        case "generation.json":
            GenerationDefaults.from_file(folder / damaged)
        case _:
            try:
                open_native(folder)  # which lacks its networks
            except ValueError as error:
                if "is incomplete" not in str(error):
                    raise


def _read_tokenizer(folder: Path, damaged: str) -> None:
    del damaged
    tokenizer = load_tokenizer(folder, 300)
    ids = tokenizer.ids(["a dog barks", ""], tokenizer.model_max_length)
    if not all(0 <= number < 300 for row in ids for number in [*row, tokenizer.pad_token_id]):
        raise WronglyReadError("tokens that the encoder does not know")


def _tokenizer_target(name: str) -> Target:
    def make(folder: Path) -> None:
        shutil.copytree(tiny_checkpoint() / name, folder, dirs_exist_ok=True)

    return Target(name, make, ("tokenizer.json", "tokenizer_config.json"), _read_tokenizer)


@functools.cache
def _partial_run(path: Path, resume: bool) -> ResumableRun:
    pipe = tiny_pipeline()
    request = pipe.request("rain", audio_length_in_s=0.4, num_inference_steps=4, scheduler="dpm++")
    tokenizers = [load_tokenizer(tiny_checkpoint() / name, 300) for name in ("tokenizer", "tokenizer_2")]
    inputs = make_inputs(pipe.components, tokenizers, request)
    return ResumableRun(PartialRun(path, 1, resume), request, pipe.components, inputs.latents)


RUN = "rain.wav.partial.safetensors"


@functools.cache
def _whole_run() -> tuple[Path, Progress]:
    """A file of a run, and what it holds."""
    path = new_path(RUN)
    run = _partial_run(path, False)
    latents = jnp.full((1, 10, 8, 4), 0.25, jnp.float32)
    state = initial_state(tiny_pipeline().request("rain", num_inference_steps=4, scheduler="dpm++").schedule, latents)
    progress = Progress(2, 1, state)
    run.after_call(progress)
    return path, progress


def _read_run(folder: Path, damaged: str) -> None:
    _, progress = _whole_run()
    run = _partial_run(_whole_run()[0], False)
    run._path = folder / damaged
    read = run._read(progress.state)
    pairs = zip(jax.tree.leaves(read.state), jax.tree.leaves(progress.state), strict=True)
    same = all(np.array_equal(one, other) for one, other in pairs)
    if not same or read[:2] != progress[:2]:
        raise WronglyReadError("another state than was written")


STATE = {"weights": jnp.arange(12.0).reshape(3, 4), "updates": jnp.int32(4)}


def _checkpoints(folder: Path) -> Checkpoints:
    return Checkpoints(folder, config={"steps": 10, "batch_size": 2}, model={"unet": "0123"})


def _read_state(folder: Path, damaged: str) -> None:
    del damaged
    checkpoints = _checkpoints(folder)
    checkpoints.stored_config()
    restored = checkpoints.restore(STATE, jax.sharding.SingleDeviceSharding(jax.devices()[0]))
    if not all(np.array_equal(restored[name], STATE[name]) for name in STATE):
        raise WronglyReadError("another state than was written")


def _make_adapter(folder: Path) -> None:
    kernels = leaves(tiny_pipeline().components.unet)
    path = next(name for name, leaf in kernels.items() if name.endswith("attn1.to_q.kernel"))
    layer, (width, out) = path.removesuffix(".kernel"), kernels[path].shape
    adapter = {f"{layer}.lora_A": np.ones((width, 2), np.float32), f"{layer}.lora_B": np.ones((2, out), np.float32)}
    save_adapter(folder / "lora", adapter, LoraConfig(2))


def _read_adapter(folder: Path, damaged: str) -> None:
    del damaged
    adapter = read_adapter(folder / "lora", tiny_pipeline().components.unet)
    if not all(np.isfinite(array).all() for array in adapter.values()):
        raise WronglyReadError("weights that are not finite")


@functools.cache
def _recipe() -> Recipe:
    pipe = tiny_pipeline()
    return pipe.recipes(pipe.request("rain", audio_length_in_s=0.4, num_inference_steps=4))[0]


SOUNDS = ("a.wav", "a.flac", "a.ogg", "a.opus", "a.mp3")


def _make_sounds(folder: Path) -> None:
    tone = (0.3 * np.sin(np.arange(8000) / 5)).astype(np.float32)
    for name in SOUNDS:
        save_audio(folder / name, tone, 16000, comment=_recipe().to_json())
    write_recipe(folder / "a.json", _recipe())
    rows = [{"file_name": name, "text": "a tone"} for name in SOUNDS]
    (folder / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def _read_sound(folder: Path, damaged: str) -> None:
    if damaged == "metadata.jsonl":
        open_dataset(folder, progress=False)
        return
    if damaged != "a.json":
        with contextlib.suppress(UnusableSoundError):  # its message goes on where the file's name ended
            examine(folder / damaged)
    read_recipe(folder / damaged)


def _make_pickle(folder: Path) -> None:
    import torch

    tensors = {"weight": torch.arange(1000.0).reshape(10, 100), "bias": torch.ones(10, dtype=torch.bfloat16)}
    torch.save(tensors, folder / "pytorch_model.bin")


def _read_pickle(folder: Path, damaged: str) -> None:
    from convert.pickles import read_file

    found = read_file(folder / damaged)
    expected = {"weight": np.arange(1000.0).reshape(10, 100), "bias": np.ones(10)}
    for name, tensor in found.items():
        if name in expected and not np.array_equal(np.asarray(tensor).astype(np.float64), expected[name]):
            raise WronglyReadError(f"{name} is not as it was written")


@functools.cache
def targets() -> dict[str, Target]:
    """Every kind, by name."""
    load_components(tiny_checkpoint())
    every = [
        *(_network_target(name, is_native=True) for name in NETWORKS),
        *(_network_target(name, is_native=False) for name in ("vocoder", "projection_model", "text_encoder_2")),
        Target(
            "folder",
            _make_folder,
            ("scheduler/scheduler_config.json", "vocabulary.json", "generation.json", "model.json"),
            _read_folder,
        ),
        _tokenizer_target("tokenizer"),
        _tokenizer_target("tokenizer_2"),
        Target("run", lambda folder: shutil.copy(_whole_run()[0], folder), (RUN,), _read_run),
        Target("state", lambda folder: _checkpoints(folder).save(4, STATE), (), _read_state),
        Target("adapter", _make_adapter, ("lora/adapter_model.safetensors", "lora/adapter_config.json"), _read_adapter),
        Target("sounds", _make_sounds, (*SOUNDS, "a.json", "metadata.jsonl"), _read_sound),
        Target("pickle", _make_pickle, ("pytorch_model.bin",), _read_pickle),
    ]
    return {target.name: target for target in every}
