"""All sounds of a folder, listened to once before training; of several processes each listens to some of them."""

import dataclasses
import json
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import jax
from jax.sharding import Mesh

from litefocus_jax.audio.reading import UnusableSoundError
from litefocus_jax.parallel.processes import require_same, spans_processes, texts_from_each_process, together
from litefocus_jax.system.progress import progress_bar
from litefocus_jax.training.examination import Facts, examine

_READERS = 8


def listen_to_all(
    files: Sequence[Path], *, folder: Path, mesh: Mesh | None = None, progress: bool = False
) -> dict[Path, Facts | str]:
    """What is known of each file, or why it cannot be used.

    Args:
        files: in the folder.
        folder: whose path may be another one in other processes.
        mesh: whose processes share the work; all of them call this.
        progress: draw a bar, where there is a terminal.

    Raises:
        ProcessesError: when the processes do not have the same files, or one of them failed.
    """
    several = spans_processes(mesh)
    if several:
        named = [(os.path.relpath(file, folder), file.stat().st_size) for file in files]
        require_same(mesh, {"the sounds, by name and size,": named})
    count, number = (jax.process_count(), jax.process_index()) if several else (1, 0)
    own = files[number::count]
    with (
        together(mesh, "listening to the sounds"),
        ThreadPoolExecutor(_READERS, thread_name_prefix="sounds") as readers,
        progress_bar("Checking sounds", len(own), enabled=progress) as show,
    ):
        found: dict[Path, Facts | str] = {}
        for file, facts in zip(own, readers.map(_facts_or_reason, own), strict=True):
            found[file] = facts
            show(len(found))
    if several:
        told = json.dumps([facts if isinstance(facts, str) else dataclasses.asdict(facts) for facts in found.values()])
        for start, text in enumerate(texts_from_each_process(mesh, told)):
            found |= zip(files[start::count], map(_from_json, json.loads(text)), strict=True)
    return {file: found[file] for file in files}


def _facts_or_reason(path: Path) -> Facts | str:
    try:
        return examine(path)
    except UnusableSoundError as error:
        return str(error)


def _from_json(value: object) -> Facts | str:
    if not isinstance(value, dict):
        return str(value)
    return Facts(**{**value, "audible": tuple((first, end) for first, end in value["audible"])})
