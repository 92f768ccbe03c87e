"""Rendered scenes on disk: sound, log-mel spectrograms and captions, made once and read by every stage of training.

Everything follows from the seed, the split and the clip's number, so that a corpus can be made again anywhere.
"""

import concurrent.futures
import contextlib
import dataclasses
import json
import multiprocessing
import os
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

import numpy as np
from jaxtyping import Float16, Int16

from examples.foley.world.captions import caption
from examples.foley.world.clips import HOP_LENGTH, NUM_MELS, SAMPLING_RATE, TRAINING_SECONDS
from examples.foley.world.kinds import KINDS
from examples.foley.world.sounds import random_scene, render
from litefocus_jax.audio import log_mel_spectrogram
from litefocus_jax.system.files import write_text, written_beside
from litefocus_jax.system.progress import progress_bar

Split = Literal["training", "validation", "test"]

KIND_NAMES = tuple(KINDS)
CAPTIONS_PER_CLIP = 4
FULL_SCALE = 32767

_CLIPS_PER_PART = 256
_THREAD_COUNTS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")  # of numpy, whatever it was built with


@dataclasses.dataclass(frozen=True)
class Corpus:
    """Clips of one split.

    Attributes:
        waveforms: of the clips, `FULL_SCALE` for 1; mapped from disk.
        mels: their natural log-mel spectrograms; mapped from disk.
        captions: several wordings of each scene.
        kinds: the kinds heard in each clip, as their places in `KIND_NAMES`.
    """

    waveforms: Int16[np.ndarray, "clips samples"]
    mels: Float16[np.ndarray, "clips frames mel_bins"]
    captions: tuple[tuple[str, ...], ...]
    kinds: tuple[tuple[int, ...], ...]

    def __len__(self) -> int:
        return len(self.captions)

    @property
    def first_captions(self) -> list[str]:
        """One caption of each clip."""
        return [texts[0] for texts in self.captions]

    def kind_labels(self) -> np.ndarray:
        """Float32 ``[clips, kinds]``: 1 where a kind is heard."""
        labels = np.zeros((len(self), len(KIND_NAMES)), np.float32)
        for row, kinds in zip(labels, self.kinds, strict=True):
            row[list(kinds)] = 1.0
        return labels


def make_corpus(
    folder: Path,
    split: Split,
    clips: int,
    *,
    first: int = 0,
    seed: int = 0,
    duration_in_s: float = TRAINING_SECONDS,
    held_out: bool = False,
    progress: bool = True,
    workers: int = os.cpu_count() or 1,
) -> Corpus:
    """Render clips, or read them where an earlier call rendered them; an interrupted call is continued.

    Args:
        folder: of all corpora of a training run.
        split: enters the seed, so that splits have nothing in common.
        clips: how many.
        first: number of the first clip, which alone, with seed and split, decides what it is.
        seed: of the training run.
        duration_in_s: seconds of each clip.
        held_out: whether captions hold wordings that training captions do not.
        progress: draw a progress bar, where there is a terminal.
        workers: processes that render, one for every core unless given.

    Raises:
        ValueError: when there are no clips to be made.
    """
    if clips < 1:
        raise ValueError(f"clips = {clips}; expected at least 1")
    name = f"{split}-{seed}-{clips}-{duration_in_s:g}s" + (f"-from-{first}" if first else "")
    name += "-held-out" if held_out else ""
    parts = folder / name
    parts.mkdir(parents=True, exist_ok=True)
    end = first + clips
    ranges = [(start, min(start + _CLIPS_PER_PART, end)) for start in range(first, end, _CLIPS_PER_PART)]
    missing = [span for span in ranges if not _part(parts, span[0], ".json").exists()]
    if missing:
        jobs = [(parts, split, seed, duration_in_s, held_out, *span) for span in missing]
        with progress_bar(f"Rendering {name}", len(jobs), enabled=progress) as on_progress:
            _run(jobs, workers, on_progress)
    described = [json.loads(_part(parts, start, ".json").read_text(encoding="utf-8")) for start, _ in ranges]
    return Corpus(
        waveforms=_mapped(parts, ranges, "waveforms"),
        mels=_mapped(parts, ranges, "mels"),
        captions=tuple(tuple(captions) for part in described for captions in part["captions"]),
        kinds=tuple(tuple(kinds) for part in described for kinds in part["kinds"]),
    )


