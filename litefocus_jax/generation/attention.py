"""The attention that a request's choice comes to."""

import dataclasses
from collections.abc import Callable

from litefocus_jax.generation.options import LiteFocusChoice
from litefocus_jax.models.components import LatentGeometry
from litefocus_jax.ops.litefocus.layout import DENSE, AttentionLayout
from litefocus_jax.ops.litefocus.settings import LiteFocusConfig


def attention_layout(
    litefocus: LiteFocusChoice, geometry: LatentGeometry, seen_in_s: float, *, scale_scores: bool = False
) -> AttentionLayout:
    """The attention that a choice comes to.

    Args:
        litefocus: see `RequestOptions`.
        geometry: of the model.
        seen_in_s: seconds of sound that the network sees at a time.
        scale_scores: see `AttentionLayout`.

    Raises:
        TypeError: for a choice of a wrong type.
        ValueError: for an unknown word.
    """
    if not isinstance(scale_scores, bool):
        raise TypeError(f"scale_scores = {scale_scores!r}; expected True or False")
    config = chosen_litefocus(litefocus, geometry, seen_in_s)
    if config is None:
        return dataclasses.replace(DENSE, scale_scores=scale_scores)
    return config.layout(geometry.frame_in_s, scale_scores=scale_scores)


def chosen_litefocus(litefocus: LiteFocusChoice, geometry: LatentGeometry, seen_in_s: float) -> LiteFocusConfig | None:
    """The setting that a choice means, None being dense attention.

    Takes and raises what `attention_layout` does.
    """
    if litefocus is None or isinstance(litefocus, LiteFocusConfig):
        return litefocus
    if not isinstance(litefocus, str):
        raise TypeError(f"litefocus is a {type(litefocus).__name__}; expected 'auto', None or a LiteFocusConfig")
    training_length = geometry.training_length_in_s
    words: dict[str, Callable[[], LiteFocusConfig | None]] = {
        "auto": lambda: LiteFocusConfig.for_duration(seen_in_s, training_length),
        "on": LiteFocusConfig,
        "linear": lambda: LiteFocusConfig.linear(training_length),
        "off": lambda: None,
    }
    if litefocus not in words:
        raise ValueError(
            f"litefocus = {litefocus!r}; expected {', '.join(map(repr, words))}, None or a LiteFocusConfig"
        )
    return words[litefocus]()
