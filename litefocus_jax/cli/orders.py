"""The sounds that a command makes: which prompt, which seed, which waveform; and which of them run together."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from litefocus_jax.cli.prompt_files import PromptRow, Seed
from litefocus_jax.cli.seeds import draw_seed

if TYPE_CHECKING:
    from litefocus_jax.cli.destinations import Destination
    from litefocus_jax.generation.request import RequestOptions


@dataclasses.dataclass(frozen=True)
class SoundOrder:
    """One sound to make.

    Attributes:
        row: the prompt and what belongs to it.
        seed: of its noise.
        waveform: number of the waveform, from 0; with the seed it decides the noise.
        shows_waveform: whether the name of its file says so.
    """

    row: PromptRow
    seed: int
    waveform: int
    shows_waveform: bool

    @property
    def ending(self) -> str:
        """What tells its file apart from others of the prompt, such as ``-seed0`` or ``-seed0-1``."""
        return f"-seed{self.seed}{f'-{self.waveform}' if self.shows_waveform else ''}"


def sound_orders(
    rows: Iterable[PromptRow], seeds: Sequence[Seed], num_waveforms: int, first_waveform: int | None
) -> list[list[SoundOrder]]:
    """The sounds of each prompt.

    A prompt that is given again, with the same seed, negative prompt and length, gets the waveforms that follow.

    Args:
        rows: the prompts.
        seeds: for rows without one; None draws one, which all of those share.
        num_waveforms: sounds for each prompt and seed.
        first_waveform: number of the first of them, 0 unless given; when given, names of files tell it.
    """
    drawn = [draw_seed() if seed is None else seed for seed in seeds]
    made: Counter[Any] = Counter()
    orders = []
    for row in rows:
        sounds = []
        for seed in [draw_seed() if seed is None else seed for seed in row.seeds] or drawn:
            text = (row.prompt, row.negative_prompt, row.audio_length_in_s, seed)
            first = (first_waveform or 0) + made[text] * num_waveforms
            made[text] += 1
            is_shown = num_waveforms > 1 or first_waveform is not None
            sounds += [SoundOrder(row, seed, first + number, is_shown) for number in range(num_waveforms)]
        orders.append(sounds)
    return orders


@dataclasses.dataclass(frozen=True)
class Batch:
    """Sounds that run together, of one seed and one length.

    Attributes:
        sounds: what they are, and where they go.
    """

    sounds: "tuple[tuple[SoundOrder, Destination], ...]"

    @property
    def destinations(self) -> "list[Destination]":
        """Where they go."""
        return [destination for _, destination in self.sounds]

    @property
    def first(self) -> SoundOrder:
        """Whose seed and length are those of all."""
        return self.sounds[0][0]

    @property
    def own_arguments(self) -> dict[str, str]:
        """What the library calls values that a file of prompts gave, with the place that they stand at."""
        row = self.first.row
        return {} if row.audio_length_in_s is None else {"audio_length_in_s": f"{row.place}, column duration"}

    def options(
        self, *, negative_prompt: str | None, audio_length_in_s: float | None
    ) -> "tuple[list[str], RequestOptions]":
        """The prompts to ask the library for, and the options in which batches differ.

        Args:
            negative_prompt: of prompts without one.
            audio_length_in_s: of prompts without one.
        """
        runs = self._runs()
        rows = [run[0].row for run in runs]
        negative = [negative_prompt if row.negative_prompt is None else row.negative_prompt for row in rows]
        own_length = self.first.row.audio_length_in_s
        return [row.prompt for row in rows], {
            "negative_prompt": [text or "" for text in negative] if any(negative) else None,
            "audio_length_in_s": audio_length_in_s if own_length is None else own_length,
            "num_waveforms_per_prompt": len(runs[0]),
            "first_waveform": [run[0].waveform for run in runs],
            "seed": self.first.seed,
        }

    def _runs(self) -> list[list[SoundOrder]]:
        """The sounds by prompt: for each one waveforms that follow each other, as many as for the others.

        Where prompts have different numbers of waveforms, each waveform is a prompt of its own.
        """
        runs: list[list[SoundOrder]] = []
        for order, _ in self.sounds:
            last = runs[-1][-1] if runs else None
            if last is not None and last.row is order.row and last.waveform + 1 == order.waveform:
                runs[-1].append(order)
            else:
                runs.append([order])
        if len({len(run) for run in runs}) > 1:
            runs = [[order] for order, _ in self.sounds]
        return runs


def grouped(
    orders: "Sequence[Sequence[SoundOrder]]", destinations: "Sequence[Sequence[Destination]]", size: int | None
) -> list[Batch]:
    """Group sounds into batches: those that share seed and length, in the order in which they were asked for.

    Args:
        orders: the sounds of each prompt.
        destinations: their files.
        size: sounds in a batch, at most; unless given, the waveforms of one prompt and seed are a batch.
    """
    groups: dict[Any, list[tuple[SoundOrder, Destination]]] = {}
    for place, (row, files) in enumerate(zip(orders, destinations, strict=True)):
        for order, file in zip(row, files, strict=True):
            key = (order.seed, order.row.audio_length_in_s, place if size is None else None)
            groups.setdefault(key, []).append((order, file))
    return [
        Batch(tuple(group[start : start + (size or len(group))]))
        for group in groups.values()
        for start in range(0, len(group), size or len(group))
    ]
