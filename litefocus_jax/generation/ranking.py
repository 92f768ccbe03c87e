"""The waveforms of a prompt in the order of how well they fit it, by CLAP."""

import dataclasses

import numpy as np
import soxr

from litefocus_jax.generation.output import AudioPipelineOutput
from litefocus_jax.generation.request import Request
from litefocus_jax.models.clap.joint import Clap


def reason_to_rank(request: Request, rank: bool | None, output_type: str) -> str | None:
    """What asks for the waveforms to be ranked, in words; None where nothing does.

    Args:
        request: what is made.
        rank: as of `RunOptions`.
        output_type: likewise.

    Raises:
        ValueError: when they are to be ranked, and latents are asked for, or prompts are given as vectors or as a
            timeline.
    """
    if rank is None and request.ranks and output_type != "latent":
        reason = "sampling='authors', which ranks unless rank=False is given,"
    elif rank:
        reason = "rank=True"
    else:
        return None
    if output_type == "latent":
        raise ValueError(f"{reason} with output_type='latent'; only sound can be listened to: leave one of them out")
    if request.timeline is not None or (request.given is not None and request.given.positive is not None):
        raise ValueError(f"{reason} compares sounds with their prompts; expected prompts as texts, one for each sound")
    return reason


def ranked(output: AudioPipelineOutput, clap: Clap) -> AudioPipelineOutput:
    """Order the waveforms of each prompt by their cosines with it, the best first; prompts stay where they are.

    diffusers compares every sound with every prompt and takes the best for each, so that a prompt may get another
    prompt's sound.

    Args:
        output: sounds with their request.
        clap: listens and reads.

    Returns:
        The same sounds with their scores, recipes and numbers in the new order; equal ones stay in the order made.
    """
    request = output.request
    assert request is not None
    waveforms = request.num_waveforms_per_prompt
    texts = clap.embed_captions(request.prompts)
    sounds = np.stack([_embedded(sound, output.sampling_rate, clap) for sound in output.audios])
    scores = (sounds * np.repeat(texts, waveforms, axis=0)).sum(axis=1)  # [prompts * waveforms]
    within = np.argsort(-scores.reshape(-1, waveforms), axis=1, kind="stable")
    order = (within + waveforms * np.arange(len(within))[:, None]).reshape(-1)
    return dataclasses.replace(
        output,
        audios=output.audios[order],
        scores=scores[order],
        numbers=tuple(order.tolist()),
        recipes=tuple(output.recipes[number] for number in order) if output.recipes else (),
    )


def _embedded(waveform: np.ndarray, sampling_rate: int, clap: Clap) -> np.ndarray:
    if waveform.ndim > 1:  # CLAP hears one channel
        waveform = waveform.mean(axis=1)
    if sampling_rate != clap.sampling_rate:
        waveform = soxr.resample(waveform, sampling_rate, clap.sampling_rate)
    return clap.embed_sound(waveform)
