"""How the evaluation makes its sounds: how many, how they are sampled, and from which noise."""

import dataclasses
import zlib
from collections.abc import Sequence
from typing import Any

import numpy as np
from jaxtyping import Float32

from examples.foley.model import TRAINING_SECONDS
from litefocus_jax.litefocus import LiteFocusConfig
from litefocus_jax.pipeline import AudioLDM2Pipeline


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How much is measured.

    Attributes:
        sounds: generated for every seed, length and variant; as many captions, other ones for each seed.
        seeds: repetitions.
        pairs: of captions for every seed, for pitch and for speed.
        unseen: synthesised sounds that the classifier is tried on.
        reference: synthesised sounds of each length that generated ones are compared with.
        reconstructed: synthesised sounds sent through the VAE and the vocoder.
        multiples: lengths, as multiples of the training length.
        steps: denoising steps.
        scheduler: sampler.
        guidance_scale: how closely to follow the captions.
        batch: sounds generated at a time.

    Raises:
        ValueError: when a number is below 1 (`sounds` and `reference`: below 2).
    """

    sounds: int = 72
    seeds: int = 3
    pairs: int = 24
    unseen: int = 1000
    reference: int = 384
    reconstructed: int = 64
    multiples: tuple[int, ...] = (1, 2, 4, 8)
    steps: int = 50
    scheduler: str = "dpm++"
    guidance_scale: float = 3.5
    batch: int = 12

    def __post_init__(self) -> None:
        for name in ("sounds", "seeds", "pairs", "unseen", "reference", "reconstructed", "steps", "batch"):
            value, smallest = getattr(self, name), 2 if name in ("sounds", "reference") else 1
            if value < smallest:
                raise ValueError(f"{name} = {value}; expected at least {smallest}")
        if not self.multiples or min(self.multiples) < 1:
            raise ValueError(f"multiples = {self.multiples}; expected at least one, each at least 1")

    @property
    def sampling(self) -> dict[str, Any]:
        """What decides, beside caption and noise, which sound is generated."""
        return {"steps": self.steps, "scheduler": self.scheduler, "guidance_scale": self.guidance_scale}


def generated(
    pipeline: AudioLDM2Pipeline,
    captions: Sequence[str],
    noise_of: Sequence[Sequence[int]],
    config: EvaluationConfig,
    *,
    seconds: float = TRAINING_SECONDS,
    litefocus: LiteFocusConfig | None = None,
) -> Float32[np.ndarray, "sounds samples"]:
    """Generate sounds, a batch at a time.

    Captions of like length share a batch, since the longest one decides where GPT-2's vectors stand for all of them.

    Args:
        pipeline: the model.
        captions: one for each sound.
        noise_of: for each sound, the numbers that its first noise is drawn from: variants hear the same noise.
        config: of the sampling.
        seconds: length of each sound.
        litefocus: the attention.
    """
    geometry = pipeline.geometry
    shape = (geometry.latent_frames(seconds), geometry.frequencies, geometry.channels)
    order = sorted(range(len(captions)), key=lambda number: len(captions[number].split()))
    sounds: dict[int, np.ndarray] = {}
    for start in range(0, len(order), config.batch):
        numbers = order[start : start + config.batch]
        # The last batch is filled up, so that all share one compiled program.
        filled = numbers + numbers[-1:] * (config.batch - len(numbers))
        noise = [np.random.default_rng(noise_of[number]).standard_normal(shape) for number in filled]
        result = pipeline(
            [captions[number] for number in filled],
            audio_length_in_s=seconds,
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            scheduler=config.scheduler,  # pyright: ignore[reportArgumentType]  # checked by the pipeline
            latents=np.stack(noise).astype(np.float32),
            seed=zlib.crc32(repr(noise_of[numbers[0]]).encode()),
            litefocus=litefocus,
            progress=False,
        )
        sounds |= dict(zip(numbers, result.audios, strict=False))
    return np.stack([sounds[number] for number in range(len(captions))])
