"""How long a new process takes to its first step: ``python -m litefocus_jax.benchmark.start MODEL SECONDS NOW HEADS``.

Without HEADS they are those of the model.
"""

import dataclasses
import json
import logging
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

PHASES = ("imported", "loaded", "sampling starts", "first step done")


@dataclasses.dataclass(frozen=True)
class StartTimes:
    """Seconds from the start of a process to the end of each of its `PHASES`; medians over several processes."""

    duration_in_s: float
    seconds: dict[str, float]


def measure_start(
    model: str | Path,
    duration_in_s: float,
    rounds: int,
    on_progress: Callable[[str], None] = lambda description: None,
    *,
    heads: str | None = None,
) -> StartTimes:
    """Time new processes that load a model and take one denoising step.

    One process goes before those that count, and leaves its compiled programs in the cache.

    Args:
        model: folder or hub id.
        duration_in_s: seconds of sound.
        rounds: processes that count.
        on_progress: told what comes next, ``rounds + 1`` times.
        heads: of the UNet's attention, as the model is loaded with them.

    Raises:
        ChildProcessError: when a process fails; its error is on standard error.
    """
    rows: list[dict[str, float]] = []
    for number in range(rounds + 1):
        on_progress(f"{duration_in_s:g} s: start {number} of {rounds}")
        command = [sys.executable, "-m", __name__, str(model), str(duration_in_s), str(time.time())]
        command += [] if heads is None else [heads]
        result = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False)
        if result.returncode != 0:
            raise ChildProcessError(f"the start of {model} failed with exit code {result.returncode}; see above")
        rows.append(json.loads(result.stdout.splitlines()[-1]))
    return StartTimes(duration_in_s, {phase: statistics.median(row[phase] for row in rows[1:]) for phase in PHASES})


class _Clock(logging.Handler):
    """Notes when the library logs that a phase is over."""

    def __init__(self, begun: float) -> None:
        super().__init__(logging.DEBUG)
        self._begun = begun
        self.seconds: dict[str, float] = {}

    def note(self, phase: str) -> None:
        self.seconds[phase] = time.time() - self._begun

    def emit(self, record: logging.LogRecord) -> None:
        if record.getMessage() in PHASES:
            self.note(record.getMessage())


def main() -> None:
    """Load, take one step, and print the times as one line of JSON."""
    model, duration_in_s, begun, *heads = sys.argv[1:]
    clock = _Clock(float(begun))
    from litefocus_jax.pipeline import AudioLDM2Pipeline

    clock.note("imported")
    logger = logging.getLogger("litefocus_jax")
    logger.addHandler(clock)
    logger.setLevel(logging.DEBUG)
    loaded: Any = {"heads": heads[0]} if heads else {}
    pipe = AudioLDM2Pipeline.from_pretrained(model, **loaded)
    clock.note("loaded")
    pipe("rain on a tin roof", audio_length_in_s=float(duration_in_s), num_inference_steps=1, progress=False)
    print(json.dumps(clock.seconds))


if __name__ == "__main__":
    main()
