"""Commands as a test gives them, and a small fake in place of the pipeline."""

import functools
from pathlib import Path

import numpy as np
from typer.testing import CliRunner

import litefocus_jax.checkpoint.store
import litefocus_jax.pipeline
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.store import open_checkpoint
from litefocus_jax.cli import app
from litefocus_jax.generation.output import AudioPipelineOutput
from litefocus_jax.generation.sounding import sound_of_request
from tests.support.models import tiny_checkpoint


class FakePipeline:
    """Remembers what it was to run and how, and makes a tenth of a second of a quiet tone for every sound."""

    def __init__(self):
        self.opened = []
        self.loaded = []
        self.requests = []
        self.arguments = []
        self.decoded = []
        self.adapters = []

    def open_checkpoint(self, model, *, revision=None):
        if model == "broken":
            raise CheckpointError("2 tensors are missing:\n  unet.conv_in.weight [8, 8, 3, 3]")
        self.opened.append(model)
        return open_tiny()

    def from_checkpoint(self, checkpoint, *, dtype=None):
        self.loaded.append(dtype)
        return self

    def load_lora_weights(self, path, *, scale=1.0):
        self.adapters.append((str(path), scale))

    @property
    def prompts(self):
        """The prompts of each request."""
        return [request.prompts for request in self.requests]

    def run(self, request, **arguments):
        self.requests.append(request)
        self.arguments.append(arguments)
        if "interrupt" in request.prompts[0]:
            raise KeyboardInterrupt
        if "explode" in request.prompts[0]:
            raise RuntimeError(request.prompts[0])
        return AudioPipelineOutput(np.zeros((request.batch_size, 3, 8, 4), np.float32), 16000)

    def decode_blocks(self, latents, audio_length_in_s=None, *, loop=False, progress=True):
        self.decoded.append((audio_length_in_s, progress))
        yield from np.full((4, 400), 0.1, np.float32)

    def decode_sounds(self, request, latents, *, gather=True, progress=True):
        return (sound_of_request(request, sound, self.decode_blocks, progress=progress) for sound in latents)

    @classmethod
    def put_in_place(cls, monkeypatch, folder):
        """A pipeline that commands open from now on, in place of the real one; they run in the folder."""
        pipeline = cls()
        monkeypatch.setattr(litefocus_jax.pipeline, "AudioLDM2Pipeline", pipeline)
        monkeypatch.setattr(litefocus_jax.checkpoint.store, "open_checkpoint", pipeline.open_checkpoint)
        monkeypatch.chdir(folder)
        return pipeline


@functools.cache
def open_tiny():
    """What `FakePipeline` opens for any model."""
    return open_checkpoint(tiny_checkpoint())


def run(*arguments):
    """What a command does, ``litefocus-jax`` itself left out."""
    return CliRunner().invoke(app, [str(argument) for argument in arguments])


def generate(*arguments):
    """The same of ``generate`` with a model that `FakePipeline` takes for any other."""
    return run("generate", "-m", "model", *arguments)


def written(folder="."):
    """All files of a folder and of those in it."""
    return sorted(str(path.relative_to(folder)) for path in Path(folder).rglob("*") if path.is_file())
