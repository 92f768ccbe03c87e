"""How a request is run: what is watched, kept and given back. It says nothing of the sound, which the request does."""

from collections.abc import Sequence
from typing import Any, Literal, TypedDict

from litefocus_jax.generation.callbacks import CALLBACK_TENSORS, Callback, StepEndCallback
from litefocus_jax.generation.habits import unknown_names
from litefocus_jax.generation.resume import PartialRun

OutputType = Literal["audio", "np", "latent"]
"""Sound, as NumPy arrays; the same; or latents."""


class RunOptions(TypedDict, total=False):
    """What can be said of a run; `RUN_DEFAULTS` has what holds where nothing is said.

    Attributes:
        rank: order the waveforms of each prompt by how well they fit it, the best first; ``scores`` of the result says
            how well. CLAP listens, see ``pipe.clap``. None ranks several waveforms of ``sampling="authors"``, latents
            excepted, and no others.
        partial_run: keep the run on disk, and go on with one that was ended.
        check_memory: find out before sampling whether it can fit in memory.
        output_type: ``"audio"``, or diffusers' ``"np"`` for the same; ``"latent"`` returns the latents, for
            `decode_blocks` to make sound of; what is kept of a sound that was given is not in it, but for
            `litefocus_jax.generation.sounding.sound_of_request`.
        gather: on a mesh of several processes, whether each of them gets all sounds; or else its own share of them,
            which it decodes by itself, and whose numbers the result has.
        progress: draw progress bars, where there is a terminal or a notebook.
        callback: ``callback(step, steps, latents)`` is called after every ``callback_steps`` steps, with the number of
            steps that are done. Where its second parameter is called ``timestep`` or ``t``, it is called as by
            diffusers: ``callback(step, timestep, latents)``, with steps counted from 0.
        callback_steps: steps between two calls of ``callback``.
        callback_on_step_end: ``callback(pipe, step, timestep, callback_kwargs)`` is called after every step, as by
            diffusers, with steps counted from 0; ``callback_kwargs`` holds the latents, and where it returns a
            dictionary with others, these are gone on with.
        callback_on_step_end_tensor_inputs: what ``callback_kwargs`` holds; ``["latents"]`` is all there is.
    """

    rank: bool | None
    partial_run: PartialRun | None
    check_memory: bool
    output_type: OutputType
    gather: bool
    progress: bool
    callback: Callback | None
    callback_steps: int
    callback_on_step_end: StepEndCallback | None
    callback_on_step_end_tensor_inputs: Sequence[str]


RUN_DEFAULTS: RunOptions = {
    "rank": None,
    "partial_run": None,
    "check_memory": True,
    "output_type": "audio",
    "gather": True,
    "progress": True,
    "callback": None,
    "callback_steps": 1,
    "callback_on_step_end": None,
    "callback_on_step_end_tensor_inputs": CALLBACK_TENSORS,
}


def complete_run_options(given: RunOptions) -> dict[str, Any]:
    """The options of a run with the defaults of those that are not given.

    Raises:
        TypeError: for an unknown option.
        ValueError: when ``output_type`` is unknown.
    """
    if unknown := [name for name in given if name not in RUN_DEFAULTS]:
        raise TypeError(unknown_names(unknown, RUN_DEFAULTS, "option of a run"))
    options: dict[str, Any] = {**RUN_DEFAULTS, **given}
    if options["output_type"] not in ("audio", "np", "latent"):
        raise ValueError(
            f"output_type = {options['output_type']!r}; expected 'audio' (or 'np', NumPy arrays both) or 'latent'; "
            "torch.from_numpy(result.audios) makes tensors of them"
        )
    return options