def _run(jobs: list[tuple], workers: int, on_progress: Callable[[int], None]) -> None:
    if workers == 1 or len(jobs) == 1:
        for done, job in enumerate(jobs, 1):
            _render_part(*job)
            on_progress(done)
        return
    # Forked children of a process that has used JAX can hang.
    context = multiprocessing.get_context("spawn")
    with _single_threaded_children(), concurrent.futures.ProcessPoolExecutor(workers, context) as pool:
        futures = [pool.submit(_render_part, *job) for job in jobs]
        for done, future in enumerate(concurrent.futures.as_completed(futures), 1):
            future.result()
            on_progress(done)


@contextlib.contextmanager
def _single_threaded_children() -> Iterator[None]:
    """Let processes that are started meanwhile multiply matrices on one thread: as many threads as cores, in as many
    processes, would spend their time waiting for one another."""
    before = {name: os.environ.get(name) for name in _THREAD_COUNTS}
    os.environ.update(dict.fromkeys(_THREAD_COUNTS, "1"))
    try:
        yield
    finally:
        for name, value in before.items():
            os.environ.pop(name)
            if value is not None:
                os.environ[name] = value


def _render_part(
    folder: Path, split: str, seed: int, duration_in_s: float, held_out: bool, first: int, stop: int
) -> None:
    """Write the clips of one part; its description comes last and says that it is complete."""
    samples = round(duration_in_s * SAMPLING_RATE)
    frames = samples // HOP_LENGTH
    waveforms = np.empty((stop - first, samples), np.int16)
    mels = np.empty((stop - first, frames, NUM_MELS), np.float16)
    captions, kinds = [], []
    for row, number in enumerate(range(first, stop)):
        generator = np.random.default_rng([seed, zlib.crc32(split.encode()), number])
        scene = random_scene(generator)
        waveform = render(scene, generator, duration_in_s=duration_in_s)
        waveforms[row] = np.round(waveform * FULL_SCALE)
        mels[row] = log_mel_spectrogram(waveform, SAMPLING_RATE)[:frames]
        captions.append([caption(scene, generator, held_out=held_out) for _ in range(CAPTIONS_PER_CLIP)])
        kinds.append([KIND_NAMES.index(event.kind) for event in scene.events])
    for name, array in (("waveforms", waveforms), ("mels", mels)):
        with written_beside(_part(folder, first, f".{name}.npy")) as partial, partial.open("wb") as file:
            np.save(file, array)
    write_text(_part(folder, first, ".json"), json.dumps({"captions": captions, "kinds": kinds}))


def _part(folder: Path, first: int, suffix: str) -> Path:
    return folder / f"{first:06d}{suffix}"


def _mapped(parts: Path, ranges: list[tuple[int, int]], name: str) -> np.ndarray:
    """The parts' arrays as one that is mapped from disk, joined on first use."""
    whole = parts / f"{name}.npy"
    if not whole.exists():
        first = ranges[0][0]
        part = np.load(_part(parts, first, f".{name}.npy"), mmap_mode="r")
        with written_beside(whole) as partial:
            shape = (ranges[-1][1] - first, *part.shape[1:])
            joined = np.lib.format.open_memmap(partial, "w+", part.dtype, shape)
            for start, stop in ranges:
                joined[start - first : stop - first] = np.load(_part(parts, start, f".{name}.npy"))
            joined.flush()
            del joined
        for start, _ in ranges:
            _part(parts, start, f".{name}.npy").unlink()
    return np.load(whole, mmap_mode="r")
