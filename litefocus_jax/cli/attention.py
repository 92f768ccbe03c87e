"""From options of the command line to the attention that they mean."""

import dataclasses
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from litefocus_jax.ops.litefocus.settings import LiteFocusConfig

AttentionChoice = Literal["auto", "on", "linear", "authors", "off"]
"""Where the other options begin: at what the library chooses, or at LiteFocus, linear attention, LiteFocus as its
authors' code has it, or dense attention."""


@dataclasses.dataclass(frozen=True)
class AttentionOptions:
    """What a command was told of its attention; None stands for options that are not given.

    Attributes:
        litefocus: where the others begin.
        sparse_ratio: share of tokens drawn across frequencies.
        max_cross_tokens: the most of them.
        reach: seconds that the own frequency reaches.

    Raises:
        typer.BadParameter: naming an option that has no meaning beside the choice.
    """

    litefocus: AttentionChoice
    sparse_ratio: float | None = None
    max_cross_tokens: int | None = None
    reach: float | None = None

    def __post_init__(self) -> None:
        for name, value in self._changes.items():
            if value is not None and self.litefocus in ("auto", "off"):
                option = "--reach" if name == "reach_in_s" else f"--{name.replace('_', '-')}"
                raise typer.BadParameter("needs --litefocus on, linear or authors", param_hint=option)

    @property
    def _changes(self) -> dict[str, float | int | None]:
        return {
            "sparse_ratio": self.sparse_ratio,
            "max_cross_tokens": self.max_cross_tokens,
            "reach_in_s": self.reach,
        }

    def choose(self, training_length_in_s: float | None) -> "LiteFocusConfig | AttentionChoice":
        """What the library is told: a word, or a setting of the user's own.

        Args:
            training_length_in_s: of the model, for `LiteFocusConfig.linear`; None where it is not known.

        Raises:
            ValueError: when a value is out of range.
        """
        given = {name: value for name, value in self._changes.items() if value is not None}
        if not given:
            return self.litefocus
        from litefocus_jax.ops.litefocus.settings import LiteFocusConfig

        if self.litefocus == "linear":
            start = LiteFocusConfig.linear(training_length_in_s)
        else:
            start = LiteFocusConfig.authors() if self.litefocus == "authors" else LiteFocusConfig()
        return dataclasses.replace(start, **given)  # pyright: ignore[reportArgumentType]
