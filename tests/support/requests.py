"""Requests as the pipeline makes them, for tests of what comes after."""

import dataclasses
from typing import Any

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.generation.request import Request, make_request

BRIEF: dict[str, Any] = {"audio_length_in_s": 0.4, "num_inference_steps": 4, "litefocus": None}


def request_for(pipe: AudioLDM2Pipeline, **changes: Any) -> Request:
    """A request to a pipeline: four steps of 0.4 s of rain with dense attention, or what the changes say."""
    return request_with(pipe, pipe.geometry.training_frames, **changes)


def request_with(pipe: AudioLDM2Pipeline, training_frames: int | None, **changes: Any) -> Request:
    """The same to a model that was trained on clips of another length."""
    geometry = dataclasses.replace(pipe.geometry, training_frames=training_frames)
    prompt = changes.pop("prompt", "rain")
    options: Any = BRIEF | changes
    return make_request(dataclasses.replace(pipe.facts, geometry=geometry), prompt, **options)
