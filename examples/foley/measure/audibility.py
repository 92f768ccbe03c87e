"""How loud the model answers: for a prompt, the loudest half second of its sound at every seed."""

from collections.abc import Mapping, Sequence

import jax.numpy as jnp

from litefocus_jax.audio.levels import loudest_stretch_in_dbfs
from litefocus_jax.generation.sampling import initial_latents, random_keys
from litefocus_jax.models.vocabulary import SoundKind
from litefocus_jax.pipeline import AudioLDM2Pipeline

AUDIBLE_IN_DBFS = -40.0
"""What a sound must reach somewhere to count as audible."""

_SENTENCES = ("I would like to hear {}, please", "the sound of {}")


def prompts_of(kind: SoundKind, synonyms: int) -> tuple[str, ...]:
    """What to try of a kind: its bare name; with "a" and "the"; as many other names; and a sentence of one's own."""
    name, *others = kind.names
    article = "an" if name[0] in "aeiou" else "a"
    chosen = others[:: max(1, len(others) // max(synonyms, 1))][:synonyms]
    further = (f"{article} {name}", f"the {name}", *chosen, *(text.format(name) for text in _SENTENCES))
    return (name, *dict.fromkeys(further)) if synonyms else (name,)


def levels(pipeline: AudioLDM2Pipeline, prompt: str, seeds: Sequence[int]) -> list[float]:
    """`loudest_stretch_in_dbfs` of a prompt's sound at every seed, with the sampling defaults of the model."""
    geometry = pipeline.components.facts.geometry
    shape = (pipeline.request(prompt).plan.frames, geometry.frequencies, geometry.channels)
    noise = [initial_latents(random_keys(seed, [0]).latents, shape) for seed in seeds]
    result = pipeline(prompt, num_waveforms_per_prompt=len(seeds), latents=jnp.concatenate(noise), progress=False)
    return [loudest_stretch_in_dbfs(audio, result.sampling_rate) for audio in result.audios]


def quietest(found: Mapping[str, Sequence[float]]) -> tuple[str, float]:
    """Of some prompts with their levels, the one with the least, and that level."""
    prompt = min(found, key=lambda each: min(found[each]))
    return prompt, min(found[prompt])
