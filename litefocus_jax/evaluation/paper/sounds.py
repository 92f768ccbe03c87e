"""The sounds of the tables: made batch by batch, and kept as they are made."""

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import litefocus_jax
from litefocus_jax.audio import save_audio_blocks
from litefocus_jax.evaluation.features import MetricError
from litefocus_jax.evaluation.paper.subjects import Subjects
from litefocus_jax.evaluation.paper.variants import Variant
from litefocus_jax.generation.request import Request
from litefocus_jax.generation.sounding import sound_of_request
from litefocus_jax.pipeline import AudioLDM2Pipeline
from litefocus_jax.system.files import write_json
from litefocus_jax.system.interruption import raise_if_interrupted
from litefocus_jax.system.same_run import differences
from litefocus_jax.system.typed_json import parse_object

SETTINGS = "paper.json"
"""What all sounds of a folder have in common."""

ZEROS = "force_zeros_for_empty_prompt"
"""The setting that is written down where it is on."""

_MADE = "made.json"


@dataclasses.dataclass(frozen=True)
class Plan:
    """What is made.

    Attributes:
        lengths: of the sounds, in training lengths.
        sounds: of each seed, length and kind of attention; each with a caption of its own.
        seeds: repetitions with other captions and other noise, from seed 0 on.
        batch: sounds at a time.
        options: how they are sampled, as of `RequestOptions`.
    """

    lengths: tuple[int, ...]
    sounds: int
    seeds: int
    batch: int
    options: dict[str, Any]

    @property
    def count(self) -> int:
        """Sounds of each length and kind of attention."""
        return self.sounds * self.seeds

    @property
    def batches(self) -> list[tuple[int, int, int]]:
        """Seed, number of the first sound and number of the one after the last, counted over all seeds."""
        return [
            (seed, seed * self.sounds + start, seed * self.sounds + min(start + self.batch, self.sounds))
            for seed in range(self.seeds)
            for start in range(0, self.sounds, self.batch)
        ]


@dataclasses.dataclass(frozen=True)
class Cell:
    """The sounds of one kind of attention at one length.

    Attributes:
        length: in training lengths.
        variant: the kind of attention.
        folder: of the sounds.
    """

    length: int
    variant: Variant
    folder: Path

    def batches_made(self) -> dict[str, int]:
        """The batches that are complete, by seed and first sound, and how many sounds each of them has."""
        return kept(self.folder / _MADE)


def kept(path: Path) -> dict[str, Any]:
    """What an earlier command wrote down, or an empty dictionary.

    Raises:
        MetricError: when it is no JSON object, or of something else.
    """
    if not path.exists():
        return {}
    try:
        return parse_object(path.read_text(encoding="utf-8"), str(path))
    except ValueError as error:
        raise MetricError(f"{error}; remove the file to have it made again") from None


def cells_of(folder: Path, lengths: tuple[int, ...], variants: tuple[Variant, ...]) -> list[Cell]:
    """Where the sounds of a report lie, length by length."""
    return [
        Cell(length, variant, folder / "sounds" / f"{length}x" / variant.folder)
        for length in lengths
        for variant in variants
    ]


def keep_settings(folder: Path, pipe: AudioLDM2Pipeline, plan: Plan, subjects: Subjects) -> None:
    """Write down what all sounds of a report have in common, or check that it is what it was.

    Raises:
        MetricError: when sounds of other settings are there, naming what differs.
    """
    request = request_of(pipe, subjects, 1, Variant(""), (0, 0, 1), plan.options)
    settings = {
        "model": pipe.model_digest,
        "dtype": pipe.dtype,
        "device": pipe.device.device_kind,
        "library_version": litefocus_jax.__version__,
        "captions": subjects.digest,
        "sounds": plan.sounds,
        "seeds": plan.seeds,
        "batch": plan.batch,
        "sampling": request.sampling.describe(),
        "guidance_scale": request.guidance_scale,
        "eta": request.eta,
        "prompt_padding": request.prompt_padding,
    }
    if request.force_zeros_for_empty_prompt:
        settings[ZEROS] = True
    earlier = kept(folder / SETTINGS)
    if not earlier:
        write_json(folder / SETTINGS, settings)
    elif changed := differences(earlier, settings):
        raise MetricError(
            f"{folder} holds sounds of other settings: {'; '.join(changed)}. A table never mixes two: ask for the "
            "same, or take another folder (--output)"
        )


def make_sounds(
    pipe: AudioLDM2Pipeline,
    plan: Plan,
    subjects: Subjects,
    cells: list[Cell],
    on_batch: Callable[[str], None] = lambda what: None,
) -> None:
    """Make the sounds that are missing.

    Whatever the attention, a sound begins from the same noise.

    Args:
        pipe: the model.
        plan: what is made.
        subjects: of what.
        cells: where to.
        on_batch: told what comes next, before each batch.
    """
    for cell, batch in _missing(plan, cells):
        raise_if_interrupted()
        _, start, stop = batch
        on_batch(f"{cell.length}x, {cell.variant.name}: sounds {start + 1} to {stop}")
        request = request_of(pipe, subjects, cell.length, cell.variant, batch, plan.options)
        result = pipe.run(request, output_type="latent", progress=False)
        for row, name in enumerate(subjects.names[start:stop]):
            blocks = sound_of_request(request, result.audios[row], pipe.decode_blocks, progress=False)
            comment = result.recipes[row].to_json()
            save_audio_blocks(
                cell.folder / f"{name}.wav", blocks, result.sampling_rate, comment=comment, overwrite=True
            )
        write_json(cell.folder / _MADE, {**cell.batches_made(), _key(batch): stop - start})


def batches_missing(plan: Plan, cells: list[Cell]) -> int:
    """How many batches `make_sounds` is going to make."""
    return sum(1 for _ in _missing(plan, cells))


def _missing(plan: Plan, cells: list[Cell]) -> Iterator[tuple[Cell, tuple[int, int, int]]]:
    for length in plan.lengths:
        for batch in plan.batches:
            for cell in cells:
                if cell.length == length and _key(batch) not in cell.batches_made():
                    yield cell, batch


def _key(batch: tuple[int, int, int]) -> str:
    seed, start, _ = batch
    return f"{seed}-{start}"


def request_of(
    pipe: AudioLDM2Pipeline,
    subjects: Subjects,
    length: int,
    variant: Variant,
    batch: tuple[int, int, int],
    options: Mapping[str, Any],
) -> Request:
    """What is asked of the pipeline for one batch.

    Args:
        pipe: the model.
        subjects: the captions.
        length: in training lengths.
        variant: the kind of attention.
        batch: one of `Plan.batches`.
        options: how it is sampled, as of `RequestOptions`.

    Raises:
        MetricError: when the model does not say how long a training length is.
    """
    seed, start, stop = batch
    training_length = pipe.geometry.training_length_in_s
    if training_length is None:
        raise MetricError("the UNet's sample_size does not say how long the clips of its training were")
    all_options: Any = {**options, **variant.options}
    return pipe.request(
        list(subjects.captions[start:stop]),
        audio_length_in_s=length * training_length,
        seed=seed,
        first_waveform=list(range(start, stop)),
        **all_options,
    )
