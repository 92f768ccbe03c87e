"""Make a sound for every line of a text file, on any number of hosts that share a folder.

    python examples/many_prompts.py cvssp/audioldm2 captions.txt sounds/

On each of two hosts, one with ``--host-index 0`` and one with ``--host-index 1``:

    python examples/many_prompts.py cvssp/audioldm2 captions.txt sounds/ --host-index 0 --host-count 2

Every host takes every ``host-count``-th prompt, and spreads its prompts over its devices. Sounds that exist are left
out, so that the same command goes on after a host was stopped in whatever way, and ends with the same files. No host
waits for another. Under a launcher that JAX knows (Slurm, Open MPI, Cloud TPU), ``--distributed`` asks
`jax.distributed` for the host's number; hosts are then tied together, and one that dies may take the others along.
"""

import logging
import time
from pathlib import Path
from typing import Annotated

import jax
import numpy as np
import typer
from jax.sharding import Mesh

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.audio import save_audio
from litefocus_jax.cli.destinations import file_names
from litefocus_jax.system.interruption import listening, raise_if_interrupted
from litefocus_jax.system.progress import progress_bar

logger = logging.getLogger("many_prompts")


def main(
    model: Annotated[str, typer.Argument(help="Folder of a checkpoint, or a hub id.")],
    captions: Annotated[
        Path, typer.Argument(exists=True, dir_okay=False, help="One prompt a line; empty lines are left out.")
    ],
    folder: Annotated[Path, typer.Argument(help="Where the WAV files go, named after prompt and seed.")],
    *,
    seconds: Annotated[
        float | None, typer.Option(help="Seconds of each sound; the model's training length otherwise.")
    ] = None,
    steps: Annotated[int, typer.Option(min=1, max=100_000, help="Denoising steps.")] = 200,
    seed: Annotated[int, typer.Option(min=0, max=2**32 - 1, help="Seed of all sounds.")] = 0,
    sounds_per_device: Annotated[
        int, typer.Option(min=1, max=10_000, help="Sounds that a device makes at a time.")
    ] = 1,
    host_index: Annotated[int, typer.Option(min=0, max=1_000_000, help="Number of this host, from 0.")] = 0,
    host_count: Annotated[int, typer.Option(min=1, max=1_000_000, help="Number of all hosts.")] = 1,
    distributed: Annotated[bool, typer.Option(help="Ask jax.distributed for the host's number and count.")] = False,
    coordinator: Annotated[
        str | None,
        typer.Option(metavar="ADDRESS:PORT", help="Address of host 0; tie the hosts together without a launcher."),
    ] = None,
) -> None:
    """Make a sound for every line of a text file, on any number of hosts that share a folder."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s")
    logging.getLogger("jax").setLevel(logging.WARNING)
    if host_index >= host_count:
        raise typer.BadParameter(f"{host_index} is not below --host-count {host_count}", param_hint="--host-index")
    if coordinator is not None:
        jax.distributed.initialize(coordinator, num_processes=host_count, process_id=host_index)
    elif distributed:
        jax.distributed.initialize()
        host_index, host_count = jax.process_index(), jax.process_count()

    devices = np.array(jax.local_devices())
    mesh = Mesh(devices.reshape(-1, 1), ("data", "time")) if len(devices) > 1 else None
    groups = share_of_host(captions, folder, seed, len(devices) * sounds_per_device, host_index, host_count)
    total = sum(len(group) for group in groups)
    logger.info("host %d of %d: %d sounds on %d devices", host_index, host_count, total, len(devices))

    pipe, done = None, 0
    with progress_bar("Sounds", total) as show:
        for group in groups:
            raise_if_interrupted()
            # A group is made whole even if some of it exists, or the bytes of a sound would depend on what was there.
            if not all(path.exists() for path in group.values()):
                pipe = pipe or AudioLDM2Pipeline.from_pretrained(model)
                make_group(pipe, group, seconds, steps, seed, mesh)
            done += len(group)
            show(done)
            logger.info("host %d of %d: %d of %d sounds are there", host_index, host_count, done, total)


Group = dict[str, Path]
"""Prompts that are made together, and their files."""


def share_of_host(
    captions: Path, folder: Path, seed: int, group_size: int, host_index: int, host_count: int
) -> list[Group]:
    """The groups of one host; what was half written of their files by a host that was killed is removed."""
    lines = (line.strip() for line in captions.read_text(encoding="utf-8").splitlines())
    prompts = list(dict.fromkeys(line for line in lines if line))
    files = [folder / name for (name,) in file_names(prompts, seed, 1, ".wav")]
    share = list(zip(prompts, files, strict=True))[host_index::host_count]
    for _, path in share:
        for partial in folder.glob(f".{path.name}.*.partial"):
            partial.unlink()
    return [dict(share[start : start + group_size]) for start in range(0, len(share), group_size)]


def make_group(
    pipe: AudioLDM2Pipeline, group: Group, seconds: float | None, steps: int, seed: int, mesh: Mesh | None
) -> None:
    """Make the sounds of a group, and save those that are missing: each file appears complete or not at all."""
    started = time.perf_counter()
    result = pipe(
        list(group), audio_length_in_s=seconds, num_inference_steps=steps, seed=seed, mesh=mesh, progress=False
    )
    for path, waveform in zip(group.values(), result.audios, strict=True):
        if not path.exists():
            save_audio(path, waveform, result.sampling_rate)
            length, taken = len(waveform) / result.sampling_rate, time.perf_counter() - started
            logger.info("%s: %.2f s of sound, %.1f s after its group began", path, length, taken)


if __name__ == "__main__":
    with listening():  # termination unwinds as Ctrl-C does, so that no half-written file stays
        typer.run(main)
