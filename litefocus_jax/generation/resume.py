"""Generations that survive being ended: latents, the sampler's memory and the step in a file, for a later call."""

import dataclasses
import json
import logging
import math
from pathlib import Path
from typing import Annotated, Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float
from safetensors import SafetensorError, safe_open

import litefocus_jax
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.fingerprint import fingerprint
from litefocus_jax.checkpoint.safetensors_files import require_file, write_packed_file
from litefocus_jax.diffusion.schedulers import SchedulerState, initial_state
from litefocus_jax.generation.plan import steps_per_call
from litefocus_jax.generation.request import Request
from litefocus_jax.generation.sampling import Progress
from litefocus_jax.models.components import Components
from litefocus_jax.parallel.processes import spans_processes
from litefocus_jax.system.files import written_beside
from litefocus_jax.system.messages import plain, shown
from litefocus_jax.system.platform import current_platform
from litefocus_jax.system.same_run import differences, differing_parts, digest
from litefocus_jax.system.typed_json import Range, parse_object, read_as

logger = logging.getLogger(__name__)

FORMAT_VERSION = 2

_METADATA = "litefocus-jax run"  # the entry of a safetensors file's metadata in which all but the arrays is
_DIGEST = "digest"  # the entry with the digest of the other and of all arrays


class ResumeError(ValueError):
    """The file of an earlier run cannot be gone on with."""

    def __init__(self, message: str) -> None:
        super().__init__(plain(message))


@dataclasses.dataclass(frozen=True)
class PartialRun:
    """Where a generation is kept while it runs, so that it can be gone on with after the process ended.

    Attributes:
        path: of a safetensors file, usually beside the sound and named after it.
        every: write it after this many denoising steps, again and again, and after the last one; None never writes.
        resume: go on from the file, if there is one, to the same bytes that an uninterrupted run returns.
        keep: leave the file when the sound is made, to a caller who will remove it once the sound is saved.

    Raises:
        TypeError: when ``every`` is no whole number.
        ValueError: when ``every`` is less than 1.
    """

    path: str | Path
    every: int | None = None
    resume: bool = False
    keep: bool = False

    def __post_init__(self) -> None:
        if self.every is None:
            return
        if isinstance(self.every, bool) or not isinstance(self.every, int):
            raise TypeError(f"every = {self.every!r}; expected a whole number of steps")
        if self.every < 1:
            raise ValueError(f"every = {self.every}; expected at least 1 step")

    def check(self) -> None:
        """Refuse to start anew where an earlier run was left, for that would overwrite it.

        Raises:
            FileExistsError: when the file exists and is not to be resumed.
        """
        if Path(self.path).exists() and not self.resume:
            raise FileExistsError(
                f"{self.path} was left by an earlier run; go on with it (resume, --resume), or remove it"
            )


