"""Which sounds of a command run together, and what the library is asked for by each batch of them."""

import dataclasses
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from litefocus_jax.cli.destinations import Destination
from litefocus_jax.cli.orders import SoundOrder

if TYPE_CHECKING:
    from litefocus_jax.generation.options import RequestOptions


@dataclasses.dataclass(frozen=True)
class Batch:
    """Sounds that run together, of one seed and one length.

    Attributes:
        sounds: what they are, and where they go.
    """

    sounds: tuple[tuple[SoundOrder, Destination], ...]

    @property
    def destinations(self) -> list[Destination]:
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
        self,
        *,
        negative_prompt: str | None,
        audio_length_in_s: float | None,
        transcription: str | None = None,
        phonemes: str | None = None,
    ) -> "tuple[list[str], RequestOptions]":
        """The prompts to ask the library for, and the options in which batches differ.

        Args:
            negative_prompt: of prompts without one.
            audio_length_in_s: of prompts without one.
            transcription: of prompts without one.
            phonemes: what is said in all of them, in the place of a transcription.

        Raises:
            ValueError: when some of the prompts have a transcription, and others have not.
        """
        runs = self._runs()
        rows = [run[0].row for run in runs]
        negative = [negative_prompt if row.negative_prompt is None else row.negative_prompt for row in rows]
        said = [transcription if row.transcription is None else row.transcription for row in rows]
        if any(text is not None for text in said) and None in said:
            place = rows[said.index(None)].place
            raise ValueError(f"{place}, column transcription: empty; expected what is said, as of the other prompts")
        own_length = self.first.row.audio_length_in_s
        return [row.prompt for row in rows], {
            "negative_prompt": [text or "" for text in negative] if any(negative) else None,
            "transcription": [text for text in said if text is not None] or None,
            "phonemes": phonemes,
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
    orders: Sequence[Sequence[SoundOrder]], destinations: Sequence[Sequence[Destination]], size: int | None
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
