"""A checkpoint whose names and shapes have been checked and whose values are still on disk."""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from flax import nnx

from litefocus_jax import config
from litefocus_jax.checkpoint import modules
from litefocus_jax.checkpoint.lazy import Tensors
from litefocus_jax.checkpoint.rules import CheckpointError, Rule, check, convert
from litefocus_jax.checkpoint.sub_models import SUB_MODELS, SubModel
from litefocus_jax.models.clap import ClapTextModel
from litefocus_jax.models.gpt2 import GPT2
from litefocus_jax.models.projection import ProjectionModel
from litefocus_jax.models.t5 import T5Encoder
from litefocus_jax.models.unet import UNet
from litefocus_jax.models.vae import VAE
from litefocus_jax.models.vocoder import Vocoder


@dataclasses.dataclass(frozen=True)
class Components:
    """The parts of an AudioLDM2, under diffusers' names. Each module holds its configuration as ``.config``.

    Attributes:
        unet: the denoiser.
        vae: mel spectrogram to latent and back.
        vocoder: mel spectrogram to sound.
        text_encoder: CLAP's text tower.
        text_encoder_2: Flan-T5's encoder.
        language_model: GPT-2.
        projection_model: from the text encoders to GPT-2.
        scheduler: the noise schedule.
        tokenizer: folder of CLAP's tokenizer.
        tokenizer_2: folder of T5's tokenizer.
        dtype: floating-point type of the weights, such as ``"bfloat16"``; VAE and vocoder are float32 in any case.
    """

    unet: UNet
    vae: VAE
    vocoder: Vocoder
    text_encoder: ClapTextModel
    text_encoder_2: T5Encoder
    language_model: GPT2
    projection_model: ProjectionModel
    scheduler: config.SchedulerConfig
    tokenizer: Path
    tokenizer_2: Path
    dtype: str

    @property
    def modules(self) -> dict[str, Any]:
        """The sub-models with weights, by folder name."""
        return {sub_model.folder: getattr(self, sub_model.folder) for sub_model in SUB_MODELS}


@dataclasses.dataclass(frozen=True)
class StoredSubModel:
    """One sub-model on disk.

    Attributes:
        folder: where it lies.
        config: its configuration.
        module: without weights, from `modules.abstract`.
        tensors: the stored tensors, unread.
        rules: from the names of ``tensors`` to the leaves of ``module``.
        ignored: patterns of the tensors that stay unused.
    """

    folder: Path
    config: config.JsonConfig
    module: nnx.Module
    tensors: Tensors
    rules: tuple[Rule, ...]
    ignored: tuple[str, ...] = ()

    @property
    def parameters(self) -> int:
        """Number of scalar weights in the model."""
        return modules.parameter_count(self.module)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the stored tensors, unused ones included."""
        return sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in self.tensors.values())

    def check(self) -> None:
        """Check names, shapes and types of the tensors.

        Raises:
            CheckpointError: listing everything that does not fit.
        """
        check(self.tensors, self.rules, modules.leaves(self.module), self.ignored, str(self.folder))

    def load(self, dtype: Any) -> nnx.Module:
        """Read the weights into a module, cast to ``dtype``.

        Raises:
            CheckpointError: when the weights do not fit the module, or are not finite.
        """
        targets = modules.leaves(self.module)
        arrays = convert(self.tensors, self.rules, targets, self.ignored, str(self.folder))
        return modules.fill(self.module, arrays, dtype)


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk.

    Attributes:
        folder: where it lies.
        format: ``"native"`` or ``"diffusers"``.
        dtype: the floating-point type it is to be loaded in unless asked otherwise.
        sub_models: by folder name, in the order of `SUB_MODELS`.
        scheduler: the noise schedule.
        tokenizer: folder of CLAP's tokenizer.
        tokenizer_2: folder of T5's tokenizer.
    """

    folder: Path
    format: str
    dtype: str
    sub_models: Mapping[str, StoredSubModel]
    scheduler: config.SchedulerConfig
    tokenizer: Path
    tokenizer_2: Path

    @property
    def configs(self) -> dict[str, Any]:
        """The configuration of each sub-model, by folder name."""
        return {name: stored.config for name, stored in self.sub_models.items()}

    def load(self, dtype: Any = None, on_sub_model: Callable[[str], None] = lambda name: None) -> Components:
        """Read all weights, one sub-model after another.

        Args:
            dtype: floating-point type of the weights, VAE and vocoder excepted; `Checkpoint.dtype` unless given.
            on_sub_model: told the name of each sub-model before it is read.

        Raises:
            CheckpointError: when weights are not finite or do not fit the type.
            ValueError: when ``dtype`` is not float32, bfloat16 or float16.
        """
        dtype = modules.floating_dtype(self.dtype if dtype is None else dtype)
        loaded: dict[str, Any] = {}
        for sub_model in SUB_MODELS:
            on_sub_model(sub_model.folder)
            loaded[sub_model.folder] = self.sub_models[sub_model.folder].load(sub_model.weights_dtype(dtype))
        return Components(
            **loaded,
            scheduler=self.scheduler,
            tokenizer=self.tokenizer,
            tokenizer_2=self.tokenizer_2,
            dtype=dtype.name,
        )


def open_checkpoint_folder(
    folder: Path,
    *,
    format: str,
    dtype: str,
    open_sub_model: Callable[[SubModel], StoredSubModel],
) -> Checkpoint:
    """Open and check every sub-model, scheduler and tokenizer of a folder.

    Args:
        folder: the checkpoint.
        format: its format's name.
        dtype: the type it is to be loaded in.
        open_sub_model: opens one sub-model in that format.

    Raises:
        CheckpointError: one message with what is wrong in any part.
    """
    names = (*(sub_model.folder for sub_model in SUB_MODELS), "scheduler", "tokenizer", "tokenizer_2")
    if missing := [name for name in names if not (folder / name).is_dir()]:
        raise CheckpointError(f"{folder} is incomplete; it lacks the folders {', '.join(missing)}")
    problems = []
    sub_models = {}
    for sub_model in SUB_MODELS:
        try:
            stored = open_sub_model(sub_model)
            stored.check()
            sub_models[sub_model.folder] = stored
        except (CheckpointError, config.ConfigError) as error:
            problems.append(str(error))
    scheduler = None
    try:
        scheduler = config.SchedulerConfig.from_file(folder / "scheduler" / "scheduler_config.json")
    except config.ConfigError as error:
        problems.append(str(error))
    tokenizers = folder / "tokenizer", folder / "tokenizer_2"
    problems += [
        f"{tokenizer} is empty; expected a tokenizer as transformers saves it"
        for tokenizer in tokenizers
        if not any(tokenizer.iterdir())
    ]
    if problems or scheduler is None:
        raise CheckpointError("\n".join(problems))
    return Checkpoint(folder, format, dtype, sub_models, scheduler, *tokenizers)
