"""Log-mels as the UNet draws them, of sounds that are known: what a vocoder has to make sound from.

What is generated from a caption alone has no true sound beside it. Here noise is added to the latents of a clip, and
the UNet, guided by the clip's caption, takes it off again (Meng et al., "SDEdit", arXiv 2108.01073). What it draws
stays where the clip has it in time and pitch, but has the UNet's faults.
"""

import dataclasses
import functools
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Float16, Int, Key

from examples.foley.world.corpus import Corpus
from litefocus_jax.decoding import whole
from litefocus_jax.diffusion.noise import add_noise
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.diffusion.schedulers import Schedule, initial_state, make_schedule
from litefocus_jax.generation import sampling
from litefocus_jax.generation.plan import DenoisingPlan
from litefocus_jax.models.components import AudioLDM2Components
from litefocus_jax.models.tokenization import tokenize_prompts
from litefocus_jax.models.vae import VAE
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.files import written_beside
from litefocus_jax.system.progress import progress_bar

# The last steps of schedules of so many: they begin where a clip is nearly clean, and where it is mostly noise.
_LAST_STEPS = 4
SCHEDULES = (40, 20, 12, 8, 7)
_GUIDANCE_SCALE = 3.5  # the pipeline's default


def redrawn(
    components: AudioLDM2Components,
    corpus: Corpus,
    folder: Path,
    *,
    clips: int,
    schedules: tuple[int, ...] = SCHEDULES,
    batch_size: int = 32,
    seed: int = 0,
    progress: bool = True,
) -> Float16[np.ndarray, "clips frames mels"]:
    """Log-mels of the first clips of a corpus, with noise added as of a tenth to four sevenths of the schedule.

    They are drawn once, and read where an earlier call has kept them.

    Args:
        components: the model, its UNet trained.
        corpus: of sounds of the training length.
        folder: where they are kept.
        clips: how many; all of them where the corpus has fewer.
        schedules: numbers of steps of the schedules that batches take by turns.
        batch_size: clips at a time.
        seed: of the noise.
        progress: draw a bar.
    """
    path = folder / "redrawn.npy"
    if path.exists():
        return np.load(path, mmap_mode="r")
    mels = np.asarray(corpus.mels[:clips], np.float32)
    captions = corpus.first_captions[: len(mels)]
    pipeline = AudioLDM2Pipeline(components)
    # Captions of like length share a batch: the longest one decides where GPT-2's vectors stand for all of them.
    order = sorted(range(len(captions)), key=lambda clip: len(captions[clip].split()))
    drawn = np.empty(mels.shape, np.float16)
    starts = range(0, len(order), batch_size)
    with progress_bar("Redrawing clips", len(starts), enabled=progress) as on_progress:
        for number, start in enumerate(starts):
            rows = np.resize(order[start : start + batch_size], batch_size)  # all batches share one program
            schedule = _last_steps(components.scheduler, schedules[number % len(schedules)])
            key = jax.random.fold_in(jax.random.key(seed), number)
            latents = _noised(components.vae, components.scheduler, mels[rows], schedule.steps.timestep[0], key)
            latents = _denoised(pipeline, [captions[row] for row in rows], latents, schedule)
            drawn[rows] = whole.decode_latents(components.vae, components.vae.unscaled(latents))
            on_progress(number + 1)
    with written_beside(path) as partial, partial.open("wb") as file:
        np.save(file, drawn)
    return drawn


def _last_steps(config: SchedulerConfig, num_inference_steps: int) -> Schedule:
    # DDIM, since the first of DPM-Solver++'s rows would ask for the step before it.
    schedule = make_schedule(config, num_inference_steps, scheduler="ddim")
    rows = schedule.rows(num_inference_steps - _LAST_STEPS, num_inference_steps)
    return dataclasses.replace(schedule, steps=rows)


@functools.partial(jax.jit, static_argnames="config")
def _noised(
    vae: VAE,
    config: SchedulerConfig,
    mels: Float[Array, "batch frames mels"],
    timestep: Int[Array, ""],
    key: Key[Array, ""],
) -> Float[Array, "batch time frequency channels"]:
    latents_key, noise_key = jax.random.split(key)
    latents = vae.scaled(vae.encode(mels[..., None]).sample(latents_key))
    noise = jax.random.normal(noise_key, latents.shape)
    return add_noise(config, latents, noise, jnp.full(len(mels), timestep))


def _denoised(
    pipeline: AudioLDM2Pipeline,
    captions: list[str],
    latents: Float[Array, "batch time frequency channels"],
    schedule: Schedule,
) -> Float[Array, "batch time frequency channels"]:
    models = pipeline.components
    tokens = tokenize_prompts(pipeline.tokenizer, pipeline.tokenizer_2, captions, [""] * len(captions))
    conditioning = sampling.encode(models.encoders, tokens)
    arguments = sampling.Arguments(
        models.unet,
        sampling.project_context(models.unet, conditioning, num_waveforms_per_prompt=1),
        initial_state(schedule, latents),
        sampling.random_keys(0, [0] * len(captions)),  # never used: no noise in the steps, dense attention
    )
    plan = DenoisingPlan(latents.shape[1])
    scale = jnp.float32(_GUIDANCE_SCALE)
    return sampling.denoise(arguments, schedule, jnp.int32(0), scale, plan=plan).latents
