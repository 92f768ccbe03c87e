"""What a request will take on this device, before it runs: memory by XLA's account, time by doing a little of it."""

import dataclasses
import time
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp

from litefocus_jax.decoding import whole
from litefocus_jax.generation import needs as memory_needs
from litefocus_jax.generation import sampling
from litefocus_jax.generation.needs import MemoryEstimate
from litefocus_jax.generation.request import Request
from litefocus_jax.models.components import Components
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system import waiting

# A first call sets things up. Where it takes longer than this, the setting up is a small part of it, and a second call
# is not worth the wait.
_LONG_CALL_IN_S = 20.0


@dataclasses.dataclass(frozen=True)
class TimeEstimate:
    """What a request will take beside loading, compiling and encoding the prompts.

    Attributes:
        step_s: seconds of a denoising step, measured on the request itself.
        num_steps: denoising steps.
        measured_decoding_s: seconds in which sound of ``measured_sound_s`` was decoded; in tiles, once for every time
            that the VAE decodes it.
        measured_sound_s: seconds of sound; those of the request, or of a training clip if that is shorter.
        sound_s: seconds of sound in the whole request.
    """

    step_s: float
    num_steps: int
    measured_decoding_s: float
    measured_sound_s: float
    sound_s: float

    @property
    def denoising_s(self) -> float:
        """Seconds of all denoising steps."""
        return self.step_s * self.num_steps

    @property
    def decoding_s(self) -> float:
        """Seconds of decoding, in proportion to the sound's length."""
        return self.measured_decoding_s * self.sound_s / self.measured_sound_s

    @property
    def total_s(self) -> float:
        """Seconds of both."""
        return self.denoising_s + self.decoding_s


def estimate_memory(pipe: AudioLDM2Pipeline, request: Request) -> MemoryEstimate:
    """Compile the programs of a request and read off what they take; nothing is run.

    Args:
        pipe: the pipeline.
        request: from `litefocus_jax.generation.request.make_request`.

    Raises:
        TypeError: as in `AudioLDM2Pipeline.inputs`.
        ValueError: as in `AudioLDM2Pipeline.inputs`.
    """
    geometry = pipe.geometry
    compiled = pipe.compile_ahead(request, pipe.inputs(request)).result()
    plan = pipe.plan_decoding(geometry.latent_frames(request.audio_length_in_s))
    return memory_needs.estimate_memory(pipe.components, compiled, plan, geometry.frequencies)


def estimate_time(pipe: AudioLDM2Pipeline, request: Request) -> TimeEstimate:
    """Run one call of the request's own denoising loop (one step on CPUs, up to ten on accelerators), and time it.

    The decoder is timed on sound no longer than the clips the model was trained on.

    Args:
        pipe: the pipeline.
        request: from `litefocus_jax.generation.request.make_request`.
    """
    models, geometry = pipe.components, pipe.geometry
    keys, latents, tokens = inputs = pipe.inputs(request)
    compiled = pipe.compile_ahead(request, inputs)
    context = sampling.project_context(models.unet, sampling.encode(*tokens), request.num_waveforms_per_prompt)
    length = sampling.call_length(request.schedule)
    schedule = dataclasses.replace(request.schedule, steps=request.schedule.rows(0, length))

    def denoise() -> Any:
        return sampling.sample(
            models.unet,
            context,
            schedule,
            latents,
            request.guidance_scale,
            keys,
            guided=request.guided,
            litefocus=request.litefocus,
            windows=request.windows,
            length=length,
        )

    compiled.result()  # not part of what is timed
    frames = min(latents.shape[1], geometry.training_frames or latents.shape[1])
    clip = latents[:1, :frames]
    plan = pipe.plan_decoding(latents.shape[1])
    passes = 1 if plan.is_whole else 1 + plan.passes
    mel = _decode_latents(models, clip)
    waiting.wait_for(mel)
    waiting.wait_for(whole.vocode(models.vocoder, mel))
    return TimeEstimate(
        step_s=_seconds(denoise) / length,
        num_steps=request.schedule.num_steps,
        measured_decoding_s=passes * _seconds(lambda: _decode_latents(models, clip))
        + _seconds(lambda: whole.vocode(models.vocoder, mel)),
        measured_sound_s=frames * geometry.shortest_in_s,
        sound_s=request.batch_size * latents.shape[1] * geometry.shortest_in_s,
    )


def _decode_latents(models: Components, latents: jax.Array) -> jax.Array:
    return whole.decode_latents(models.vae, latents, jnp.float32(models.vae.config.scaling_factor))


def _seconds(call: Callable[[], jax.Array]) -> float:
    """Seconds of a second call; or of the first, where that is long."""
    seconds = 0.0
    for _ in range(2):
        started = time.perf_counter()
        waiting.wait_for(call())
        seconds = time.perf_counter() - started
        if seconds > _LONG_CALL_IN_S:
            break
    return seconds
