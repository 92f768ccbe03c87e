"""What ``finetune`` sets up between its options and the training, and what it says of it."""

import dataclasses
import logging
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from litefocus_jax.cli.attention import AttentionOptions
from litefocus_jax.cli.console import logger, messages
from litefocus_jax.cli.models import open_model
from litefocus_jax.cli.names import slug

if TYPE_CHECKING:
    from jax.sharding import Mesh

    from litefocus_jax.models.components import Components
    from litefocus_jax.models.unet.heads import Heads
    from litefocus_jax.training.batches import AudioBatches
    from litefocus_jax.training.config import TrainingConfig
    from litefocus_jax.training.data import Dataset, Short
    from litefocus_jax.training.distribution import Shard
    from litefocus_jax.training.sources import ValidationClips

_SKIPPED_SHOWN = 20
_VALIDATION_CLIPS = 32  # at least; fewer sounds come more than once, with other parts, noise and timesteps
_SAMPLE_STEPS = 20  # of DPM-Solver++, which are as good as ten times as many for hearing where a training is


@dataclasses.dataclass(frozen=True)
class DataOptions:
    """How sounds and captions are read.

    Attributes:
        audio_column: of the table.
        text_columns: of the table.
        audio_length_in_s: of each clip; the model's training length unless given.
        peak: of each clip; levels as they are unless given.
        short: what becomes of shorter sounds.
        validation: folder of more sounds, to validate with.
        hold_out: share of the sounds to validate with.
    """

    audio_column: str
    text_columns: tuple[str, ...]
    audio_length_in_s: float | None
    peak: float | None
    short: "Short"
    validation: Path | None
    hold_out: float | None

    @property
    def of_sounds(self) -> tuple[object, ...]:
        """What has to be the same in all processes that train together; where folders lie may differ."""
        return self.audio_column, self.text_columns, self.audio_length_in_s, self.peak, self.short, self.hold_out

    def open(
        self, folder: Path, *, seed: int, progress: bool, mesh: "Mesh | None" = None
    ) -> "tuple[Dataset, Dataset | None]":
        """The sounds to train on, and those to validate with, if there are to be any; see `open_dataset`.

        Raises:
            ProcessesError: when another process fails, or finds other sounds.
            ValueError: when a table is malformed or has nothing usable, or nothing is left to train on.
            OSError: when a folder or its table is missing.
        """
        from litefocus_jax.training.data import open_dataset

        def read(folder: Path) -> "Dataset":
            return open_dataset(
                folder, audio_column=self.audio_column, text_column=self.text_columns, progress=progress, mesh=mesh
            )

        dataset = read(folder)
        if self.hold_out is not None:
            return dataset.hold_out(self.hold_out, seed)
        return dataset, None if self.validation is None else read(self.validation)

    def batches(
        self, dataset: "Dataset", components: "Components", batch_size: int, *, caption_dropout: float, seed: int
    ) -> "AudioBatches":
        """Clips of them."""
        from litefocus_jax.training.batches import AudioBatches

        return AudioBatches(
            dataset,
            components,
            batch_size=batch_size,
            audio_length_in_s=self.audio_length_in_s,
            caption_dropout=caption_dropout,
            seed=seed,
            peak=self.peak,
            short=self.short,
        )


def load(
    model: str,
    revision: str | None,
    heads: "Heads | None",
    dataset: "Dataset",
    config: "TrainingConfig",
    attention: AttentionOptions,
    options: DataOptions,
) -> "tuple[AudioBatches, Components, TrainingConfig]":
    """Open the model and the batches; what does not fit is found before weights are read."""
    from litefocus_jax.generation.attention import chosen_litefocus
    from litefocus_jax.models.unet.self_attention import check_layout
    from litefocus_jax.system.compilation_cache import use_compilation_cache
    from litefocus_jax.training.batches import clip_samples
    from litefocus_jax.training.speech import refuse_speech

    use_compilation_cache()
    checkpoint = open_model(model, revision, heads)
    refuse_speech(checkpoint.model_type)
    geometry = checkpoint.facts.geometry
    samples = clip_samples(geometry, options.audio_length_in_s)
    _check_batch_fits(config.batch_size, samples)
    seconds = samples / geometry.sampling_rate
    asked = attention.choose(geometry.training_length_in_s)
    litefocus = chosen_litefocus(asked, geometry, seconds, checkpoint.defaults.litefocus_by_length)
    if litefocus is not None:
        check_layout(checkpoint.facts.unet, litefocus.layout(geometry.frame_in_s))
    components = checkpoint.load("float32")
    batches = options.batches(
        dataset, components, config.batch_size, caption_dropout=config.caption_dropout, seed=config.seed
    )
    return batches, components, dataclasses.replace(config, litefocus=litefocus, data=batches.description)


def _check_batch_fits(batch_size: int, samples: int) -> None:
    """Refuse, before clips are gathered, a batch whose sound alone is more than the memory.

    Raises:
        ValueError: saying what it takes and what there is.
    """
    from litefocus_jax.system.platform import memory_limit

    least, limit = 4 * batch_size * samples, memory_limit()
    if limit is not None and least > limit:
        raise ValueError(
            f"batch_size = {batch_size} clips take more than {least / 1e9:,.1f} GB, and there are "
            f"{limit / 1e9:,.1f} GB; ask for fewer, or for shorter ones"
        )


