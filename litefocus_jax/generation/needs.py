"""What a request will take on this device: memory by XLA's account of its programs, time by doing a little of it."""

import dataclasses
import time
from collections.abc import Callable

from jax.stages import Compiled
from jaxtyping import Array

from litefocus_jax.checkpoint.weights import leaves
from litefocus_jax.decoding import whole
from litefocus_jax.decoding.plan import DecodingPlan
from litefocus_jax.decoding.programs import DecodingPrograms
from litefocus_jax.generation import sampling
from litefocus_jax.generation.request import Request
from litefocus_jax.generation.sampling import Arguments
from litefocus_jax.models.components import Components
from litefocus_jax.parallel.exchange import Exchange
from litefocus_jax.system.platform import current_platform, memory_limit
from litefocus_jax.system.waiting import wait_for

# A first call sets things up. Where it takes longer than this, that is a small part of it, and a second one is not
# worth the wait.
_LONG_CALL_IN_S = 20.0

DENOISING = "denoising"
"""The stage whose programs depend on all that a request says of attention and windows."""


class InsufficientMemoryError(ValueError):
    """A request needs more memory than its device has."""


@dataclasses.dataclass(frozen=True)
class MemoryEstimate:
    """What a request needs.

    Attributes:
        weights: bytes of all sub-models.
        stages: bytes beside the weights of each stage that was looked at, by name; they run one after another.
        limit: bytes that weights and arrays can take on the device, or None where that is not known.
    """

    weights: int
    stages: dict[str, int]
    limit: int | None

    @property
    def largest_stage(self) -> str:
        """The stage that decides."""
        return max(self.stages, key=lambda name: self.stages[name])

    @property
    def suffices(self) -> bool:
        """Whether it fits, as far as that is known."""
        return self.limit is None or self.needed <= self.limit

    @property
    def needed(self) -> int:
        """Bytes that weights and arrays take in the largest stage."""
        return self.weights + self.stages[self.largest_stage]


@dataclasses.dataclass(frozen=True)
class TimeEstimate:
    """What a request will take beside loading, compiling and encoding the prompts.

    Attributes:
        step_in_s: seconds of a denoising step, measured on the request itself.
        num_steps: denoising steps.
        measured_decoding_in_s: seconds in which sound of ``measured_sound_in_s`` was decoded; in tiles, once for every
            time that the VAE decodes it.
        measured_sound_in_s: seconds of sound; those of the request, or of a training clip if that is shorter.
        sound_in_s: seconds of sound in the whole request.
    """

    step_in_s: float
    num_steps: int
    measured_decoding_in_s: float
    measured_sound_in_s: float
    sound_in_s: float

    @property
    def denoising_in_s(self) -> float:
        """Seconds of all denoising steps."""
        return self.step_in_s * self.num_steps

    @property
    def decoding_in_s(self) -> float:
        """Seconds of decoding, in proportion to the sound's length."""
        return self.measured_decoding_in_s * self.sound_in_s / self.measured_sound_in_s

    @property
    def total_in_s(self) -> float:
        """Seconds of both."""
        return self.denoising_in_s + self.decoding_in_s


@dataclasses.dataclass(frozen=True)
class Estimate:
    """What a request will take.

    Attributes:
        memory: by XLA's account.
        time: measured; None where the memory does not suffice to measure.
        exchange: what each device of a mesh receives from others in a step, by XLA's program; None without a mesh.
    """

    memory: MemoryEstimate
    time: TimeEstimate | None
    exchange: Exchange | None = None


def estimate_memory(components: Components, denoise: Compiled, decoders: DecodingPrograms | None) -> MemoryEstimate:
    """Add up what XLA says its programs take; on a mesh, on each device.

    The interpreter, the compiler and copies on the host are not in it.

    Args:
        components: the model.
        denoise: the compiled loop, from `compile_ahead`.
        decoders: from `lower_programs`, compiled unless they have been; None leaves VAE and vocoder out.
    """
    weights = {name: sum(leaf.nbytes for leaf in leaves(part).values()) for name, part in components.modules.items()}
    stages = {DENOISING: _bytes_beside(denoise, weights["unet"])}
    if decoders is not None:
        for stage, name, lowered in zip(("VAE", "vocoder"), ("vae", "vocoder"), decoders, strict=True):
            stages[stage] = max(_bytes_beside(program.compile(), weights[name]) for program in lowered)
    return MemoryEstimate(sum(weights.values()), stages, memory_limit())


