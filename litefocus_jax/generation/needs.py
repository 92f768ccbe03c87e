"""The memory that a request needs, by XLA's own account of its compiled programs, against what there is."""

import dataclasses

from jax.stages import Compiled

from litefocus_jax.checkpoint.weights import leaves
from litefocus_jax.decoding.plan import DecodingPlan
from litefocus_jax.decoding.programs import lower_programs
from litefocus_jax.generation.request import Request
from litefocus_jax.models.components import Components, LatentGeometry
from litefocus_jax.system.platform import current_platform, memory_limit

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
    def needed(self) -> int:
        """Bytes that weights and arrays take in the largest stage."""
        return self.weights + self.stages[self.largest_stage]


def estimate_memory(
    components: Components, denoise: Compiled, plan: DecodingPlan | None, frequencies: int
) -> MemoryEstimate:
    """Add up what XLA says its programs take.

    The interpreter, the compiler and copies on the host are not in it.

    Args:
        components: the model.
        denoise: the compiled loop, from `generate.compile_ahead`.
        plan: of the decoding, whose programs are compiled unless they have been; None leaves VAE and vocoder out.
        frequencies: of the latents.
    """
    weights = {name: sum(leaf.nbytes for leaf in leaves(part).values()) for name, part in components.modules.items()}
    stages = {DENOISING: _bytes_beside(denoise, weights["unet"])}
    if plan is not None:
        programs = lower_programs(components.vae, components.vocoder, plan, frequencies)
        for stage, name, lowered in zip(("VAE", "vocoder"), ("vae", "vocoder"), programs, strict=True):
            stages[stage] = max(_bytes_beside(program.compile(), weights[name]) for program in lowered)
    return MemoryEstimate(sum(weights.values()), stages, memory_limit())


def require_memory(estimate: MemoryEstimate, request: Request, dtype: str, geometry: LatentGeometry) -> None:
    """Check that a request can run.

    Args:
        estimate: of the request.
        request: what is asked for.
        dtype: floating-point type of the weights.
        geometry: of the latents.

    Raises:
        InsufficientMemoryError: saying what it needs, what there is and what to change, when it cannot fit.
    """
    if estimate.limit is None or estimate.needed <= estimate.limit:
        return
    stage = estimate.largest_stage
    raise InsufficientMemoryError(
        f"this request needs {gigabytes(estimate.needed)} of memory, {gigabytes(estimate.weights)} for the weights and "
        f"{gigabytes(estimate.stages[stage])} for {stage}, and {gigabytes(estimate.limit)} can be had on this "
        f"{current_platform().name}; {' or '.join(_remedies(request, stage, dtype, geometry))}"
    )


def gigabytes(count: int) -> str:
    """Bytes to three digits, in units of 10^9."""
    return f"{count / 1e9:.3g} GB"


def _remedies(request: Request, stage: str, dtype: str, geometry: LatentGeometry) -> list[str]:
    """What to change, with the names of the arguments in Python and of the options on the command line."""
    remedies = ["ask for shorter sound (audio_length_in_s, --duration)"]
    if stage == DENOISING:
        frames = geometry.latent_frames(request.audio_length_in_s)
        if request.windows is None and frames > (geometry.training_frames or frames):
            remedies.append("denoise in windows (windowed, --windowed)")
        if request.windows is not None and request.windows.call_size > 1:
            remedies.append("denoise fewer windows at a time (WindowedDenoising.windows_per_call)")
        if request.litefocus is None:
            remedies.append("use sparse attention (litefocus, --litefocus on)")
        if request.batch_size > 1:
            remedies.append("make fewer sounds at a time (num_waveforms_per_prompt and prompts, --batch-size)")
    if dtype == "float32":
        remedies.append("load the model in bfloat16 (dtype, --dtype)")
    return remedies


def _bytes_beside(program: Compiled, weights: int) -> int:
    """Bytes of a program's arguments, results and temporary arrays, the weights among its arguments left out."""
    account = program.memory_analysis()
    if account is None:  # where a back end keeps none
        return 0
    arguments = max(0, account.argument_size_in_bytes - weights)
    return arguments + account.output_size_in_bytes + account.temp_size_in_bytes - account.alias_size_in_bytes
