"""A model as a file with the keys of AudioLDM2's authors: the rules that read one, run backwards."""

import dataclasses
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from litefocus_jax.checkpoint import safetensors_files, weights
from litefocus_jax.checkpoint.errors import CheckpointError, listed
from litefocus_jax.checkpoint.matching import invert
from litefocus_jax.checkpoint.original import averaged_name
from litefocus_jax.checkpoint.original_copies import COPIES
from litefocus_jax.checkpoint.original_kinds import (
    OF_AUDIOLDM,
    OF_AUDIOLDM2,
    OF_CLAP_ALONE,
    OF_SPEECH,
    OF_T5_ALONE,
    Kind,
)
from litefocus_jax.checkpoint.original_shapes import EDGES, T5, UNET, configs_of
from litefocus_jax.diffusion.noise import betas
from litefocus_jax.models.components import Components
from litefocus_jax.models.keys import KeyTable
from litefocus_jax.models.model_type import AUDIOLDM_T5
from litefocus_jax.models.unet.config import ClassConditionedAudioLDM2UNetConfig, UNetConfig
from litefocus_jax.models.unet.heads import head_channels_of
from litefocus_jax.system.files import written_beside
from litefocus_jax.system.json_config import ConfigError

_SUFFIX = ".safetensors"
_ROWS = 32  # of the authors' tables of start and end vectors, of which two are used
_FREE = {("unet", "sample_size"), ("text_encoder", "layer_norm_eps"), ("text_encoder", "pad_token_id")}
"""Fields that no file says: the length of the clips, and what changes the sixth digit."""

_SCHEDULES = {"beta_schedule": ("scaled_linear", "linear"), "prediction_type": ("epsilon",)}


def check_destination_file(path: Path, *, overwrite: bool) -> None:
    """Refuse a destination before any work.

    Raises:
        FileExistsError: when it exists and may not be replaced.
        ValueError: when it has another suffix.
    """
    if path.suffix != _SUFFIX:
        raise ValueError(f"{path} does not end in {_SUFFIX}; expected such a file for a model in the authors' layout")
    if path.exists() and (not overwrite or not path.is_file()):
        raise FileExistsError(f"{path} exists; choose another destination, or overwrite it (--overwrite)")


def save_original(components: Components, path: Path, *, overwrite: bool = False) -> None:
    """Write a model under the authors' keys, whole or not at all.

    What is not part of a model here is left out: AudioMAE, CLAP's tower for sound, the moving average. The authors'
    code loads the file over one of theirs with ``strict=False``.

    Args:
        components: the model, with the heads and the groups that their code has.
        path: a file whose name ends in ``.safetensors``.
        overwrite: replace a file that is there.

    Raises:
        CheckpointError: when their code would compute another network of these weights.
        FileExistsError: when the file exists and may not be replaced.
        ValueError: when it has another suffix.
        OSError: when it cannot be written.
    """
    check_destination_file(path, overwrite=overwrite)
    tensors = original_tensors(components)
    _check_same_networks(components, tensors)
    path.parent.mkdir(parents=True, exist_ok=True)
    with written_beside(path, overwrite=overwrite) as partial:
        safetensors_files.write_file(partial, tensors)


def original_tensors(components: Components) -> dict[str, np.ndarray]:
    """The weights of a model under the authors' keys, with the copies that their code holds, scale and schedule."""
    kind = kind_of(components)
    tensors: dict[str, np.ndarray] = {}
    for name, network in components.model_type.networks.items():
        module = components.modules[name]
        stored = invert(weights.to_numpy(module), network.keys, name)
        if name == "vocoder":
            stored = {key: tensor for key, tensor in stored.items() if key not in ("mean", "scale")}
        rules = tuple(kind.rule(rule) for rule in network.original(module.config))
        tensors |= invert(stored, KeyTable(rules), name)
    if components.model_type.has_language_model:
        for edge in EDGES:
            rows = [tensors.pop(f"{edge}[{row}]") for row in range(2)]
            tensors[edge] = np.concatenate([np.stack(rows), np.zeros((_ROWS - 2, len(rows[0])), rows[0].dtype)])
    if (shared := kind.place(T5) + "shared.weight") in tensors:
        tensors[kind.place(T5) + "encoder.embed_tokens.weight"] = tensors[shared]
    if kind in (OF_AUDIOLDM2, OF_CLAP_ALONE):
        for _, usually_taken, other, _ in COPIES:
            taken = kind.place(usually_taken)
            tensors |= {other + key.removeprefix(taken): tensors[key] for key in tensors if key.startswith(taken)}
    if kind.weights == "ema":  # with which their code samples
        tensors |= {averaged_name(key): tensors[key] for key in tensors if key.startswith(UNET)}
    tensors["betas"] = betas(components.scheduler)
    tensors["scale_factor"] = np.array(components.vae.config.scaling_factor, np.float32)
    return tensors


def kind_of(components: Components) -> Kind:
    """How the authors lay out the file of a model."""
    if components.model_type.has_language_model:
        return OF_SPEECH if components.model_type.speaks else OF_AUDIOLDM2
    if components.model_type is AUDIOLDM_T5:
        return OF_T5_ALONE
    has_several = isinstance(components.unet.config, ClassConditionedAudioLDM2UNetConfig)
    return OF_CLAP_ALONE if has_several else OF_AUDIOLDM


def _check_same_networks(components: Components, tensors: Mapping[str, np.ndarray]) -> None:
    """Refuse a model that the authors' code, of which a file holds no configuration, would take for another.

    Raises:
        CheckpointError: naming each field that would be another.
    """
    model_type, head_channels = components.model_type, head_channels_of(components.unet.config)
    try:
        configs = configs_of(tensors, "the model", model_type, kind_of(components).place, head_channels)
    except ConfigError as error:
        raise CheckpointError(f"the authors' code has no network of these sizes: {error}") from None
    problems = [
        f"scheduler: {name} = {found!r}; theirs has {' or '.join(map(repr, known))}"
        for name, known in _SCHEDULES.items()
        if (found := getattr(components.scheduler, name)) not in known
    ]
    for name, taken in configs.items():
        own = components.modules[name].config
        for field in dataclasses.fields(taken):  # pyright: ignore[reportArgumentType]
            here, there = _plain(own, field.name), _plain(taken, field.name)
            if here != there and (name, field.name) not in _FREE:
                problems.append(f"{name}: {field.name} = {here}; theirs has {there}")
    if problems:
        raise CheckpointError(
            "the authors' code would compute another network of these weights; expected a model as it was trained "
            f"(--heads trained):\n{listed(problems)}"
        )


_PER_LEVEL = {
    "attention_head_dim": "num_heads_per_level",
    "layers_per_block": "layers_per_level",
    "transformer_layers_per_block": "transformer_layers_per_level",
    "cross_attention_dim": "cross_attention_dim_per_level",
    "time_embedding_dim": "time_embed_dim",
}
"""What spells a field of the UNet out, by its name."""


def _plain(config: Any, name: str) -> Any:
    """The value of a field, spelt out; of a float what float32 tells of it."""
    value = getattr(config, _PER_LEVEL[name] if isinstance(config, UNetConfig) and name in _PER_LEVEL else name)
    return float(np.float32(value)) if isinstance(value, float) else value
