"""``litefocus-jax generate --dry-run``: what a request would take."""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from litefocus_jax.cli.console import messages, output

if TYPE_CHECKING:
    from litefocus_jax.generation.request import Request
    from litefocus_jax.pipeline import AudioLDM2Pipeline


def print_estimate(pipe: "AudioLDM2Pipeline", requests: "Sequence[Request]") -> None:
    """Print the memory of the largest of some requests, and if it fits the time of all of them.

    Args:
        pipe: the pipeline, with its weights.
        requests: the batches of the command.

    Raises:
        InsufficientMemoryError: when the request cannot fit.
    """
    from litefocus_jax.generation.needs import gigabytes, require_memory

    request = max(requests, key=_size)
    messages.print("Compiling, then timing a call of the denoising loop and the decoding of a short clip")
    estimate = pipe.estimate(request)
    memory, times = estimate.memory, estimate.time
    stages = ", ".join(f"{name} {gigabytes(count)}" for name, count in memory.stages.items())
    limit = "of unknown" if memory.limit is None else f"of {gigabytes(memory.limit)}"
    output.print(f"Memory  {gigabytes(memory.needed)} {limit}: weights {gigabytes(memory.weights)}, and the largest of")
    output.print(f"        {stages}")
    output.print("        XLA's account of the compiled programs; interpreter and compiler come on top")
    if estimate.exchange is not None and estimate.exchange.total:
        operations = sum(estimate.exchange.operations.values())
        output.print(
            f"Links   {gigabytes(estimate.exchange.total)} reach each device in a step, in {operations} exchanges"
        )
    require_memory(memory, request, pipe.components)
    assert times is not None, "time is measured where memory suffices"

    batches = sum(map(_size, requests)) / _size(request)
    output.print(
        f"Time    {duration(batches * times.total_in_s)}: {times.num_steps} steps of {duration(times.step_in_s)}, "
        f"decoding {duration(times.decoding_in_s)}{f', {batches:.3g} times' if batches != 1 else ''}"
    )
    output.print(
        "        steps as measured just now on this request, decoding in proportion to "
        f"{times.measured_sound_in_s:g} s of sound, measured too; loading and compiling come on top"
    )


def _size(request: "Request") -> int:
    """Frames of all its sounds."""
    return request.batch_size * request.sides * request.plan.frames


def duration(seconds: float) -> str:
    """Seconds in a unit that is easily read.

    >>> duration(0.0512), duration(75), duration(5400), duration(90000)
    ('0.0512 s', '75 s', '90 min', '25 h')
    """
    if seconds < 120:
        return f"{seconds:.3g} s"
    return f"{seconds / 60:.3g} min" if seconds < 7200 else f"{seconds / 3600:.3g} h"
