"""Requests as the pipeline makes them, for tests of what comes after."""

from typing import Any

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.generation.request import Request, make_request
from litefocus_jax.models.components import LatentGeometry

_DEFAULTS: dict[str, Any] = {
    "prompt": "rain",
    "negative_prompt": None,
    "audio_length_in_s": 0.4,
    "num_inference_steps": 4,
    "guidance_scale": 3.5,
    "num_waveforms_per_prompt": 1,
    "eta": 0.0,
    "seed": 0,
    "scheduler": None,
    "litefocus": None,
}


def request_for(pipe: AudioLDM2Pipeline, **changes: Any) -> Request:
    """A request to a pipeline: four steps of 0.4 s of rain with dense attention, or what the changes say."""
    return request_with(pipe.geometry, pipe.components.scheduler, **changes)


def request_with(geometry: LatentGeometry, model_scheduler: SchedulerConfig, /, **changes: Any) -> Request:
    """The same to a model of which no more is known."""
    return make_request(geometry, model_scheduler, **(_DEFAULTS | changes))
