"""Functions of the user's own that denoising calls between its steps, and that may end it or change the latents."""

import inspect
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from litefocus_jax.diffusion.schedulers import Schedule
from litefocus_jax.generation.sampling import AfterStep, Progress

Latents = Float[Array, "sounds time frequency channels"]

Callback = Callable[[int, int, Latents], Any]
"""``callback(step, steps, latents)``: called after step ``step`` of ``steps``, counted from 1, with its latents."""

StepEndCallback = Callable[[Any, int, int, dict[str, Any]], dict[str, Any] | None]
"""``callback(pipe, step, timestep, callback_kwargs)``, as in diffusers: ``step`` is counted from 0, and what it returns
may hold other ``"latents"`` to go on with."""

CALLBACK_TENSORS = ("latents",)
"""What ``callback_kwargs`` can hold."""

_TIMESTEP_NAMES = frozenset({"timestep", "t"})


class StopGeneration(Exception):  # noqa: N818
    """Raised by a callback, ends denoising after the step at hand; the call returns the sound as far as it is denoised.

    It never leaves the call.
    """


class StepCallbacks(NamedTuple):
    """The callbacks of one call; `step_callbacks` checks them.

    Attributes:
        callback: see `Callback`.
        every: steps between two calls of it.
        on_step_end: see `StepEndCallback`, its pipeline filled in.
        takes_timestep: whether ``callback`` is written for diffusers.
        is_interrupted: asked after every step whether to end.
    """

    callback: Callback | None
    every: int
    on_step_end: Callable[[int, int, dict[str, Any]], dict[str, Any] | None] | None
    takes_timestep: bool
    is_interrupted: Callable[[], bool]

    @property
    def block(self) -> int:
        """After how many steps the loop has to stand still, again and again; 0 where it never has to."""
        if self.on_step_end is not None or (self.callback is not None and self.takes_timestep):
            return 1
        return 0 if self.callback is None else self.every

    def after_step(self, schedule: Schedule, progress: Progress) -> AfterStep:
        """Tell the callbacks of a step that is done.

        Args:
            schedule: of the whole.
            progress: how far denoising has come.

        Raises:
            TypeError: when ``callback_on_step_end`` returns what is no dictionary.
            ValueError: when it returns latents of another shape.
        """
        done, latents = progress.steps_done, progress.state.latents
        timestep = int(schedule.steps.timestep[done - 1])
        given = latents
        goes_on = True
        try:
            if self.on_step_end is not None:
                latents = _returned_latents(self.on_step_end(done - 1, timestep, {"latents": latents}), latents)
            if self.callback is not None and self._is_due(done):
                first = (done - 1, timestep) if self.takes_timestep else (done, schedule.num_steps)
                goes_on = not _is_false(self.callback(*first, latents))
        except StopGeneration:
            goes_on = False
        return AfterStep(None if latents is given else latents, goes_on and not self.is_interrupted())

    def _is_due(self, done: int) -> bool:
        # diffusers counts from the first step, which is number 0, and so begins with it.
        return (done - 1 if self.takes_timestep else done) % self.every == 0


def step_callbacks(
    callback: Callback | None,
    callback_steps: int | None,
    on_step_end: Callable[[int, int, dict[str, Any]], dict[str, Any] | None] | None,
    tensor_inputs: Sequence[str] | None,
    is_interrupted: Callable[[], bool],
) -> StepCallbacks:
    """Check the callbacks of a call.

    Args:
        callback: see `Callback`. One whose second parameter is called ``timestep`` or ``t`` was written for diffusers,
            and is called as there: ``callback(step, timestep, latents)``, with steps counted from 0.
        callback_steps: steps between two calls of it; None is every step.
        on_step_end: see `StepEndCallback`, its pipeline filled in.
        tensor_inputs: what it is to be given; there is ``"latents"`` alone.
        is_interrupted: asked after every step whether to end.

    Raises:
        TypeError: when a callback cannot be called, or the number of steps is no whole number.
        ValueError: when that is less than 1, or something else than latents is to be given.
    """
    for name, function in (("callback", callback), ("callback_on_step_end", on_step_end)):
        if function is not None and not callable(function):
            raise TypeError(f"{name} is a {type(function).__name__}; expected a function")
    every = 1 if callback_steps is None else callback_steps
    if isinstance(every, bool) or not isinstance(every, int | np.integer):
        raise TypeError(f"callback_steps = {every!r}; expected a whole number of steps")
    if every < 1:
        raise ValueError(f"callback_steps = {every}; expected at least 1")
    if isinstance(tensor_inputs, str) or any(name not in CALLBACK_TENSORS for name in tensor_inputs or ()):
        raise ValueError(f"callback_on_step_end_tensor_inputs = {tensor_inputs!r}; expected {list(CALLBACK_TENSORS)}")
    return StepCallbacks(callback, int(every), on_step_end, _takes_timestep(callback), is_interrupted)


def _takes_timestep(callback: Callback | None) -> bool:
    if callback is None:
        return False
    try:
        names = list(inspect.signature(callback).parameters)
    except (TypeError, ValueError):  # a function that is not written in Python
        return False
    return len(names) > 1 and names[1] in _TIMESTEP_NAMES


def _returned_latents(returned: Any, latents: Latents) -> Latents:
    if returned is None:
        return latents
    if not isinstance(returned, dict):
        raise TypeError(f"callback_on_step_end returned a {type(returned).__name__}; expected its callback_kwargs")
    changed = returned.get("latents", latents)
    if changed is latents:
        return latents
    changed = jnp.asarray(changed, jnp.float32)
    if changed.shape != latents.shape:
        raise ValueError(f"callback_on_step_end returned latents of shape {changed.shape}; expected {latents.shape}")
    return changed


def _is_false(value: Any) -> bool:
    """Whether it is False itself: a callback that returns nothing goes on."""
    return isinstance(value, bool | np.bool_) and not value
