"""One of two processes of four virtual devices each, or of four of one, which train together, for test_processes.py."""

import contextlib
import dataclasses
import shutil
import signal
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import jax
import numpy as np
import pytest
from jax.sharding import Mesh

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint.lora import LoraConfig
from litefocus_jax.checkpoint.store import load_components
from litefocus_jax.models.components import Components
from litefocus_jax.parallel.mesh import DATA_AXIS
from litefocus_jax.parallel.time_axis import TIME_AXIS
from litefocus_jax.system.processes import join_processes
from litefocus_jax.training import batches as batches_module
from litefocus_jax.training import shared_folder
from litefocus_jax.training.batches import AudioBatches
from litefocus_jax.training.config import TrainingConfig
from litefocus_jax.training.data import open_dataset
from litefocus_jax.training.distribution import Shard
from litefocus_jax.training.journal import read_journal
from litefocus_jax.training.loop import train
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.monitoring import Monitoring
from litefocus_jax.training.sources import ValidationClips
from litefocus_jax.training.updates import NamedBatch, TrainingInterrupted
from tests.support.command_line import run
from tests.support.devices import UNGUIDED
from tests.support.models import small_checkpoint
from tests.support.sounds import tone, write_metadata, write_sound

# Six clips on eight devices, of five sounds; so large an epsilon that the rounding of gradients stays small.
WHOLE = TrainingConfig(
    steps=10,
    batch_size=6,
    learning_rate=5e-3,
    warmup_steps=2,
    adam_epsilon=1e-3,
    caption_dropout=0.3,
    save_every=10,
)
ADAPTER = dataclasses.replace(
    WHOLE, batch_size=12, gradient_accumulation=2, lora=LoraConfig(rank=2), learning_rate=0.05
)
COMMAND = ("--steps", "8", "--save-every", "2", "--batch-size", "6", "-d", "0.16", "--lora", "2")


def prepare(folder: Path) -> None:
    """A model and sounds; beside them such for each process, of which process 1 has another sound and no model."""
    shutil.copytree(small_checkpoint(), folder / "model")
    make_sounds(folder / "sounds")
    for number in range(2):
        make_sounds(folder / f"given_{number}" / "sounds")
        (folder / f"given_{number}" / "model").symlink_to(folder / "model")
    (folder / "model_0").symlink_to(folder / "model")
    shutil.copyfile(folder / "sounds" / "0.wav", folder / "given_1" / "sounds" / "1.wav")


def make_sounds(folder: Path) -> None:
    """Five of them, with captions of other lengths."""
    for number in range(5):
        write_sound(folder / f"{number}.wav", tone(0.3 + 0.1 * number, hertz=220.0 * (number + 1)))
    captions = {f"{number}": f"a tone{' again' * number}" for number in range(5)}
    write_metadata(folder, **captions)


@contextlib.contextmanager
def stopping_at(index: int) -> Iterator[None]:
    """SIGTERM, as schedulers send it, when this process reads its share of a batch."""
    share = AudioBatches.share

    def interrupting(self: AudioBatches, number: int, clips: Sequence[int]) -> NamedBatch[Batch]:
        if number == index:
            signal.raise_signal(signal.SIGTERM)
        return share(self, number, clips)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(AudioBatches, "share", interrupting)
        yield


def train_on(
    given: Path, out: Path, config: TrainingConfig, mesh: Mesh | None, shard: Shard = "none", **keywords: Any
) -> Components:
    """Train the model in a folder on the sounds in it, with two of them for validation."""
    components, dataset = load_components(given / "model", "float32"), open_dataset(given / "sounds", mesh=mesh)

    def batches(seed: int, dropout: float) -> AudioBatches:
        return AudioBatches(
            dataset,
            components,
            batch_size=config.batch_size,
            audio_length_in_s=0.16,
            caption_dropout=dropout,
            seed=seed,
        )

    training = batches(config.seed, config.caption_dropout)
    watched = Monitoring(validation=ValidationClips(batches(1, 0.0), 2, config.batch_size), validate_every=10)
    monitoring = keywords.pop("monitoring", watched)
    config = dataclasses.replace(config, data=training.description)
    return train(components, training, config, out, mesh=mesh, shard=shard, monitoring=monitoring, **keywords)