def validation_clips(
    dataset: "Dataset", components: "Components", config: "TrainingConfig", options: DataOptions
) -> "ValidationClips":
    """The clips to validate with, all of them with their captions; the same ones whatever is trained on."""
    from litefocus_jax.training.sources import ValidationClips

    batches = options.batches(dataset, components, config.batch_size, caption_dropout=0.0, seed=0)
    count = -(-max(len(dataset.sounds), _VALIDATION_CLIPS) // config.batch_size)
    return ValidationClips(batches, count, config.batch_size)


def sample_maker(prompts: Sequence[str], folder: Path, config: "TrainingConfig") -> "Callable[[Components, int], None]":
    """Makes a sound of each prompt, as long as the clips and always of the same noise, in a folder for the step."""
    names: list[str] = []
    for prompt in prompts:
        name = slug(prompt)
        names.append(name if name not in names else f"{name}-{len(names) + 1}")

    def make(components: "Components", step: int) -> None:
        from litefocus_jax.audio import save_audio
        from litefocus_jax.pipeline import AudioLDM2Pipeline

        try:
            pipe = AudioLDM2Pipeline(components)
            result = pipe(
                list(prompts),
                num_inference_steps=_SAMPLE_STEPS,
                scheduler="dpm++",
                litefocus=config.litefocus,
                seed=config.seed,
                progress=False,
            )
            for name, audio in zip(names, result.audios, strict=True):
                save_audio(folder / f"step-{step:08d}" / f"{name}.wav", audio, result.sampling_rate)
        except (ValueError, OSError) as error:  # a training is worth more than a sound on its way
            logger.warning("No sounds of step %d: %s", step, error)

    return make


def devices_mesh() -> "Mesh":
    """All devices, those of other processes too, for the clips of a batch to spread over."""
    import jax
    import numpy as np
    from jax.sharding import Mesh

    from litefocus_jax.parallel.mesh import DATA_AXIS

    return Mesh(np.array(jax.devices()), (DATA_AXIS,))


def published_facts(batches: "AudioBatches", config: "TrainingConfig") -> dict[str, object]:
    """What a card says of a training, by name."""
    import litefocus_jax

    adapter = {} if config.lora is None else {"Rank of the adapter": config.lora.rank}
    return {
        "Sounds": batches.description,
        "Trained": ", ".join(config.trainable),
        **adapter,
        "Updates": f"{config.steps:,} of {config.batch_size} clips",
        "Learning rate": f"{config.learning_rate:g}",
        "Attention": "dense" if config.litefocus is None else "LiteFocus",
        "Seed": config.seed,
        "litefocus-jax": litefocus_jax.__version__,
    }


def print_skipped(dataset: "Dataset") -> None:
    """Name the rows that are not used."""
    if dataset.skipped:
        total = len(dataset.skipped) + len(dataset.sounds)
        messages.print(f"{len(dataset.skipped)} of {total} rows are skipped:")
        most = None if logger.isEnabledFor(logging.DEBUG) else _SKIPPED_SHOWN
        messages.print(dataset.describe_skipped(most), markup=False)


def print_plan(
    batches: "AudioBatches",
    components: "Components",
    config: "TrainingConfig",
    mesh: "Mesh",
    shard: "Shard",
    validation: "Dataset | None",
) -> None:
    """Say what is about to be trained, and on what."""
    import jax

    from litefocus_jax.parallel.processes import processes_of
    from litefocus_jax.training.batches import named
    from litefocus_jax.training.distribution import Distribution
    from litefocus_jax.training.state import frozen_weights, initial_state, trained_weights

    weights = jax.eval_shape(lambda: trained_weights(components, config))
    parameters = sum(leaf.size for leaf in jax.tree.leaves(weights))
    devices = f"{mesh.size} devices" if mesh.size > 1 else "one device"
    if (processes := len(processes_of(mesh))) > 1:
        devices += f" of {processes} processes, of which the first writes all but checkpoints"
    if shard == "fsdp" and mesh.size > 1:
        state = jax.eval_shape(lambda: (initial_state(components, config), frozen_weights(components, config)))
        held, whole = (Distribution(mesh, kind).bytes_of_each(state) / 1e6 for kind in (shard, "none"))
        devices += f", each with {held:,.2f} of {whole:,.2f} MB of weights, average and moments"
    attention = "dense attention" if config.litefocus is None else "LiteFocus"
    what = ", ".join(config.trainable)
    if config.lora is not None:
        what = f"an adapter of rank {config.lora.rank} for the {what}"
    held_out = "" if validation is None else f"; validation on {len(validation.sounds)} sounds"
    messages.print(
        f"Training {what}: {parameters:,} parameters, {attention}, {config.dtype}, on "
        f"{devices}\n{batches.description}{held_out}; {config.steps:,} updates of {config.batch_size} clips",
        markup=False,
    )
    if batches.repeated:
        messages.print(
            f"{len(batches.repeated)} of {len(batches.dataset.sounds)} sounds are shorter than half of a clip and "
            f"repeated until it is full ({named(batches.repeated)}); --short pad follows them with silence, and a "
            "smaller -d makes shorter clips",
            markup=False,
        )
