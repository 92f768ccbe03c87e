"""The sounds that a command makes: which prompt, which seed, which waveform."""

import dataclasses
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from litefocus_jax.cli.prompt_files import PromptRow, Seed
from litefocus_jax.cli.seeds import draw_seed


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

    A prompt that is given again, with the same seed, negative prompt, transcription and length, gets the waveforms that
    follow.

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
            text = (row.prompt, row.negative_prompt, row.transcription, row.audio_length_in_s, seed)
            first = (first_waveform or 0) + made[text] * num_waveforms
            made[text] += 1
            is_shown = num_waveforms > 1 or first_waveform is not None
            sounds += [SoundOrder(row, seed, first + number, is_shown) for number in range(num_waveforms)]
        orders.append(sounds)
    return orders
