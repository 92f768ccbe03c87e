"""Training of the UNet and of the text encoders it listens to, by the library's own training loop."""

import dataclasses
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
from jax.sharding import Mesh

from examples.foley.parts.lengths import LengthOrder
from examples.foley.parts.tokens import CaptionTokens
from examples.foley.world.corpus import CAPTIONS_PER_CLIP, Corpus
from litefocus_jax.decoding.encoding import encode_mels
from litefocus_jax.models.components import AudioLDM2Components
from litefocus_jax.models.vae import VAE, LatentDistribution
from litefocus_jax.parallel.mesh import DATA_AXIS
from litefocus_jax.system.files import written_beside
from litefocus_jax.system.platform import current_platform
from litefocus_jax.system.progress import progress_bar
from litefocus_jax.training.config import TrainingConfig
from litefocus_jax.training.loop import LOG, train
from litefocus_jax.training.losses import Batch
from litefocus_jax.training.updates import NamedBatch

# T5 and GPT-2 have no other source of weights; CLAP is trained before, against sound, and stays as it is.
TRAINABLE = ("unet", "text_encoder_2", "language_model", "projection_model")
_CAPTION_DROPOUT = 0.1
_ENCODED_AT_ONCE = 256


@dataclasses.dataclass(frozen=True, kw_only=True)
class DiffusionBudget:
    """How long the UNet and the text encoders are trained, and on what mostly.

    Attributes:
        steps: how many updates.
        batch_size: clips in each.
        learning_rate: at its highest.
        timestep_shift: towards noisy timesteps. What a caption takes off the loss, it takes off there, where it is
            decided what is heard.
        repeats_of_two: how many times as often as one of one kind a caption of two is drawn. They are the hardest to
            learn, and the corpus holds each combination only a few times.
        save_every: updates between checkpoints.
    """

    steps: int
    batch_size: int = 16
    learning_rate: float = 8e-4
    timestep_shift: float = 2.5
    repeats_of_two: int = 4
    save_every: int = 200


def train_diffusion(
    components: AudioLDM2Components,
    corpus: Corpus,
    folder: Path,
    budget: DiffusionBudget,
    *,
    seed: int = 0,
    progress: bool = True,
) -> AudioLDM2Components:
    """Train until all steps are done, from where an earlier call was interrupted.

    Args:
        components: the model, with its VAE, vocoder and CLAP trained and the rest random.
        corpus: of the training split.
        folder: of this stage.
        budget: how long.
        seed: of the weights' training.
        progress: draw bars.

    Returns:
        The model with the moving average of the trained weights.
    """
    mean, logvar = encoded(components.vae, corpus, folder, progress=progress)
    source = LatentClips(
        components,
        corpus,
        mean,
        logvar,
        batch_size=budget.batch_size,
        seed=seed,
        repeats_of_two=budget.repeats_of_two,
    )
    config = TrainingConfig(
        steps=budget.steps,
        batch_size=budget.batch_size,
        learning_rate=budget.learning_rate,
        warmup_steps=min(200, max(1, budget.steps // 20)),
        ema_decay=0.999,
        caption_dropout=_CAPTION_DROPOUT,
        timestep_shift=budget.timestep_shift,
        trainable=TRAINABLE,
        seed=seed,
        save_every=budget.save_every,
    )
    run = folder / "run"
    mesh = Mesh(np.array(jax.devices()), (DATA_AXIS,))
    resume = (run / LOG).is_file()
    return AudioLDM2Components.of(train(components, source, config, run, resume=resume, mesh=mesh, progress=progress))


def encoded(vae: VAE, corpus: Corpus, folder: Path, *, progress: bool = True) -> tuple[np.ndarray, np.ndarray]:
    """Mean and log-variance of every clip's latents, float16 ``[clips, time, frequency, channels]``, mapped from disk.

    They are computed once: no update changes the VAE.
    """
    paths = folder / "latent_mean.npy", folder / "latent_logvar.npy"
    if not all(path.exists() for path in paths):
        pieces: list[tuple[np.ndarray, ...]] = []
        starts = range(0, len(corpus), _ENCODED_AT_ONCE)
        # A CPU is fastest with the few clips at a time that `encode_mels` takes unless told.
        together = {} if current_platform().name == "cpu" else {"together": _ENCODED_AT_ONCE}
        with progress_bar("Encoding the clips", len(starts), enabled=progress) as on_progress:
            for done, start in enumerate(starts, 1):
                mel = np.asarray(corpus.mels[start : start + _ENCODED_AT_ONCE], np.float32)
                pieces.append(tuple(np.asarray(part, np.float16) for part in encode_mels(vae, mel, **together)))
                on_progress(done)
        for path, parts in zip(paths, zip(*pieces, strict=True), strict=True):
            with written_beside(path) as partial, partial.open("wb") as file:
                np.save(file, np.concatenate(parts))
    return np.load(paths[0], mmap_mode="r"), np.load(paths[1], mmap_mode="r")


class LatentClips:
    """Batches of clips with their captions, for `litefocus_jax.training.loop.train`.

    Args:
        components: gives the tokenizers.
        corpus: gives the captions.
        mean: of the latents of each clip.
        logvar: of the latents of each clip.
        batch_size: clips in each batch.
        seed: of the choice of clips, captions and dropped captions.
        repeats_of_two: how many times as often as one of one kind a caption of two is drawn.
    """

    def __init__(
        self,
        components: AudioLDM2Components,
        corpus: Corpus,
        mean: np.ndarray,
        logvar: np.ndarray,
        *,
        batch_size: int,
        seed: int,
        repeats_of_two: int = 1,
    ) -> None:
        self.mean, self.logvar, self.batch_size, self.seed = mean, logvar, batch_size, seed
        captions = [text for texts in corpus.captions for text in texts]
        # The last row is that of a dropped caption.
        self.tokens = CaptionTokens.of(components, [*captions, ""])
        repeats = np.repeat([repeats_of_two if len(kinds) > 1 else 1 for kinds in corpus.kinds], CAPTIONS_PER_CLIP)
        self.order = LengthOrder(self.tokens.lengths[:-1], repeats)

    def batch(self, index: int) -> NamedBatch[Batch]:
        """The clips of one update, drawn from the seed and its number alone."""
        generator = np.random.default_rng([self.seed, index])
        captions = self.order.draw(generator, self.batch_size)
        clips = captions // CAPTIONS_PER_CLIP
        rows = np.where(generator.random(self.batch_size) < _CAPTION_DROPOUT, -1, captions)
        latents = LatentDistribution(*(jnp.asarray(part[clips], jnp.float32) for part in (self.mean, self.logvar)))
        batch = Batch(latents, *self.tokens.rows(rows))
        return NamedBatch(batch, tuple(f"clip {clip}" for clip in clips))
