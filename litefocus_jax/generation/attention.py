"""The attention that a request's choice comes to."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from litefocus_jax.generation.checks import finite_number
from litefocus_jax.generation.options import LiteFocusChoice
from litefocus_jax.models.components import LatentGeometry
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import PAPER_BY_LENGTH, FromLength, LiteFocusConfig
from litefocus_jax.ops.token_merging import TokenMerging


def attention_layout(
    litefocus: LiteFocusChoice,
    geometry: LatentGeometry,
    seen_in_s: float,
    *,
    by_length: Sequence[FromLength] = PAPER_BY_LENGTH,
    scale_scores: bool = False,
    token_merging: float | TokenMerging | None = None,
) -> AttentionLayout:
    """The attention that a choice comes to.

    Args:
        litefocus: see `RequestOptions`.
        geometry: of the model.
        seen_in_s: seconds of sound that the network sees at a time.
        by_length: what ``"auto"`` chooses from which length on; of the model (`GenerationDefaults`).
        scale_scores: see `AttentionLayout`.
        token_merging: see `RequestOptions`.

    Raises:
        TypeError: for a choice of a wrong type.
        ValueError: for an unknown word, or what cannot be combined.
    """
    if not isinstance(scale_scores, bool):
        raise TypeError(f"scale_scores = {scale_scores!r}; expected True or False")
    merging = chosen_merging(token_merging)
    if merging is not None:
        if litefocus not in ("auto", "off", None):
            word = repr(litefocus) if isinstance(litefocus, str) else type(litefocus).__name__
            raise ValueError(f"token_merging = {merging.ratio:g} beside litefocus = {word}; expected one of them")
        if scale_scores:
            raise ValueError(f"token_merging = {merging.ratio:g} beside scale_scores; expected one of them")
        return dataclasses.replace(DENSE, merging=merging)
    config = chosen_litefocus(litefocus, geometry, seen_in_s, by_length)
    if config is None:
        return dataclasses.replace(DENSE, scale_scores=scale_scores)
    return config.layout(geometry.frame_in_s, scale_scores=scale_scores)


def chosen_merging(token_merging: Any) -> TokenMerging | None:
    """The setting that a choice means, None being none.

    Raises:
        TypeError: when it is no number.
        ValueError: when it is out of range.
    """
    if token_merging is None or isinstance(token_merging, TokenMerging):
        return token_merging
    try:
        return TokenMerging(finite_number("token_merging", token_merging))
    except ValueError as error:
        raise ValueError(str(error).replace("ratio", "token_merging", 1)) from None


def chosen_litefocus(
    litefocus: LiteFocusChoice,
    geometry: LatentGeometry,
    seen_in_s: float,
    by_length: Sequence[FromLength] = PAPER_BY_LENGTH,
) -> LiteFocusConfig | None:
    """The setting that a choice means, None being dense attention.

    Takes and raises what `attention_layout` does.
    """
    if litefocus is None or isinstance(litefocus, LiteFocusConfig):
        return litefocus
    if not isinstance(litefocus, str):
        raise TypeError(f"litefocus is a {type(litefocus).__name__}; expected 'auto', None or a LiteFocusConfig")
    training_length = geometry.training_length_in_s
    words: dict[str, Callable[[], LiteFocusConfig | None]] = {
        "auto": lambda: LiteFocusConfig.for_duration(seen_in_s, training_length, by_length=by_length),
        "on": LiteFocusConfig,
        "linear": lambda: LiteFocusConfig.linear(training_length),
        "authors": LiteFocusConfig.authors,
        "off": lambda: None,
    }
    if litefocus not in words:
        raise ValueError(
            f"litefocus = {litefocus!r}; expected {', '.join(map(repr, words))}, None or a LiteFocusConfig"
        )
    return words[litefocus]()
