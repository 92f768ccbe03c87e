"""What a recipe says of the batch that a sound was made in, and of the sound that it was made of."""

import dataclasses

from litefocus_jax.generation.edit import RecordedSound
from litefocus_jax.generation.options import RequestOptions


@dataclasses.dataclass(frozen=True)
class Neighbours:
    """The batch that a sound was made in: programs of another size round in another way.

    Attributes:
        prompts: of the batch, the sound's own among them.
        negative_prompts: as many.
        first_waveforms: for each prompt, the number of its first waveform.
        num_waveforms_per_prompt: sounds made for each prompt.
        row: number of the sound among all of the batch.
        phonemes: what is said, for each prompt, or None where nothing is.

    Raises:
        ValueError: when there is no such row, or not a negative prompt and a first waveform for each prompt.
    """

    prompts: tuple[str, ...]
    negative_prompts: tuple[str, ...]
    first_waveforms: tuple[int, ...]
    num_waveforms_per_prompt: int
    row: int
    phonemes: tuple[str, ...] | None = None

    def __post_init__(self) -> None:
        for name in ("negative_prompts", "first_waveforms", *(() if self.phonemes is None else ("phonemes",))):
            if (count := len(getattr(self, name))) != len(self.prompts):
                raise ValueError(f"{name} has {count} values for {len(self.prompts)} prompts; expected as many")
        if not 0 <= self.row < len(self.prompts) * self.num_waveforms_per_prompt:
            raise ValueError(f"row = {self.row}; expected one of the sounds of the batch, counted from 0")


@dataclasses.dataclass(frozen=True, kw_only=True)
class GivenSound:
    """The sound that a sound was made of.

    Attributes:
        path: of its file as it was given, or None for an array.
        digest: of its samples.
        strength: as of `RequestOptions`, and so the next ones.
        fill: what of it was made anew.
        continue_for_s: seconds that were made after it; 0 for none.
        lead_in_for_s: seconds that were made before it; 0 for none.
        stereo: whether left and right were made.
    """

    path: str | None
    digest: str
    strength: float
    fill: tuple[tuple[float, float], ...]
    continue_for_s: float
    lead_in_for_s: float
    stereo: bool = False

    def request_options(self) -> RequestOptions:
        """What asks for the same of the same sound."""
        return {
            "audio": RecordedSound(self.path or "", self.digest),
            "strength": self.strength,
            "fill": self.fill or None,
            "continue_for_s": self.continue_for_s or None,
            "lead_in_for_s": self.lead_in_for_s or None,
            "stereo": self.stereo,
        }
