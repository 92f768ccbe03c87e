"""Words of a prompt that a model was never taught, told before the sound is made."""

import logging
from collections.abc import Sequence

from litefocus_jax.models.vocabulary import Vocabulary

logger = logging.getLogger(__name__)

_MOST_SHOWN = 6  # words of one prompt


def warn_of_unknown_words(vocabulary: Vocabulary | None, prompts: Sequence[str]) -> None:
    """Log a warning for each different prompt with words that the model does not know, with the kinds that are near.

    Args:
        vocabulary: of the model; None where it does not say, and then nothing is logged.
        prompts: texts.
    """
    if vocabulary is None:
        return
    for prompt in dict.fromkeys(prompts):
        if unknown := vocabulary.unknown_words(prompt):
            logger.warning("%s", unknown_words_notice(vocabulary, unknown))


def unknown_words_notice(vocabulary: Vocabulary, unknown: Sequence[str]) -> str:
    """One sentence that names unknown words, and one of what is near."""
    shown = ", ".join(map(repr, unknown[:_MOST_SHOWN])) + (", ..." if len(unknown) > _MOST_SHOWN else "")
    near = dict.fromkeys(kind for word in unknown[:_MOST_SHOWN] for kind in vocabulary.nearest_kinds(word, 2))
    advice = f"near them in spelling: {', '.join(near)}" if near else f"it knows {', '.join(vocabulary.kinds)}"
    return f"this model was never taught {shown}, and makes what comes nearest; {advice}"