def require_memory(estimate: MemoryEstimate, request: Request, components: Components) -> None:
    """Check that a request can run.

    Args:
        estimate: of the request.
        request: what is asked for.
        components: the model.

    Raises:
        InsufficientMemoryError: saying what it needs, what there is and what to change, when it cannot fit.
    """
    if estimate.suffices:
        return
    assert estimate.limit is not None, "an unknown limit suffices"
    stage = estimate.largest_stage
    raise InsufficientMemoryError(
        f"this request needs {gigabytes(estimate.needed)} of memory, {gigabytes(estimate.weights)} for the weights and "
        f"{gigabytes(estimate.stages[stage])} for {stage}, and {gigabytes(estimate.limit)} can be had on this "
        f"{current_platform().name}; {' or '.join(_remedies(request, stage, components))}"
    )


def estimate_time(
    arguments: Arguments, request: Request, components: Components, decoding: DecodingPlan
) -> TimeEstimate:
    """Run one call of the request's own denoising loop (one step on CPUs, up to ten on accelerators), and time it.

    The decoder is timed on sound no longer than the clips the model was trained on.

    Args:
        arguments: of the denoising, before its first step.
        request: what is asked for; its program is compiled already.
        components: the model.
        decoding: how one sound of it is decoded.
    """
    plan, geometry, vae = request.plan, components.facts.geometry, components.vae
    once = dataclasses.replace(request.schedule, steps=request.schedule.rows(0, plan.steps_per_call))
    latents = arguments.state.latents
    clip = vae.unscaled(latents[:1, : min(plan.frames, geometry.training_frames or plan.frames)])
    passes = 1 if decoding.is_whole else 1 + decoding.passes

    def decode() -> Array:
        return whole.decode_latents(vae, clip)

    mel = decode()
    wait_for(whole.vocode(components.vocoder, mel))
    denoising_in_s = _seconds(lambda: sampling.sample(arguments, once, request.guidance_scale, plan))
    return TimeEstimate(
        step_in_s=denoising_in_s / plan.steps_per_call,
        num_steps=request.schedule.num_steps,
        measured_decoding_in_s=passes * _seconds(decode) + _seconds(lambda: whole.vocode(components.vocoder, mel)),
        measured_sound_in_s=clip.shape[1] * geometry.frame_in_s,
        sound_in_s=request.batch_size * request.sides * plan.frames * geometry.frame_in_s,
    )


def _seconds(call: Callable[[], Array]) -> float:
    """Seconds of a second call; or of the first, where that is long."""
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        wait_for(call())
        seconds = time.perf_counter() - started
        if seconds > _LONG_CALL_IN_S:
            break
    return seconds


def gigabytes(count: int) -> str:
    """Bytes to three digits, in units of 10^9."""
    return f"{count / 1e9:.3g} GB"


def _remedies(request: Request, stage: str, components: Components) -> list[str]:
    """What to change, with the names of the arguments in Python and of the options on the command line."""
    plan, training_frames = request.plan, components.facts.geometry.training_frames
    remedies = ["ask for shorter sound (audio_length_in_s, --duration)"]
    if stage == DENOISING:
        if plan.windows is None and plan.frames > (training_frames or plan.frames):
            remedies.append("denoise in windows (windowed, --windows)")
        if plan.windows is not None and plan.windows.call_size > 1:
            remedies.append("denoise fewer windows at a time (WindowedDenoising.windows_per_call)")
        if plan.attention.sets is None and plan.attention.merging is None:
            remedies.append("use sparse attention (litefocus, --litefocus on)")
        if request.batch_size > 1:
            remedies.append("make fewer sounds at a time (num_waveforms_per_prompt and prompts, --batch-size)")
    if components.dtype == "float32":
        remedies.append("load the model in bfloat16 (dtype, --dtype)")
    return remedies


def _bytes_beside(program: Compiled, weights: int) -> int:
    """Bytes of a program's arguments, results and temporary arrays, the weights among its arguments left out."""
    account = program.memory_analysis()
    if account is None:  # where a back end keeps none
        return 0
    arguments = max(0, account.argument_size_in_bytes - weights)
    return arguments + account.output_size_in_bytes + account.temp_size_in_bytes - account.alias_size_in_bytes
