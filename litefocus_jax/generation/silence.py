"""Results that nobody can hear."""

import warnings

import numpy as np
from jaxtyping import Float

from litefocus_jax.audio.levels import LevelMeter, SilenceWarning, silence_in_words
from litefocus_jax.generation.recipe import Recipe


def warn_of_silence(recipes: tuple[Recipe, ...], audios: Float[np.ndarray, "sounds samples ..."]) -> None:
    """Warn of each sound that is next to silent as a whole, below -60 dBFS, where the pipeline was called."""
    for recipe, waveform in zip(recipes, audios, strict=True):
        meter = LevelMeter()
        meter.add(waveform)
        if meter.is_silent:
            message = silence_in_words(recipe.prompt, recipe.seed, recipe.waveform, meter.level_in_dbfs)
            warnings.warn(message, SilenceWarning, stacklevel=4)
