"""A checkpoint whose names and shapes have been checked and whose values are still on disk."""

import dataclasses
import functools
import logging
import math
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flax import nnx

from litefocus_jax.checkpoint import weights
from litefocus_jax.checkpoint.errors import CheckpointError
from litefocus_jax.checkpoint.links import leaving
from litefocus_jax.checkpoint.matching import check, convert
from litefocus_jax.checkpoint.tensors import Tensors
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.components import (
    Components,
    LatentGeometry,
    ModelFacts,
    components_of,
    differences_in_width,
)
from litefocus_jax.models.generation_defaults import PUBLISHED, GenerationDefaults
from litefocus_jax.models.keys import KeyTable, Network
from litefocus_jax.models.model_type import AUDIOLDM2, ModelType
from litefocus_jax.models.parameters import TooManyWeightsError
from litefocus_jax.models.unet.heads import Heads, doubt, with_heads
from litefocus_jax.models.vocabulary import VOCABULARY, Vocabulary
from litefocus_jax.system.interruption import raise_if_interrupted, remembered_interruption
from litefocus_jax.system.json_config import ConfigError, JsonConfig

logger = logging.getLogger(__name__)

_MISSING_LISTED = 500  # weights that may be missing before a network is not even built to name them


@dataclasses.dataclass(frozen=True)
class StoredNetwork:
    """One network on disk.

    Attributes:
        folder: where it lies.
        network: what it is.
        config: its configuration.
        tensors: the stored tensors, unread, in the spelling that the rules of ``keys`` know.
        keys: from the names of ``tensors`` to the parameters of ``network``.
        stored_name: what the file calls the tensor of a parameter, where it is not ``keys`` that say it.
    """

    folder: Path
    network: Network
    config: JsonConfig
    tensors: Tensors
    keys: KeyTable
    stored_name: Callable[[str], str | None] | None = None

    @functools.cached_property
    def module(self) -> nnx.Module:
        """The network without its weights, from `weights.abstract`.

        Raises:
            CheckpointError: when the configuration asks for far more weights than are stored.
        """
        most = 2 * len(self.tensors) + _MISSING_LISTED
        try:
            return weights.abstract(self.network.model_class, self.config, most_weights=most)
        except TooManyWeightsError:
            raise CheckpointError(
                f"{self.folder}: config.json describes a network of more than {most:,} weights, but "
                f"{len(self.tensors):,} are stored; they do not belong together"
            ) from None

    @property
    def parameters(self) -> int:
        """Number of scalar weights in the model."""
        return weights.parameter_count(self.module)

    @property
    def stored_bytes(self) -> int:
        """Bytes of the stored tensors, unused ones included."""
        return sum(math.prod(tensor.shape) * tensor.dtype.itemsize for tensor in self.tensors.values())

    def check(self) -> None:
        """Check names, shapes and types of the tensors.

        Raises:
            CheckpointError: listing everything that does not fit.
        """
        check(self.tensors, self.keys, weights.leaves(self.module), str(self.folder), self.stored_name)

    def load(self, dtype: Any) -> nnx.Module:
        """Read the weights into a module, cast to ``dtype``.

        Raises:
            CheckpointError: when the weights do not fit the module, or are not finite.
        """
        return weights.fill(self.module, self.arrays(), dtype)

    def arrays(self) -> dict[str, np.ndarray]:
        """The weights by our names, as they are stored; where the layout is ours, they stay in their mapped file.

        Raises:
            CheckpointError: when they do not fit the module, or are not finite.
        """
        return convert(self.tensors, self.keys, weights.leaves(self.module), str(self.folder))


