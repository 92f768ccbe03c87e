"""Which attention heads a model was trained with: the noise-prediction error of both settings on recordings.

    python examples/compare_heads.py MODEL SOUNDS.csv

MODEL is a folder of diffusers or of this project, or a hub id (cvssp/audioldm2). SOUNDS.csv has the columns file_name,
of files beside it, and text, their captions. Both settings see the same latents, noise and timesteps; the lower error
is that of the heads that the network was trained with. A few tens of recordings are enough.
"""

import argparse
import functools
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import jax
import numpy as np
import scipy.stats
from jaxtyping import Array, Float, Key

from litefocus_jax.checkpoint.store import open_checkpoint
from litefocus_jax.checkpoint.weights import abstract, leaves, with_weights
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.components import Components
from litefocus_jax.models.unet.heads import with_heads
from litefocus_jax.models.unet.network import UNet
from litefocus_jax.training.batches import AudioBatches
from litefocus_jax.training.data import Dataset, open_dataset
from litefocus_jax.training.losses import Batch, diffusion_loss

PEAK = 0.5  # the level of the clips that AudioLDM2 was trained on
CHANCE = 0.003  # how likely so large a difference is, at most, where there is none


def errors(components: Components, dataset: Dataset, draws: int, seconds: float | None) -> dict[str, np.ndarray]:
    """The mean squared error of each clip's predicted noise, with the heads of the file and as trained.

    Args:
        components: the model as its file says.
        dataset: recordings with captions; of each, one clip is taken.
        draws: noises and timesteps of each clip.
        seconds: of a clip; the model's training length unless given.

    Raises:
        ValueError: when the file's heads are the trained ones, or the UNet cannot have those.
    """
    stored = components.unet
    config = with_heads(stored.config, "trained")
    if config.num_heads_per_level == stored.config.num_heads_per_level:
        raise ValueError(
            f"the model has {', '.join(map(str, config.num_heads_per_level))} heads by level, as it was trained: there "
            "is nothing to compare; expected a model as diffusers converts it, with as many at every level"
        )
    trained = with_weights(abstract(UNet, config), leaves(stored))
    batches = AudioBatches(dataset, components, batch_size=1, audio_length_in_s=seconds, caption_dropout=0.0, peak=PEAK)
    found: dict[str, list[float]] = {"stored": [], "trained": []}
    for number in range(len(dataset.sounds)):
        batch = batches.batch(number).batch
        keys = [jax.random.fold_in(jax.random.key(number), draw) for draw in range(draws)]
        for name, unet in (("stored", stored), ("trained", trained)):
            models = {**components.modules, "unet": unet}
            scale = components.vae.config.scaling_factor
            values = [_error(models, batch, key, scheduler=components.scheduler, scale=scale) for key in keys]
            found[name].append(float(np.mean(jax.device_get(values))))
    return {name: np.array(values) for name, values in found.items()}


@functools.partial(jax.jit, static_argnames=("scheduler", "scale"))
def _error(
    models: Mapping[str, Any], batch: Batch, key: Key[Array, ""], *, scheduler: SchedulerConfig, scale: float
) -> Float[Array, ""]:
    length = batch.t5_length
    return diffusion_loss(models, scheduler, scale, batch, length, key[None])


def verdict(found: Mapping[str, np.ndarray]) -> str:
    """What the errors say, in a sentence."""
    difference = found["stored"] - found["trained"]
    count = len(difference)
    spread = difference.std(ddof=1) / count**0.5 if count > 1 else np.inf
    # Student's t: of two recordings alone hardly any difference is clear.
    clear = scipy.stats.t.isf(CHANCE / 2, count - 1) if count > 1 else np.inf
    if not abs(difference.mean()) > clear * spread:
        return "The difference is within chance: more recordings, or more draws, would tell"
    better = "trained" if difference.mean() > 0 else "stored"
    return f"heads='{better}' predicts noise better: load this model with it (--heads {better})"


def main() -> None:
    """Parse the command line, measure and print."""
    parser = argparse.ArgumentParser(description="Compare a file's heads with those of the training.")
    parser.add_argument("model")
    parser.add_argument("sounds", type=Path)
    parser.add_argument("--draws", type=int, default=4, help="noises and timesteps of each recording")
    parser.add_argument("--seconds", type=float, help="of each clip; the model's training length unless given")
    arguments = parser.parse_args()
    if arguments.draws < 1:
        parser.error(f"--draws {arguments.draws}: expected 1 or more")
    try:
        checkpoint = open_checkpoint(arguments.model).with_heads("stored")
        dataset = open_dataset(arguments.sounds.parent, metadata=arguments.sounds)
        found = errors(checkpoint.load(), dataset, arguments.draws, arguments.seconds)
    except (ValueError, OSError) as error:
        sys.exit(f"error: {error}")
    if dataset.skipped:
        print(dataset.describe_skipped(most=10), file=sys.stderr)
    print(f"{len(dataset.sounds)} recordings, {arguments.draws} noises each; mean squared error of the prediction:")
    for name, values in found.items():
        print(f"  heads='{name}': {values.mean():.5f}")
    wins = int(np.sum(found["trained"] < found["stored"]))
    print(f"  lower with heads='trained' on {wins} of {len(dataset.sounds)} recordings")
    print(verdict(found))


if __name__ == "__main__":
    main()
