"""Self-attention as it runs: which tokens see which, in latent frames, decided before anything is compiled."""

import dataclasses
from typing import Literal, get_args

from litefocus_jax.ops.token_merging import TokenMerging

Overlap = Literal["concat", "union"]
Resample = Literal["call", "step", "once"]


@dataclasses.dataclass(frozen=True)
class FocusSets:
    """The two sets of tokens that LiteFocus lets a token see, and where in a network.

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
            attention. Elsewhere attention is dense. Here a level means every self-attention of it: on AudioLDM2-large
            ``(1,)`` are 60, of which the authors' code changes 20; see the last two.
        max_cross_tokens: the most tokens drawn for ``cross_frequency`` at a level, or None for no such limit.
        transformers: of the transformers that follow a resnet, how many are sparse, the first ones; None for all.
        transformer_blocks: of the blocks of such a transformer, likewise.

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
    transformers: int | None = None
    transformer_blocks: int | None = None

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
        for name in ("max_cross_tokens", "transformers", "transformer_blocks"):
            most = getattr(self, name)
            if most is not None and (not isinstance(most, int) or isinstance(most, bool) or most < 1):
                raise ValueError(f"{name} = {most!r}; expected a whole number from 1, or None")
        if self.levels == "all":
            return
        if not isinstance(self.levels, tuple) or not self.levels:
            raise ValueError(f"levels = {self.levels!r}; expected a tuple of levels, such as (1,), or 'all'")
        for level in self.levels:
            if not isinstance(level, int) or level < 0 or self.levels.count(level) > 1:
                raise ValueError(f"levels = {self.levels!r}; expected distinct whole numbers from 0")

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


@dataclasses.dataclass(frozen=True)
class AttentionLayout:
    """The self-attention of a whole network; static in compiled programs. As it is by default, it is dense.

    `LiteFocusConfig.layout` makes one from a wish in seconds.

    Attributes:
        sets: what is seen where attention is sparse; None where it is dense everywhere.
        reach: bounds the query's own frequency, in frames of level 0; None sees all times. Time is cut into blocks of
            this length, from the first frame on, and a query sees its own block and the one on either side.
        scale_scores: multiply the attention scores of every query by ``sqrt(log n / log m)``, where n is the number of
            keys that it sees and m the number in dense attention at the training length, so that its attention is
            about as widely spread as in training (arXiv 2306.08645). At all levels, the dense ones too.
        merging: tokens that attend as one, or None; only where attention is dense and scores are as they are.

    Raises:
        ValueError: when ``reach`` is not a positive whole number, or is given without sets; or tokens are merged beside
            sets or scaled scores.
    """

    sets: FocusSets | None = None
    reach: int | None = None
    scale_scores: bool = False
    merging: TokenMerging | None = None

    def __post_init__(self) -> None:
        if self.merging is not None and (self.sets is not None or self.scale_scores):
            raise ValueError("merging is given beside sets or scale_scores; expected dense attention as it is")
        if self.reach is None:
            return
        if not isinstance(self.reach, int) or isinstance(self.reach, bool) or self.reach < 1:
            raise ValueError(f"reach = {self.reach!r}; expected a whole number of frames from 1, or None")
        if self.sets is None:
            raise ValueError(f"reach = {self.reach}, but dense attention has no reach; expected sets, or None")

    def sets_at(self, level: int, transformer: int = 0, block: int = 0) -> FocusSets | None:
        """What is seen in a part of the network, or None where attention is dense.

        Args:
            level: of the network.
            transformer: number of one of those that follow a resnet there.
            block: number of one of its blocks.
        """
        sets = self.sets
        if sets is None or not (sets.levels == "all" or level in sets.levels):
            return None
        places = ((transformer, sets.transformers), (block, sets.transformer_blocks))
        return sets if all(count is None or number < count for number, count in places) else None

    def reach_at(self, level: int) -> int | None:
        """The reach in frames of a level, each of which is twice as long as those of the level above."""
        return None if self.reach is None else -(-self.reach // 2**level)


DENSE = AttentionLayout()
"""Every token sees every other."""
