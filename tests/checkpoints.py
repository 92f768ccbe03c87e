"""Checkpoints that tests share; built once per test session because writing them is most of a test's time."""

import functools
import tempfile
from pathlib import Path

from litefocus_jax import AudioLDM2Pipeline
from litefocus_jax.random_model import save_random_model


@functools.cache
def tiny_checkpoint() -> Path:
    """A native folder with a tiny random model."""
    folder = Path(tempfile.mkdtemp(prefix="litefocus-jax-")) / "tiny"
    save_random_model(folder, size="tiny", seed=0)
    return folder


@functools.cache
def tiny_pipeline() -> AudioLDM2Pipeline:
    """The pipeline of `tiny_checkpoint`."""
    return AudioLDM2Pipeline.from_pretrained(tiny_checkpoint())
