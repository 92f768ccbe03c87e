"""How the evaluation makes its sounds: how many, how they are sampled, and from which noise."""

import dataclasses
import time
import zlib
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from jaxtyping import Float32

from examples.foley.measure.variants import Variant
from examples.foley.parts.model import VAE_CONFIG
from examples.foley.world.clips import TRAINING_FRAMES, TRAINING_SECONDS
from litefocus_jax.pipeline import AudioLDM2Pipeline

# Two minutes of sound: batches of sounds of 8 training lengths hold six of them, and those of 32 a single one.
_MOST_FRAMES_AT_ONCE = 48 * TRAINING_FRAMES // VAE_CONFIG.scale_factor
# The first one compiles, and so may one whose captions are longer: the time is that of the fastest of the others.
_FEWEST_BATCHES = 3


@dataclasses.dataclass(frozen=True, kw_only=True)
class EvaluationConfig:
    """How much is measured.

    Attributes:
        sounds: generated for every seed, length and variant; as many captions, other ones for each seed. One number
            for all lengths, or one for each of `multiples`.
        seeds: repetitions.
        pairs: of captions for every seed, for pitch and for speed.
        unseen: synthesised sounds that the classifier is tried on.
        reference: synthesised sounds of each length that generated ones are compared with.
        reconstructed: synthesised sounds sent through the VAE and the vocoder.
        multiples: lengths, as multiples of the training length.
        steps: denoising steps.
        scheduler: sampler.
        guidance_scale: how closely to follow the captions.
        batch: sounds generated at a time, at most; fewer where they are long.
        fewest_for_distance: sounds that a distance between sets of sounds takes, at least.

    Raises:
        ValueError: when a number is below 1 (`reference`: below 2), or there are other numbers of sounds than lengths.
    """

    sounds: int | tuple[int, ...] = 72
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
    fewest_for_distance: int = 12

    def __post_init__(self) -> None:
        for name in ("seeds", "pairs", "unseen", "reference", "reconstructed", "steps", "batch"):
            value, smallest = getattr(self, name), 2 if name == "reference" else 1
            if value < smallest:
                raise ValueError(f"{name} = {value}; expected at least {smallest}")
        if not self.multiples or min(self.multiples) < 1:
            raise ValueError(f"multiples = {self.multiples}; expected at least one, each at least 1")
        if isinstance(self.sounds, tuple) and len(self.sounds) != len(self.multiples):
            raise ValueError(
                f"sounds = {self.sounds} for multiples = {self.multiples}; expected one number for all, or one for each"
            )
        if min(self.sounds_at(multiple) for multiple in self.multiples) < 1:
            raise ValueError(f"sounds = {self.sounds}; expected at least 1")

    def sounds_at(self, multiple: int) -> int:
        """Sounds for every seed and variant at one of the lengths."""
        return self.sounds if isinstance(self.sounds, int) else self.sounds[self.multiples.index(multiple)]

    def measures_distance(self, multiple: int) -> bool:
        """Whether there are enough sounds at a length for a Frechet distance to say something: at least 12."""
        return self.sounds_at(multiple) >= self.fewest_for_distance

    @property
    def sampling(self) -> dict[str, Any]:
        """What decides, beside caption and noise, which sound is generated."""
        return {"steps": self.steps, "scheduler": self.scheduler, "guidance_scale": self.guidance_scale}


class Generated(NamedTuple):
    """Sounds, and how long they took.

    Attributes:
        outputs: one for each caption: waveforms ``[sounds, samples]``, or latents.
        seconds_per_sound: wall time, text encoders and decoding included, compilation and the check of memory left
            out: that of the fastest batch after the first; None where there was one batch only.
    """

    outputs: Float32[np.ndarray, "sounds ..."]
    seconds_per_sound: float | None


def generated(
    pipeline: AudioLDM2Pipeline,
    captions: Sequence[str],
    noise_of: Sequence[Sequence[int]],
    config: EvaluationConfig,
    *,
    seconds: float = TRAINING_SECONDS,
    variant: Variant | None = None,
    output_type: Literal["audio", "latent"] = "audio",
) -> Generated:
    """Generate sounds, or their latents alone, a batch at a time.

    Captions of like length share a batch, since the longest one decides where GPT-2's vectors stand for all of them.

    Args:
        pipeline: the model.
        captions: one for each sound.
        noise_of: for each sound, the numbers that its first noise is drawn from: variants hear the same noise.
        config: of the sampling.
        seconds: length of each sound.
        variant: attention and windows; dense and none unless given.
        output_type: ``"latent"`` for latents ``[sounds, time, frequency, channels]`` in the place of waveforms.
    """
    variant = variant or Variant()
    geometry = pipeline.geometry
    shape = (geometry.latent_frames(seconds), geometry.frequencies, geometry.channels)
    order = sorted(range(len(captions)), key=lambda number: len(captions[number].split()))
    size = batch_size(len(order), shape[0], config.batch)
    sounds: dict[int, np.ndarray] = {}
    times: list[float] = []
    for start in range(0, len(order), size):
        numbers = order[start : start + size]
        # The last batch is filled up, so that all share one compiled program.
        filled = numbers + numbers[-1:] * (size - len(numbers))
        noise = [np.random.default_rng(noise_of[number]).standard_normal(shape) for number in filled]
        started = time.perf_counter()
        result = pipeline(
            [captions[number] for number in filled],
            audio_length_in_s=seconds,
            num_inference_steps=config.steps,
            guidance_scale=config.guidance_scale,
            scheduler=config.scheduler,  # pyright: ignore[reportArgumentType]  # checked by the pipeline
            latents=np.stack(noise).astype(np.float32),
            seed=zlib.crc32(repr(noise_of[numbers[0]]).encode()),
            litefocus=variant.litefocus,
            scale_scores=variant.scale_scores,
            windowed=variant.windowed,
            check_memory=start == 0,  # which takes seconds, and says the same of all batches
            progress=False,
            output_type=output_type,
        )
        times.append(time.perf_counter() - started)
        sounds |= dict(zip(numbers, result.audios, strict=False))
    outputs = np.stack([sounds[number] for number in range(len(captions))])
    return Generated(outputs, min(times[1:]) / size if len(times) > 1 else None)


def batch_size(sounds: int, frames: int, largest: int) -> int:
    """Sounds at a time: the fewer the longer they are, in batches as even as can be, and several for the clock's sake.

    Args:
        sounds: in all.
        frames: latent frames of each.
        largest: sounds at a time, at most.
    """
    most = max(1, min(largest, _MOST_FRAMES_AT_ONCE // frames))
    batches = max(-(-sounds // most), min(sounds, _FEWEST_BATCHES))
    return -(-sounds // batches)
