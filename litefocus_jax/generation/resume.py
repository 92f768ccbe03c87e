"""Generations that survive being ended: latents, the sampler's memory and the step in a file, for a later call."""

import dataclasses
import json
import logging
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh
from jaxtyping import Array, Float
from safetensors import SafetensorError, safe_open
from safetensors.numpy import save_file

import litefocus_jax
from litefocus_jax.checkpoint.fingerprint import digest, fingerprint
from litefocus_jax.diffusion.schedulers import SchedulerState, initial_state
from litefocus_jax.generation.request import Request
from litefocus_jax.generation.sampling import PartialRun, call_length
from litefocus_jax.models.components import Components
from litefocus_jax.system.files import written_beside
from litefocus_jax.system.platform import current_platform

logger = logging.getLogger(__name__)

FORMAT_VERSION = 1

_METADATA = "litefocus-jax run"  # the entry of a safetensors file's metadata in which all but the arrays is


class ResumeError(ValueError):
    """The file of an earlier run cannot be gone on with."""


@dataclasses.dataclass(frozen=True)
class RunCheckpoint:
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
    """One generation and its file.

    Args:
        checkpoint: where the file is.
        request: what is generated.
        components: the model it is generated with.
        latents: the noise it begins with.
        mesh: the devices it is spread over, if any.

    Attributes:
        partial: where an earlier run was left, or None.
        length: steps in each call of the sampling loop.

    Raises:
        FileExistsError: from `RunCheckpoint.check`.
        ResumeError: when the file is of another request, model or version, naming what differs, or is damaged.
    """

    def __init__(
        self,
        checkpoint: RunCheckpoint,
        request: Request,
        components: Components,
        latents: Float[Array, "sounds time frequency channels"],
        *,
        mesh: Mesh | None = None,
    ) -> None:
        checkpoint.check()
        self._checkpoint = checkpoint
        self._path = Path(checkpoint.path)
        self._num_steps = request.schedule.num_steps
        self._request = _request_facts(request, components.dtype, latents, mesh)
        self._model = fingerprint(components)
        self.partial: PartialRun | None = None
        if checkpoint.resume and self._path.exists():
            self.partial = self._read(initial_state(request.schedule, latents))
            logger.info("Resuming %s after %d steps", self._path, self.partial.steps_done)
        # The program that an earlier run was made with goes on with it, for the sake of equal rounding.
        length = call_length(request.schedule, checkpoint.every)
        self.length = length if self.partial is None else self.partial.steps_per_call

    def after_call(self, run: PartialRun) -> None:
        """Write the file if it is time; for `generate.sample`.

        A file that cannot be written is logged and otherwise ignored: the run is worth more than its copy.
        """
        every = self._checkpoint.every
        if every is None:
            return
        is_due = run.steps_done // every > (run.steps_done - run.steps_per_call) // every
        if not (is_due or run.steps_done == self._num_steps):
            return
        try:
            self._write(run)
        except (OSError, SafetensorError) as error:
            logger.warning("%s could not be written after step %d: %s", self._path, run.steps_done, error)

    def finish(self) -> None:
        """Remove the file, unless it is to be kept."""
        if not self._checkpoint.keep and self._path.exists():
            self._path.unlink()

    def _write(self, run: PartialRun) -> None:
        arrays = {name: np.asarray(array) for name, array in run.state._asdict().items() if array is not None}
        metadata = {
            "format_version": FORMAT_VERSION,
            "steps_done": run.steps_done,
            "steps_per_call": run.steps_per_call,
            "request": self._request,
            "model": self._model,
        }
        with written_beside(self._path) as partial:
            save_file(arrays, partial, {_METADATA: json.dumps(metadata)})

    def _read(self, like: SchedulerState) -> PartialRun:
        try:
            with safe_open(self._path, framework="numpy") as file:
                metadata = json.loads((file.metadata() or {}).get(_METADATA, "{}"))
                arrays = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError, ValueError) as error:
            raise ResumeError(f"{self._path} cannot be read: {error}; remove it to start anew") from error
        if metadata.get("format_version") != FORMAT_VERSION:
            raise ResumeError(
                f"{self._path} is no file of a run: format_version = {metadata.get('format_version')!r}, expected "
                f"{FORMAT_VERSION}; remove it to start anew"
            )
        self._check_same(metadata)
        expected = {name: array.shape for name, array in like._asdict().items() if array is not None}
        if {name: array.shape for name, array in arrays.items()} != expected:
            raise ResumeError(f"{self._path} does not hold the arrays {expected}; remove it to start anew")
        state = SchedulerState(**dict.fromkeys(like._fields) | jax.tree.map(jnp.asarray, arrays))
        return PartialRun(metadata["steps_done"], metadata["steps_per_call"], state)

    def _check_same(self, metadata: dict[str, Any]) -> None:
        stored_model = metadata.get("model", {})
        if differing := [name for name, value in self._model.items() if stored_model.get(name) != value]:
            raise ResumeError(
                f"{self._path} belongs to another model: {', '.join(differing)} differ in configuration or weights. "
                "Resume with the model that the run began with, or remove the file"
            )
        stored = metadata.get("request", {})
        changes = [
            f"{name} was {stored.get(name)!r} and is {value!r}"
            for name, value in self._request.items()
            if stored.get(name) != value
        ]
        if changes:
            raise ResumeError(
                f"{self._path} belongs to another request: {'; '.join(changes)}. Resume with the same one, or remove "
                "the file"
            )


def _request_facts(request: Request, dtype: str, latents: Array, mesh: Mesh | None) -> dict[str, Any]:
    """All that decides the bytes of a sound beside the model, as JSON returns it."""
    facts = {
        "prompt": request.prompts,
        "negative_prompt": request.negative_prompts,
        "audio_length_in_s": request.audio_length_in_s,
        "num_inference_steps": request.schedule.num_steps,
        "guidance_scale": request.guidance_scale,
        "num_waveforms_per_prompt": request.num_waveforms_per_prompt,
        "eta": request.eta,
        "seed": request.seed,
        "scheduler": request.schedule.kind,
        "litefocus": request.litefocus and dataclasses.asdict(request.litefocus),
        "windows": request.windows and dataclasses.asdict(request.windows),
        "dtype": dtype,
        "digest of the first latents": digest(np.asarray(latents).tobytes()),
        "mesh": None if mesh is None else dict(mesh.shape),
        "platform": current_platform().name,
        "jax": jax.__version__,
        "litefocus-jax": litefocus_jax.__version__,
    }
    return json.loads(json.dumps(facts))
