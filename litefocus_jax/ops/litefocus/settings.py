"""What LiteFocus attends to, and which setting is for which length of sound."""

import dataclasses
import math
from typing import Literal, get_args

Overlap = Literal["concat", "union"]
Resample = Literal["call", "step", "once"]

# Of the published models, which the paper measured: what a length is compared with where no other is known.
PUBLISHED_TRAINING_LENGTH_IN_S = 10.24
# What `LiteFocusConfig.for_duration` goes by, in training lengths. From the paper's tables: at 10 s, one training
# length, dense attention is better; at 20 s and 40 s both focus sets together are; at 80 s same-frequency focus alone.
SPARSE_FROM_TRAINING_LENGTHS = 1.5
SAME_FREQUENCY_ALONE_FROM_TRAINING_LENGTHS = 6.0
# The paper ends at 80 s. Beyond this length the setting is `LiteFocusConfig.linear`.
LINEAR_FROM_TRAINING_LENGTHS = 12.0
# Its window is a training length, so that a query sees all that it saw in training to either side; the cap is about
# what a tenth of all tokens is at 50 s in the published shape's second resolution.
LINEAR_MAX_CROSS_TOKENS = 512


@dataclasses.dataclass(frozen=True)
class LiteFocusConfig:
    """What a UNet's self-attention attends to, and where.

    With a window and a cap on the drawn tokens, at all levels, cost and memory grow in proportion to the length
    (`LiteFocusConfig.linear`).

    Attributes:
        same_frequency: attend to the tokens of the query's own frequency.
        cross_frequency: attend to tokens drawn at random from all tokens, the same ones for every query.
        sparse_ratio: fraction of all tokens drawn for ``cross_frequency``, rounded down, but at least one token
            unless it is 0.
        overlap: how a drawn token of the query's own frequency counts when both sets are on: twice (``"concat"``, the
            authors' code), or once (``"union"``, the paper's equation 4).
        resample: when new tokens are drawn: at every attention call (``"call"``, the authors' code), once per
            denoising step for each level (``"step"``), or once per generation (``"once"``).
        levels: resolution levels of the UNet, 0 being the full one, whose self-attention is replaced; on the way
            down and on the way up alike, and in the middle block with the last level. ``"all"`` are those that have
            attention. Elsewhere attention is dense; everywhere, where no level is named, which only
            ``scale_scores`` gives a meaning.
        max_cross_tokens: the most tokens drawn for ``cross_frequency`` at a level, or None for no such limit.
        window_in_s: bounds ``same_frequency``. Time is cut into blocks of this length, from the first frame on, and a
            query sees its own block and the one on either side: all that is within a window's length of it, and three
            windows in all. At the ends of the sound there are only two. None sees all times.
        window_in_frames: the same in latent frames of level 0, halved with every level and rounded up; see
            `in_frames`. At most one of the two is given.
        scale_scores: multiply the attention scores of every query by ``sqrt(log n / log m)``, where n is the number of
            keys that it sees and m the number in dense attention at the training length, so that its attention is
            about as widely spread as in training (arXiv 2306.08645). At all levels, the dense ones too.

    Raises:
        ValueError: naming the field, when both sets are off or a value is out of range.
    """

    same_frequency: bool = True
    cross_frequency: bool = True
    sparse_ratio: float = 0.1
    overlap: Overlap = "concat"
    resample: Resample = "call"
    levels: tuple[int, ...] | Literal["all"] = (1,)
    max_cross_tokens: int | None = None
    window_in_s: float | None = None
    window_in_frames: int | None = None
    scale_scores: bool = False

    def __post_init__(self) -> None:
        if not (self.same_frequency or self.cross_frequency):
            raise ValueError("same_frequency and cross_frequency are both False; expected at least one True")
        if not 0.0 <= self.sparse_ratio <= 1.0:
            raise ValueError(f"sparse_ratio = {self.sparse_ratio}; expected a fraction between 0 and 1")
        if not self.same_frequency and self.sparse_ratio == 0.0:
            raise ValueError("sparse_ratio = 0 leaves nothing to attend to while same_frequency is False")
        for name, value, known in (("overlap", self.overlap, Overlap), ("resample", self.resample, Resample)):
            if value not in get_args(known):
                raise ValueError(f"{name} = {value!r}; expected one of {', '.join(get_args(known))}")
        self._check_levels()
        for name in ("max_cross_tokens", "window_in_frames"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise ValueError(f"{name} = {value!r}; expected a whole number from 1, or None")
        if self.window_in_s is not None:
            if not (math.isfinite(self.window_in_s) and self.window_in_s > 0):
                raise ValueError(f"window_in_s = {self.window_in_s}; expected a positive, finite number of seconds")
            if self.window_in_frames is not None:
                raise ValueError("window_in_s and window_in_frames are both given; expected one of them")

    def _check_levels(self) -> None:
        if self.levels == "all":
            return
        if not isinstance(self.levels, tuple):
            raise ValueError(f"levels = {self.levels!r}; expected a tuple of levels, such as (1,), or 'all'")
        if not self.levels and not self.scale_scores:
            raise ValueError("levels = (); expected at least one level, such as (1,), unless scale_scores is on")
        for level in self.levels:
            if not isinstance(level, int) or level < 0 or self.levels.count(level) > 1:
                raise ValueError(f"levels = {self.levels!r}; expected distinct whole numbers from 0")

    @classmethod
    def for_duration(cls, seconds: float, training_length_in_s: float | None = None) -> "LiteFocusConfig | None":
        """The setting for sound of this length, which is what ``"auto"`` means: as far as it goes, the paper's.

        Args:
            seconds: length of the sound.
            training_length_in_s: seconds of the clips that the model was trained on
                (`LatentGeometry.training_length_in_s`); 10.24, as of the published models, unless given.

        Returns:
            ``None`` (dense attention) under 1.5 training lengths, both focus sets from there, same-frequency focus
            alone from 6 training lengths, and `linear` from 12.

        Raises:
            ValueError: when one of the two is not a positive, finite number.
        """
        if training_length_in_s is None:
            training_length_in_s = PUBLISHED_TRAINING_LENGTH_IN_S
        for name, value in (("seconds", seconds), ("training_length_in_s", training_length_in_s)):
            if not (math.isfinite(value) and value > 0):
                raise ValueError(f"{name} = {value}; expected a positive, finite duration")
        training_lengths = seconds / training_length_in_s
        if training_lengths < SPARSE_FROM_TRAINING_LENGTHS:
            return None
        if training_lengths < LINEAR_FROM_TRAINING_LENGTHS:
            return cls(cross_frequency=training_lengths < SAME_FREQUENCY_ALONE_FROM_TRAINING_LENGTHS)
        return cls.linear(training_length_in_s)

    @classmethod
    def linear(cls, training_length_in_s: float | None = None) -> "LiteFocusConfig":
        """Both focus sets with a window and a cap, at all levels: cost and memory in proportion to the length.

        Args:
            training_length_in_s: the window, as for `for_duration`.

        Raises:
            ValueError: when it is not a positive, finite number.
        """
        window = PUBLISHED_TRAINING_LENGTH_IN_S if training_length_in_s is None else training_length_in_s
        return cls(levels="all", window_in_s=window, max_cross_tokens=LINEAR_MAX_CROSS_TOKENS)

    @property
    def samples_tokens(self) -> bool:
        """Whether tokens are drawn at all."""
        return self.cross_frequency and self.sparse_ratio > 0.0

    def num_cross_tokens(self, num_tokens: int) -> int:
        """How many tokens are drawn from so many."""
        if not self.samples_tokens:
            return 0
        count = max(1, int(num_tokens * self.sparse_ratio))
        return count if self.max_cross_tokens is None else min(count, self.max_cross_tokens)

    def applies_to(self, level: int) -> bool:
        """Whether a level's self-attention is replaced."""
        return self.levels == "all" or level in self.levels

    def in_frames(self, frame_in_s: float) -> "LiteFocusConfig":
        """The same setting with its window in latent frames, which is how attention, ignorant of seconds, takes it.

        Args:
            frame_in_s: seconds in one latent frame of the full resolution.
        """
        if self.window_in_s is None:
            return self
        frames = max(1, round(self.window_in_s / frame_in_s))
        return dataclasses.replace(self, window_in_s=None, window_in_frames=frames)

    def at_level(self, level: int) -> "LiteFocusConfig":
        """The same setting with its window in the frames of a level, each of which is twice as long as those above."""
        if self.window_in_frames is None:
            return self
        return dataclasses.replace(self, window_in_frames=-(-self.window_in_frames // 2**level))