class ResumableRun:
    """One generation and its file; of several processes the first one writes it, and all read it.

    Args:
        file: where it is.
        request: what is generated.
        components: the model it is generated with.
        latents: the noise it begins with.

    Attributes:
        earlier: how far an earlier run came, or None.
        plan: how the request is denoised: in calls that end where the file is to be written.

    Raises:
        FileExistsError: from `PartialRun.check`.
        ResumeError: when the file is of another request, model or version, naming what differs, or is damaged.
    """

    def __init__(
        self,
        file: PartialRun,
        request: Request,
        components: Components,
        latents: Float[Array, "sounds time frequency channels"],
    ) -> None:
        file.check()
        self._file = file
        self._path = Path(file.path)
        self._num_steps = request.schedule.num_steps
        self._is_writer = not spans_processes(request.plan.mesh) or jax.process_index() == 0
        self._request = facts_of_run(request, components.dtype, latents)
        self._model = fingerprint(components)
        self.earlier: Progress | None = None
        steps = request.plan.steps_per_call
        if file.every is not None:
            steps = steps_per_call(math.gcd(self._num_steps, file.every), longest=steps)
        if file.resume and self._path.exists():
            self.earlier = self._read(initial_state(request.schedule, latents))
            logger.info("Resuming %s after %d steps", self._path, self.earlier.steps_done)
            # The program that an earlier run was made with goes on with it, for the sake of equal rounding.
            steps = self.earlier.steps_per_call
        self.plan = dataclasses.replace(request.plan, steps_per_call=steps)

    def after_call(self, run: Progress) -> None:
        """Write the file if it is time; for `sample`.

        A file that cannot be written is logged and otherwise ignored: the run is worth more than its copy.
        """
        every = self._file.every
        if every is None or not self._is_writer:
            return
        is_due = run.steps_done // every > (run.steps_done - run.steps_per_call) // every
        if not (is_due or run.steps_done == self._num_steps):
            return
        try:
            self._write(run)
        except OSError as error:
            logger.warning("%s could not be written after step %d: %s", self._path, run.steps_done, error)

    def finish(self) -> None:
        """Remove the file, unless it is to be kept."""
        if self._is_writer and not self._file.keep and self._path.exists():
            self._path.unlink()

    def _write(self, run: Progress) -> None:
        arrays = {name: np.asarray(array) for name, array in run.state._asdict().items() if array is not None}
        metadata = {
            "format_version": FORMAT_VERSION,
            "steps_done": run.steps_done,
            "steps_per_call": run.steps_per_call,
            "request": self._request,
            "model": self._model,
        }
        text = json.dumps(metadata)
        with written_beside(self._path) as partial:
            write_packed_file(partial, arrays, {_METADATA: text, _DIGEST: _digest(text, arrays)})

    def _read(self, like: SchedulerState) -> Progress:
        expected = {name: array for name, array in like._asdict().items() if array is not None}
        text, stored, arrays = self._read_checked(expected)
        try:
            metadata = parse_object(text, f"{self._path}: {_METADATA}")
        except ValueError as error:
            raise self._unreadable(str(error)) from error
        version = metadata.get("format_version")
        if type(version) is not int or version != FORMAT_VERSION:
            raise ResumeError(
                f"{self._path} is no file of a run: format_version = {shown(version)}, expected "
                f"{FORMAT_VERSION}; remove it to start anew"
            )
        if stored != _digest(text, arrays):
            raise self._unreadable("it is damaged, since it has another digest than when it was written")
        for name in ("model", "request"):
            if not isinstance(metadata.get(name), dict):
                raise self._unreadable(f"{name} = {shown(metadata.get(name))}; expected an object")
        self._check_same(metadata)
        steps = Annotated[int, Range(1, self._num_steps)]
        try:
            steps_done, steps_per_call = (
                read_as(steps, metadata.get(name), name) for name in ("steps_done", "steps_per_call")
            )
        except ValueError as error:
            raise self._unreadable(str(error)) from error
        if steps_done % steps_per_call and steps_done != self._num_steps:
            raise self._unreadable(f"steps_done = {steps_done}; expected a multiple of {steps_per_call}")
        state = SchedulerState(**dict.fromkeys(like._fields) | jax.tree.map(jnp.asarray, arrays))
        return Progress(steps_done, steps_per_call, state)

    def _read_checked(self, expected: dict[str, Any]) -> tuple[str, str | None, dict[str, np.ndarray]]:
        """Metadata, digest and arrays; names, shapes and types are compared before anything is read."""
        try:
            require_file(self._path)
            with safe_open(self._path, framework="numpy") as file:
                metadata = file.metadata() or {}
                found = {name: file.get_slice(name) for name in file.keys()}  # noqa: SIM118
                described = {name: (tuple(array.get_shape()), array.get_dtype()) for name, array in found.items()}
                wanted = {name: (tuple(array.shape), "F32") for name, array in expected.items()}
                if _METADATA in metadata and described != wanted:
                    raise ResumeError(f"{self._path} does not hold the arrays {wanted}; remove it to start anew")
                arrays = {name: file.get_tensor(name) for name in wanted} if described == wanted else {}
        except (SafetensorError, OSError, CheckpointError) as error:
            raise self._unreadable(str(error)) from error
        return metadata.get(_METADATA, "{}"), metadata.get(_DIGEST), arrays

    def _unreadable(self, reason: str) -> ResumeError:
        return ResumeError(f"{self._path} cannot be read: {reason}; remove it to start anew")

    def _check_same(self, metadata: dict[str, Any]) -> None:
        if differing := differing_parts(metadata["model"], self._model):
            raise ResumeError(
                f"{self._path} belongs to another model: {', '.join(differing)} differ in configuration or weights. "
                "Resume with the model that the run began with, or remove the file"
            )
        if changes := differences(metadata["request"], self._request):
            raise ResumeError(
                f"{self._path} belongs to another request: {'; '.join(changes)}. Resume with the same one, or remove "
                "the file"
            )


def _digest(metadata: str, arrays: dict[str, np.ndarray]) -> str:
    """A digest of all that a file holds."""
    return digest(
        metadata.encode(), *(piece for name in sorted(arrays) for piece in (name.encode(), arrays[name].tobytes()))
    )


def facts_of_run(request: Request, dtype: str, latents: Array) -> dict[str, Any]:
    """All that decides the bytes of a sound beside the model, as JSON can hold it."""
    return {
        **request.facts(),
        "dtype": dtype,
        "digest of the first latents": digest(np.asarray(latents).tobytes()),
        "platform": current_platform().name,
        "jax": jax.__version__,
        "litefocus-jax": litefocus_jax.__version__,
    }