def all_devices() -> Mesh:
    """Those of both processes."""
    return Mesh(np.array(jax.devices()), (DATA_AXIS,))


def train_together(folder: Path) -> dict[str, Any]:
    """A run in shares that one process was told to stop, one of an adapter, and one that a lone process began."""
    read: set[str] = set()
    made: list[int] = []
    read_clip = batches_module.read_clip

    def recorded(sound: Any, *arguments: Any, **options: Any) -> Any:
        read.add(f"{sound.file_name} {arguments[0]:.6f}")
        return read_clip(sound, *arguments, **options)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(batches_module, "read_clip", recorded)
        watched = Monitoring(make_samples=lambda _, step: made.append(step), samples_every=5, tensorboard=True)
        train_on(folder, folder / "adapter", ADAPTER, all_devices(), monitoring=watched)
    stop = stopping_at(3) if jax.process_index() == 1 else contextlib.nullcontext()
    with stop, pytest.raises(TrainingInterrupted):
        train_on(folder, folder / "whole", WHOLE, all_devices(), "fsdp")
    stopped_after = len(read_journal(folder / "whole" / "log.jsonl"))
    train_on(folder, folder / "whole", WHOLE, all_devices(), "fsdp", resume=True)
    train_on(folder, folder / "begun_by_one", WHOLE, all_devices(), "fsdp", resume=True)
    return {"read": sorted(read), "samples": made, "stopped_after": stopped_after}


def refused(folder: Path, out: Path, **options: Any) -> str:
    """What is said to a training that the processes cannot do, or do not do alike."""
    with pytest.raises((ValueError, OSError)) as refusal:
        train_on(folder, out, dataclasses.replace(WHOLE, **options), all_devices())
    return str(refusal.value)


def refusals(folder: Path) -> dict[str, str]:
    """What is said in this process, of what is wrong in one."""
    number = jax.process_index()
    given = folder / f"given_{number}"  # to process 1, other sounds
    return {
        "other_seed": refused(folder, folder / "refused", seed=number),
        "other_sounds": refused(given, folder / "refused"),
        "other_folder": refused(folder, folder / f"refused_{number}"),
        "there_already": refused(folder, folder / "whole"),
    }


def run_commands(folder: Path, coordinator: str) -> dict[str, str]:
    """What ``finetune`` says in this process."""
    number = str(jax.process_index())
    joined = ("--coordinator", coordinator, "--process-id", number, "--num-processes", "2")
    command = ("finetune", folder / "sounds", "-m", folder / "model", *COMMAND, *joined)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("litefocus_jax.system.processes.join_processes", lambda *_, **__: None)  # done already
        return {
            "undisturbed": run(*command, "-o", folder / "undisturbed").output,
            "there": run(*command, "-o", folder / "whole").output,
            "other_options": run(*command, "-o", folder / "refused", "--learning-rate", f"0.{number}1").output,
            "no_model": run(*command, "-o", folder / "refused", "-m", folder / f"model_{number}").output,
        }


def as_four(folder: Path) -> dict[str, Any]:
    """An adapter, trained in shares, and latents for each of two prompts along both axes of a mesh."""
    train_on(folder, folder / "adapter_by_four", ADAPTER, all_devices(), "fsdp", monitoring=Monitoring())
    mesh = Mesh(np.array(jax.devices()).reshape(2, 2), (DATA_AXIS, TIME_AXIS))
    pipe = AudioLDM2Pipeline.from_pretrained(folder / "model")
    return {"latents": pipe(**UNGUIDED, mesh=mesh, output_type="latent").audios}


def as_two(folder: Path, coordinator: str) -> dict[str, Any]:
    """Whole trainings, and what is said to those that cannot be."""
    shared_folder._PATIENCE_IN_S = 0.5
    return train_together(folder) | refusals(folder) | run_commands(folder, coordinator)


if __name__ == "__main__":
    number, count, coordinator, folder = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], Path(sys.argv[4])
    join_processes(coordinator, number, count, timeout_in_s=60)
    found = as_two(folder, coordinator) if count == 2 else as_four(folder)
    np.savez(folder / f"process_{number}_of_{count}.npz", **found)
