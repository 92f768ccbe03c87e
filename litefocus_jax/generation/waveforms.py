"""Which of a prompt's waveforms a request makes: with the seed, their numbers decide the noise that they begin with."""

from collections.abc import Sequence
from typing import Any

import numpy as np

_MOST = 10**9  # well within the 32 bits that enter a key


def first_waveforms(
    first_waveform: Any, texts: Sequence[tuple[object, str]], num_waveforms_per_prompt: int
) -> tuple[int, ...]:
    """For each prompt, the number of its first waveform.

    >>> first_waveforms(0, [("rain", ""), ("wind", ""), ("rain", "")], 1)
    (0, 0, 1)

    Args:
        first_waveform: a number for all prompts, from which a text that is repeated goes on counting, or one for each.
        texts: each prompt, with what is said if anything is, and its negative prompt.
        num_waveforms_per_prompt: waveforms of each.

    Raises:
        TypeError: for what is no whole number.
        ValueError: for a number that is negative or too large, or when there are not as many as prompts.
    """
    if isinstance(first_waveform, Sequence) and not isinstance(first_waveform, str | bytes):
        if len(first_waveform) != len(texts):
            raise ValueError(
                f"first_waveform has {len(first_waveform)} numbers for {len(texts)} prompts; expected one for all, or "
                "one for each"
            )
        return tuple(_checked(number) for number in first_waveform)
    first = _checked(first_waveform)
    return tuple(first + texts[:place].count(text) * num_waveforms_per_prompt for place, text in enumerate(texts))


def _checked(number: Any) -> int:
    if isinstance(number, bool) or not isinstance(number, int | np.integer):
        raise TypeError(f"first_waveform = {number!r}; expected a whole number, or one for each prompt")
    if not 0 <= number < _MOST:
        raise ValueError(f"first_waveform = {number}; expected a number from 0 to {_MOST - 1:,}")
    return int(number)
