"""A studio whose pipeline checks requests as the real one does, and makes a tone of each after some steps."""

import time
from typing import Any

import numpy as np

from litefocus_jax.generation.callbacks import StopGeneration
from litefocus_jax.generation.needs import Estimate, InsufficientMemoryError, MemoryEstimate, TimeEstimate
from litefocus_jax.generation.output import AudioPipelineOutput
from litefocus_jax.generation.request import Request
from litefocus_jax.web.studio import Studio
from tests.support.models import small_pipeline


class TonePipeline:
    """Stands in for a pipeline.

    Attributes:
        step_in_s: how long each step takes.
        running: requests that are being made; never more than one.
    """

    def __init__(self, step_in_s: float = 0.0) -> None:
        self.real: Any = small_pipeline()
        self.components, self.geometry, self.dtype = self.real.components, self.real.geometry, "float32"
        self.step_in_s = step_in_s
        self.running: list[str] = []
        self.made: list[str] = []

    def request(self, *arguments: Any, **options: Any) -> Request:
        return self.real.request(*arguments, **options)

    def estimate(self, request: Request) -> Estimate:
        if request.audio_length_in_s > 100:
            return Estimate(MemoryEstimate(10**9, {"denoising": 10**12}, 10**10), None)
        return Estimate(MemoryEstimate(10**9, {"denoising": 10**9}, 10**10), TimeEstimate(0.1, 20, 1.0, 1.0, 2.0))

    def run(self, request: Request, *, callback: Any, output_type: str, progress: bool) -> AudioPipelineOutput:
        prompt = request.prompts[0]
        if request.audio_length_in_s > 100:
            raise InsufficientMemoryError("this request needs 1e+03 GB of memory")
        assert not self.running, "two requests at a time"
        self.running.append(prompt)
        try:
            for step in range(1, 21):
                time.sleep(self.step_in_s)
                callback(step, 20, None)
            self.made.append(prompt)
        except StopGeneration:
            pass
        self.running.clear()
        latents = np.zeros((request.batch_size, 16, 8, 4), np.float32)
        return AudioPipelineOutput(latents, 16000, self.real.recipes(request), request)

    def decode_blocks(self, latents: Any, audio_length_in_s: float, *, loop: bool, progress: bool) -> Any:
        samples = self.geometry.samples(audio_length_in_s)
        yield (0.5 * np.sin(np.arange(samples) / 5.0)).astype(np.float32)


def tone_studio(step_in_s: float = 0.0) -> Studio:
    return Studio(TonePipeline(step_in_s), "tone")  # pyright: ignore[reportArgumentType]
