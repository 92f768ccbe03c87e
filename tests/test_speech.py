"""An AudioLDM2 for speech on the way of the others: what is to be said, its files, and what cannot be done."""

import functools
from pathlib import Path
from typing import Any

import numpy as np

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.checkpoint.random_model import save_random_model
from tests.support.models import tiny_checkpoint

BRIEF: Any = {"audio_length_in_s": 0.4, "num_inference_steps": 2, "litefocus": None, "progress": False}
HELLO = "həlˈoʊ wˈɜːld"


@functools.cache
def small_speech() -> Path:
    folder = tiny_checkpoint().with_name("small-speech")
    save_random_model(folder, size="tiny-speech")
    return folder


@functools.cache
def pipeline() -> AudioLDM2Pipeline:
    return AudioLDM2Pipeline.from_pretrained(small_speech())


def test_it():
    r = pipeline()("a woman", phonemes=HELLO, **BRIEF)
    assert np.isfinite(r.audios).all()
