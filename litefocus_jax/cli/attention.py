"""From options of the command line to the attention that they mean."""

import dataclasses
from typing import TYPE_CHECKING, Literal

import typer

if TYPE_CHECKING:
    from litefocus_jax.ops.litefocus.settings import LiteFocusConfig

AttentionChoice = Literal["auto", "on", "linear", "off"]
"""Where the other options begin: at what the library chooses, or at LiteFocus, linear or dense attention."""


def check_options(
    choice: AttentionChoice,
    *,
    sparse_ratio: float | None,
    max_cross_tokens: int | None,
    window: float | None,
    scale_scores: bool,
) -> None:
    """Refuse options that have no meaning beside the choice; None stands for those that are not given.

    Raises:
        typer.BadParameter: naming the option.
    """
    sparse = {"--sparse-ratio": sparse_ratio, "--max-cross-tokens": max_cross_tokens, "--window": window}
    for option, value in sparse.items():
        if value is not None and choice not in ("on", "linear"):
            raise typer.BadParameter("needs --litefocus on or linear", param_hint=option)
    if scale_scores and choice == "auto":
        raise typer.BadParameter("needs --litefocus on, linear or off", param_hint="--scale-scores")


def litefocus_config(
    choice: Literal["on", "linear", "off"],
    *,
    sparse_ratio: float | None = None,
    max_cross_tokens: int | None = None,
    window: float | None = None,
    scale_scores: bool = False,
    training_length_in_s: float | None = None,
) -> "LiteFocusConfig | None":
    """The attention that the options name, None being dense.

    ``training_length_in_s`` is the model's, for `LiteFocusConfig.linear`; None where it is not known.

    Raises:
        ValueError: when a value is out of range.
    """
    if choice == "off" and not scale_scores:
        return None
    from litefocus_jax.ops.litefocus.settings import LiteFocusConfig

    if choice == "off":
        return LiteFocusConfig(levels=(), scale_scores=True)
    start = LiteFocusConfig() if choice == "on" else LiteFocusConfig.linear(training_length_in_s)
    changes = {"sparse_ratio": sparse_ratio, "max_cross_tokens": max_cross_tokens, "window_in_s": window}
    given = {name: value for name, value in changes.items() if value is not None}
    return dataclasses.replace(start, **given, scale_scores=scale_scores)
