"""What a user asks of attention, in seconds, and which setting is for which length of sound."""

import dataclasses
import math
from collections.abc import Sequence
from typing import Annotated, Literal

from litefocus_jax.ops.litefocus.layout import AttentionLayout, FocusSets
from litefocus_jax.system.typed_json import Range

# Of the published models, which the paper measured: what a length is compared with where no other is known.
PUBLISHED_TRAINING_LENGTH_IN_S = 10.24
# Its reach is a training length, so that a query sees all that it saw in training to either side; the cap is about
# what a tenth of all tokens is at 50 s in the published shape's second resolution.
LINEAR_MAX_CROSS_TOKENS = 512


@dataclasses.dataclass(frozen=True)
class FromLength:
    """What ``"auto"`` chooses from some length of sound on.

    Attributes:
        training_lengths: from how many, of the model.
        focus: both sets of `FocusSets`, one of them alone, or `LiteFocusConfig.linear`.
        sparse_ratio: share of the tokens that are drawn, where ``focus`` is ``"both"`` or ``"cross_frequency"``.
    """

    training_lengths: Annotated[float, Range(0.001, 1_000_000.0)]
    focus: Literal["both", "same_frequency", "cross_frequency", "linear"]
    sparse_ratio: Annotated[float, Range(0.001, 1.0)] = 0.1

    def setting(self, training_length_in_s: float) -> "LiteFocusConfig":
        """The setting for a model of this training length, in seconds."""
        if self.focus == "linear":
            return LiteFocusConfig.linear(training_length_in_s)
        return LiteFocusConfig(
            same_frequency=self.focus != "cross_frequency",
            cross_frequency=self.focus != "same_frequency",
            sparse_ratio=self.sparse_ratio,
        )


PAPER_BY_LENGTH = (FromLength(1.5, "both"), FromLength(6.0, "same_frequency"), FromLength(12.0, "linear"))
"""From the paper's tables: at 10 s, one training length, dense attention is better; at 20 s and 40 s both focus sets
together are; at 80 s same-frequency focus alone. The paper ends there. A model of which something else is known says so
(`GenerationDefaults`)."""


@dataclasses.dataclass(frozen=True)
class LiteFocusConfig(FocusSets):
    """What a UNet's self-attention attends to, and where: `FocusSets`, and how far the own frequency reaches.

    With a reach and a cap on the drawn tokens, at all levels, cost and memory grow in proportion to the length
    (`LiteFocusConfig.linear`).

    Attributes:
        reach_in_s: bounds ``same_frequency``. Time is cut into blocks of this length, from the first frame on, and a
            query sees its own block and the one on either side: all that is within the reach of it, and three blocks
            in all. At the ends of the sound there are only two. None sees all times.

    Raises:
        ValueError: naming the field, when both sets are off or a value is out of range.
    """

    reach_in_s: float | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.reach_in_s is not None and not (math.isfinite(self.reach_in_s) and self.reach_in_s > 0):
            raise ValueError(f"reach_in_s = {self.reach_in_s}; expected a positive, finite number of seconds")

    @classmethod
    def for_duration(
        cls,
        seconds: float,
        training_length_in_s: float | None = None,
        *,
        by_length: Sequence[FromLength] = PAPER_BY_LENGTH,
    ) -> "LiteFocusConfig | None":
        """The setting for sound of this length, which is what ``"auto"`` means: as far as it goes, the paper's.

        Args:
            seconds: length of the sound.
            training_length_in_s: seconds of the clips that the model was trained on
                (`LatentGeometry.training_length_in_s`); 10.24, as of the published models, unless given.
            by_length: what is chosen from which length on, in ascending order.

        Returns:
            Of those whose length the sound has, the last one's; ``None`` (dense attention) for shorter sound. Unless
            something else is given: both focus sets from 1.5 training lengths, same-frequency focus alone from 6, and
            `linear` from 12.

        Raises:
            ValueError: when one of the two is not a positive, finite number.
        """
        if training_length_in_s is None:
            training_length_in_s = PUBLISHED_TRAINING_LENGTH_IN_S
        for name, value in (("seconds", seconds), ("training_length_in_s", training_length_in_s)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} = {value}; expected a positive, finite duration")
        training_lengths = seconds / training_length_in_s
        reached = [step for step in by_length if step.training_lengths <= training_lengths]
        return reached[-1].setting(training_length_in_s) if reached else None

    @classmethod
    def linear(cls, training_length_in_s: float | None = None) -> "LiteFocusConfig":
        """Both focus sets with a reach and a cap, at all levels: cost and memory in proportion to the length.

        Args:
            training_length_in_s: the reach, as for `for_duration`.

        Raises:
            ValueError: when it is not a positive, finite number.
        """
        reach = PUBLISHED_TRAINING_LENGTH_IN_S if training_length_in_s is None else training_length_in_s
        return cls(levels="all", reach_in_s=reach, max_cross_tokens=LINEAR_MAX_CROSS_TOKENS)

    @classmethod
    def authors(cls) -> "LiteFocusConfig":
        """LiteFocus as its authors' code has it (``inject_lite_focus`` of Yuanshi9815/LiteFocus, aa4f489).

        It changes the first block of the first three transformers after each resnet of level 1: 20 self-attentions. In
        models of the size of AudioLDM2 these are all of that level, and this is the same as ``LiteFocusConfig()``. In
        AudioLDM2-large, which has four transformers of two blocks, ``LiteFocusConfig()`` changes all 60.
        """
        return cls(transformers=3, transformer_blocks=1)

    def layout(self, frame_in_s: float, *, scale_scores: bool = False) -> AttentionLayout:
        """What runs: the same setting in latent frames.

        Args:
            frame_in_s: seconds in one latent frame of the full resolution.
            scale_scores: see `AttentionLayout`.
        """
        sets = FocusSets(**{field.name: getattr(self, field.name) for field in dataclasses.fields(FocusSets)})
        reach = None if self.reach_in_s is None else max(1, round(self.reach_in_s / frame_in_s))
        return AttentionLayout(sets, reach, scale_scores)
