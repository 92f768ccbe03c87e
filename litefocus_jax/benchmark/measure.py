"""Time the variants against each other, in turns, each in a process of its own."""

import contextlib
import dataclasses
import json
import os
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from litefocus_jax.benchmark.workload import (
    DECODER_VARIANT,
    DEFAULT_VARIANTS,
    PEER,
    TILES_VARIANT,
    Part,
    Workload,
    equivalent,
    peer_folder,
)
from litefocus_jax.models.unet.heads import Heads


@dataclasses.dataclass(frozen=True)
class Plan:
    """What to measure.

    Attributes:
        durations: seconds of sound.
        variants: some of `litefocus_jax.benchmark.workload.OUR_VARIANTS`.
        peer: also measure `PEER`.
        size: name of a published configuration for random weights.
        model: folder or hub id whose weights are used instead.
        dtype: floating-point type of weights and computation.
        rounds: calls of each variant, after one to warm up.
        part: what is timed; the decoder has only one variant.
        together: keep the workers of all durations at once, so that their calls too are made in turns: for comparing
            durations with each other. It takes the memory of all of them.
        token_merging: see `Workload`.
        heads: likewise.
    """

    durations: tuple[float, ...]
    variants: tuple[str, ...] = DEFAULT_VARIANTS
    peer: bool = False
    size: str | None = "audioldm2"
    model: str | None = None
    dtype: str = "float32"
    rounds: int = 5
    part: Part = "unet"
    together: bool = False
    token_merging: float = 0.5
    heads: Heads | None = None

    @property
    def groups(self) -> tuple[tuple[float, ...], ...]:
        """The durations whose calls are made in turns."""
        return (self.durations,) if self.together else tuple((duration_in_s,) for duration_in_s in self.durations)

    @property
    def names(self) -> tuple[str, ...]:
        """What has a row in the report: our variants, and the peer."""
        of_part = {"unet": self.variants, "decoder": (DECODER_VARIANT,), "tiles": (TILES_VARIANT,)}
        ours = of_part[self.part]
        return ours + ((PEER,) if self.peer else ())

    def workload(self, name: str, duration_in_s: float) -> Workload:
        """The program of one row."""
        how = (self.size, self.model, self.dtype, self.part, self.token_merging, self.heads)
        return Workload(name, duration_in_s, *how)

    def workloads(self, duration_in_s: float) -> list[Workload]:
        """The programs to run for one duration; variants whose programs are equal share one."""
        workloads: list[Workload] = []
        for name in self.names:
            workload = self.workload(name, duration_in_s)
            if not any(equivalent(workload, other) for other in workloads):
                workloads.append(workload)
        return workloads


@dataclasses.dataclass(frozen=True)
class Row:
    """One variant at one duration.

    Attributes:
        variant: its name.
        duration_in_s: seconds of sound.
        seconds_per_call: median time of one call of what is timed.
        spread: interquartile range of these times, in seconds.
        ratio_to_peer: how many times as long the peer took; None without a peer.
        peak_bytes: most memory of the process, or of the device where that keeps count.
        compile_in_s: seconds to compile.
    """

    variant: str
    duration_in_s: float
    seconds_per_call: float
    spread: float
    ratio_to_peer: float | None
    peak_bytes: int
    compile_in_s: float


class _Worker:
    """A running worker; see `litefocus_jax.benchmark.protocol`."""

    def __init__(self, workload: Workload) -> None:
        self.workload = workload
        is_peer = workload.variant == PEER
        module = "convert.diffusers_worker" if is_peer else "litefocus_jax.benchmark.worker"
        # Workers share a GPU, so none may take all of its memory at once.
        environment = os.environ | {"XLA_PYTHON_CLIENT_PREALLOCATE": "false"}
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, workload.to_json()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=peer_folder() if is_peer else None,
            env=environment,
        )
        self.seconds: list[float] = []
        try:
            self.facts = self._listen()
        except BaseException:
            self.kill()
            raise

    def _listen(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ChildProcessError(
                f"the worker of variant {self.workload.variant!r} at {self.workload.duration_in_s:g} s ended early, "
                f"with exit code {self._process.wait()}; its error is above"
            )
        return json.loads(line)

    def call(self) -> None:
        """Time one call."""
        assert self._process.stdin is not None
        self._process.stdin.write("call\n")
        self._process.stdin.flush()
        self.seconds.append(self._listen()["seconds"])

    def finish(self) -> int:
        """End the worker and return its peak memory in bytes."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        peak_bytes = self._listen()["peak_bytes"]
        self._process.wait()
        return peak_bytes

    def kill(self) -> None:
        """End the worker whatever it is doing; no harm if it has ended."""
        self._process.kill()
        self._process.__exit__(None, None, None)  # closes its pipes and waits


@contextlib.contextmanager
def _workers(workloads: Sequence[Workload], on_start: Callable[[Workload], None]) -> Iterator[list[_Worker]]:
    workers: list[_Worker] = []
    try:
        for workload in workloads:
            on_start(workload)
            workers.append(_Worker(workload))
        yield workers
    finally:
        for worker in workers:
            worker.kill()


def measure(plan: Plan, on_progress: Callable[[str], None] = lambda description: None) -> Iterator[list[Row]]:
    """Measure one duration after another, yielding the rows of each as soon as it is done.

    Args:
        plan: what to measure.
        on_progress: told what comes next, once for every start of a worker and every round.

    Raises:
        ChildProcessError: when a worker fails.
        FileNotFoundError: when the peer's worker is not available.
    """
    for group in plan.groups:
        workloads = [workload for duration_in_s in group for workload in plan.workloads(duration_in_s)]
        of_group = ", ".join(f"{duration_in_s:g}" for duration_in_s in group)
        with _workers(workloads, lambda w: on_progress(f"{w.duration_in_s:g} s: {w.variant}")) as workers:
            for number in range(plan.rounds):
                on_progress(f"{of_group} s: round {number + 1} of {plan.rounds}")
                for worker in workers:
                    worker.call()
            for duration_in_s in group:
                of_duration = [worker for worker in workers if worker.workload.duration_in_s == duration_in_s]
                yield _rows(plan, duration_in_s, of_duration)


def units_of_progress(plan: Plan) -> int:
    """How often `measure` reports progress."""
    return sum(len(plan.workloads(duration_in_s)) for duration_in_s in plan.durations) + len(plan.groups) * plan.rounds


def _rows(plan: Plan, duration_in_s: float, workers: list[_Worker]) -> list[Row]:
    """End the workers of a duration, and say what they measured."""
    peaks = {worker.workload.variant: worker.finish() for worker in workers}
    medians = {worker.workload.variant: statistics.median(worker.seconds) for worker in workers}
    rows = []
    for name in plan.names:
        wanted = plan.workload(name, duration_in_s)
        worker = next(w for w in workers if w.workload == wanted or equivalent(w.workload, wanted))
        seconds = medians[worker.workload.variant]
        rows.append(
            Row(
                variant=name,
                duration_in_s=duration_in_s,
                seconds_per_call=seconds,
                spread=_interquartile_range(worker.seconds),
                ratio_to_peer=medians[PEER] / seconds if plan.peer else None,
                peak_bytes=peaks[worker.workload.variant],
                compile_in_s=worker.facts["compile_in_s"],
            )
        )
    return rows


def _interquartile_range(values: list[float]) -> float:
    if len(values) < 2:
        return 0.0
    first, _, third = statistics.quantiles(values, n=4, method="inclusive")
    return third - first
