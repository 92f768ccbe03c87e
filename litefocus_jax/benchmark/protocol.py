"""How the benchmark talks to the processes it measures: one JSON object per line.

Every variant runs in a process of its own, so that its peak memory is its own too, and calls are made in turns, so that
whatever else slows the machine slows all variants alike.

A worker first says ``{"compile_in_s": ..., "device": ...}``, when it is warm. For every line it then reads it makes one
call and says ``{"seconds": ...}``. When its input ends it says ``{"peak_bytes": ...}`` and ends.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from typing import IO, Any


def claim_output() -> IO[str]:
    """Standard output for the protocol alone; whatever else is printed from now on goes to standard error."""
    output, sys.stdout = sys.stdout, sys.stderr
    return output


def serve(output: IO[str], call: Callable[[], Any], peak_bytes: Callable[[], int], **facts: Any) -> None:
    """Answer the benchmark until it ends.

    Args:
        output: from `claim_output`.
        call: the work to time; it returns when the work is done.
        peak_bytes: the most memory that was in use.
        facts: told before anything else.
    """

    def say(message: dict[str, Any]) -> None:
        print(json.dumps(message), file=output, flush=True)

    say(facts)
    for _ in sys.stdin:
        started = time.perf_counter()
        call()
        say({"seconds": time.perf_counter() - started})
    say({"peak_bytes": peak_bytes()})


def process_peak_bytes() -> int:
    """The most memory this process has held, weights, compiler and interpreter included."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