@dataclasses.dataclass(frozen=True)
class Checkpoint:
    """A whole checkpoint on disk.

    Attributes:
        folder: where it lies.
        format: ``"native"``, ``"diffusers"`` or ``"original"``.
        dtype: the floating-point type it is to be loaded in unless asked otherwise.
        networks: by folder name, in the order of the type's own.
        scheduler: the noise schedule.
        tokenizers: folders of the tokenizers, by name.
        defaults: how it is sampled where a request does not say.
        vocabulary: what it knows by name, or None where it does not say.
        source: the folder or the hub id as it was asked for, or None where nobody said.
        heads: of the UNet's attention, as `with_heads` was told; None where nobody said.
        model_type: which of the family it is.
    """

    folder: Path
    format: str
    dtype: str
    networks: Mapping[str, StoredNetwork]
    scheduler: SchedulerConfig
    tokenizers: Mapping[str, Path]
    defaults: GenerationDefaults = PUBLISHED
    vocabulary: Vocabulary | None = None
    source: str | None = None
    heads: Heads | None = None
    model_type: ModelType = AUDIOLDM2

    @property
    def configs(self) -> dict[str, Any]:
        """The configuration of each network, by folder name."""
        return {name: stored.config for name, stored in self.networks.items()}

    @property
    def modules(self) -> Mapping[str, StoredNetwork]:
        """`networks`, under the name that `Components` has for its own."""
        return self.networks

    @property
    def facts(self) -> ModelFacts:
        """What is known of the model before its weights are read.

        Raises:
            ValueError: when the networks do not fit together.
        """
        geometry = LatentGeometry.from_configs(**self.configs)
        unet = self.configs["unet"]
        return ModelFacts(geometry, self.scheduler, unet, self.defaults, self.vocabulary, self.model_type)

    def with_heads(self, heads: Heads | None) -> "Checkpoint":
        """The checkpoint with the heads that are asked for in the UNet's attention; its weights are the same.

        Args:
            heads: see `litefocus_jax.models.unet.heads`; None changes nothing.

        Raises:
            ValueError: when ``heads`` is unknown, or the UNet cannot have them.
        """
        if heads is None:
            return self
        unet = self.networks["unet"]
        try:
            config = with_heads(unet.config, heads)  # pyright: ignore[reportArgumentType]
        except ValueError as error:
            raise ValueError(f"{unet.folder}: {error}") from None
        networks = {**self.networks, "unet": dataclasses.replace(unet, config=config)}
        return dataclasses.replace(self, networks=networks, heads=heads)

    def load(self, dtype: Any = None, on_network: Callable[[str], None] = lambda name: None) -> Components:
        """Read all weights, one network after another.

        Where the UNet's heads are in doubt and nobody said which to take, what is known is logged in one line.

        Args:
            dtype: floating-point type of the weights, VAE and vocoder excepted; `Checkpoint.dtype` unless given.
            on_network: told the name of each network before it is read.

        Raises:
            CheckpointError: when weights are not finite or do not fit the type.
            ValueError: when ``dtype`` is not float32, bfloat16 or float16.
        """
        dtype = weights.floating_dtype(self.dtype if dtype is None else dtype)
        if self.heads is None and (known := doubt(self.configs["unet"])) is not None:
            logger.warning("%s: %s", self.networks["unet"].folder / "config.json", known)
        loaded: dict[str, Any] = {}
        with remembered_interruption():
            for name, stored in self.networks.items():
                raise_if_interrupted()
                on_network(name)
                loaded[name] = stored.load(stored.network.weights_dtype(dtype))
        return components_of(
            self.model_type,
            **loaded,
            **self.tokenizers,
            scheduler=self.scheduler,
            dtype=dtype.name,
            defaults=self.defaults,
            vocabulary=self.vocabulary,
        )


def open_checkpoint_folder(
    folder: Path,
    *,
    model_type: ModelType,
    format: str,
    dtype: str,
    open_network: Callable[[Path, Network], StoredNetwork],
    defaults: Any,
    defaults_source: str,
) -> Checkpoint:
    """Open and check every network, scheduler and tokenizer of a folder.

    Args:
        folder: the checkpoint.
        model_type: which of the family it is.
        format: its format's name.
        dtype: the type it is to be loaded in.
        open_network: opens the folder of one network in that format.
        defaults: JSON of how the model is sampled where a request does not say; an empty object where it has none.
        defaults_source: where that was found, for errors.

    Raises:
        CheckpointError: one message with what is wrong in any part.
    """
    names = (*model_type.networks, "scheduler", *model_type.tokenizers)
    problems = leaving(folder)
    if missing := [name for name in names if not (folder / name).is_dir()]:
        problems.append(f"{folder} is incomplete; it lacks the folders {', '.join(missing)} of {model_type.described}")
    networks = {}
    for name, network in model_type.networks.items():
        if name in missing:
            continue
        try:
            stored = open_network(folder / name, network)
            stored.check()
            networks[name] = stored
        except (CheckpointError, ConfigError) as error:
            problems.append(str(error))
    scheduler, read_defaults, vocabulary = None, PUBLISHED, None
    try:
        if "scheduler" not in missing:
            scheduler = SchedulerConfig.from_file(folder / "scheduler" / "scheduler_config.json")
    except ConfigError as error:
        problems.append(str(error))
    try:
        read_defaults = GenerationDefaults.from_dict(defaults, defaults_source, model_type.defaults)
        if scheduler is not None:
            read_defaults.check(scheduler, defaults_source)
    except ConfigError as error:
        problems.append(str(error))
    try:
        if (folder / VOCABULARY).exists():
            vocabulary = Vocabulary.from_file(folder / VOCABULARY)
    except ConfigError as error:
        problems.append(str(error))
    tokenizers = {name: folder / name for name in model_type.tokenizers}
    problems += [
        f"{tokenizer} is empty; expected a tokenizer as transformers saves it"
        for tokenizer in tokenizers.values()
        if tokenizer.is_dir() and not any(tokenizer.iterdir())
    ]
    if len(networks) == len(model_type.networks):
        configs = {name: stored.config for name, stored in networks.items()}
        problems += [f"{folder}: {problem}" for problem in differences_in_width(configs)]
        try:
            LatentGeometry.from_configs(**configs)
        except ValueError as error:
            problems.append(f"{folder}: {error}")
    if problems or scheduler is None:
        raise CheckpointError("\n".join(problems))
    return Checkpoint(
        folder,
        format,
        dtype,
        networks,
        scheduler,
        tokenizers,
        read_defaults,
        vocabulary,
        model_type=model_type,
    )
