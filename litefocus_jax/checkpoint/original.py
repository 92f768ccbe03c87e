"""Checkpoints as AudioLDM2's authors publish them: one file with all networks, no configurations and no tokenizers.

Keys are those of the ``LatentDiffusion`` of haoheliu/AudioLDM2, haoheliu/AudioLDM and RetroCirce/MusicLDM. The rules of
each network rename them to diffusers' (`Network.original`), and its key table goes on from there. Every key is used
once or stands on `IGNORED`. Rules and list are written for the files of AudioLDM2; `Kind.moved` says where the encoders
lie in others.
"""

import dataclasses
import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import get_args

import numpy as np

from litefocus_jax.checkpoint.errors import CheckpointError, listed, tensor_name
from litefocus_jax.checkpoint.matching import rename
from litefocus_jax.checkpoint.opened import Checkpoint, StoredNetwork
from litefocus_jax.checkpoint.original_copies import notices_of_copies
from litefocus_jax.checkpoint.original_kinds import OF_CLAP_ALONE, Found, Kind, Weights, find_kind
from litefocus_jax.checkpoint.original_shapes import CLAP, EDGES, JOINT, PHONEMES, UNET, configs_of
from litefocus_jax.checkpoint.random_model import published_config
from litefocus_jax.checkpoint.spellings import undo_spellings
from litefocus_jax.checkpoint.tensors import LazyArray, Tensors
from litefocus_jax.diffusion.scheduler_config import SchedulerConfig
from litefocus_jax.models.components import LatentGeometry, differences_in_width
from litefocus_jax.models.generation_defaults import PUBLISHED, GenerationDefaults
from litefocus_jax.models.keys import KeyTable, Rule
from litefocus_jax.models.model_type import ModelType
from litefocus_jax.models.t5 import T5Config
from litefocus_jax.models.vocoder import VocoderConfig
from litefocus_jax.system.json_config import ConfigError, JsonConfig

STATE = "state_dict"
"""The entry of a file that holds the tensors; beside it may be what training goes on with."""

_EMA = "model_ema."
_ENCODERS = 2  # whose start and end have a row in these tables: CLAP, and T5 or that of phonemes

IGNORED = (
    # The moving average; with weights="ema" it stands in the place of the UNet's weights.
    _EMA + "{rest}",
    # A second CLAP, with which the authors rank waveforms.
    "clap.{rest}",
    # The T5 that GPT-2 reads: the same network as the one that the UNet reads. In a model for speech phonemes have
    # their encoder there.
    PHONEMES + "{rest}",
    # Of the CLAP that conditions: its tower for sound, and what serves its training.
    CLAP + "{part:audio_branch|audio_projection|audio_transform|text_transform}.{rest}",
    CLAP + "logit_scale_{tower:[at]}",
    JOINT + "cond_stage_models.0.mel_transform.{rest}",
    # AudioMAE, whose vectors GPT-2 learnt to make.
    JOINT + "cond_stage_models.2.audiomae.{rest}",
    # A discriminator, and what else served the training of the VAE.
    "first_stage_model.loss.{rest}",
    # Rows of encoders that there are not.
    JOINT + r"{edge:start|end}_of_sequence_tokens.weight[2:]",
    # The noise schedule, read as a configuration, and what follows from it; likewise the scale of latents.
    "{buffer:betas|logvar|scale_factor|alphas_cumprod|alphas_cumprod_prev|sqrt_alphas_cumprod|sqrt_recip_alphas_cumprod"
    "|sqrt_one_minus_alphas_cumprod|log_one_minus_alphas_cumprod|sqrt_recipm1_alphas_cumprod|posterior_variance"
    "|posterior_log_variance_clipped|posterior_mean_coef1|posterior_mean_coef2}",
)
"""Patterns of the keys that are deliberately unused, or read as a configuration."""


@dataclasses.dataclass(frozen=True)
class OriginalCheckpoint:
    """An original checkpoint that has been checked and whose weights are still on disk.

    Attributes:
        checkpoint: as any other.
        kind: what it is, in words.
        notices: what is to be known of it, a line each.
    """

    checkpoint: Checkpoint
    kind: str
    notices: tuple[str, ...]


def open_original(
    tensors: Tensors,
    path: Path,
    tokenizers: Sequence[Path],
    *,
    variant: str | None = None,
    weights: Weights | None = None,
) -> OriginalCheckpoint:
    """Find out what a file holds, and check names and shapes of all of it; of the weights only copies are compared.

    Args:
        tensors: by the authors' keys.
        path: of the file.
        tokenizers: folders of CLAP's tokenizer and of T5's; for a model that has one of them, that one, or both.
        variant: which of the published checkpoints it is; whichever it is unless given.
        weights: of the UNet; those with which its authors sample unless given.

    Raises:
        CheckpointError: for another model, another variant, anything missing, unknown or misshapen, or sizes that no
            network has.
        ValueError: when ``weights`` or ``variant`` is unknown, or there are too few tokenizers.
    """
    if weights is not None and weights not in get_args(Weights):
        raise ValueError(f"weights = {weights!r}; expected {' or '.join(map(repr, get_args(Weights)))}")
    source = str(path)
    found = find_kind(tensors, source, variant)
    kind, model_type = found.kind, found.model_type
    notices = notices_of_copies(tensors, kind)
    if weights is None:
        weights = kind.weights if any(key.startswith(_EMA) for key in tensors) else "model"
        if weights != "model":
            notices += (
                "the UNet's moving average is taken, with which its authors sample (--weights model takes the "
                "weights as they were trained last)",
            )
    if weights == "ema":
        tensors = _averaged(tensors, source)
    try:
        configs = configs_of(tensors, source, model_type, kind.place, found.head_channels)
        scheduler = _scheduler(tensors, source)
    except ConfigError as error:
        raise CheckpointError(f"{source} holds what no model has: {error}") from None
    if model_type.has_language_model:
        tensors = _edges_apart(tensors, source)
    networks, problems = _networks(tensors, found, configs, path)
    problems += [f"{source}: {problem}" for problem in differences_in_width(configs)]
    try:
        LatentGeometry.from_configs(**configs)  # pyright: ignore[reportArgumentType]
    except ValueError as error:
        problems.append(f"{source}: {error}")
    if problems:
        raise CheckpointError("\n".join(problems))
    checkpoint = Checkpoint(
        path,
        "original",
        "float32",
        networks,
        scheduler,
        _own_tokenizers(model_type, configs, tokenizers),
        defaults=_defaults(kind, model_type),
        source=source,
        model_type=model_type,
    )
    return OriginalCheckpoint(checkpoint, found.words, notices)


def _networks(
    tensors: Tensors, found: Found, configs: Mapping[str, JsonConfig], path: Path
) -> tuple[dict[str, StoredNetwork], list[str]]:
    """The networks of a file, and what is wrong with them.

    Raises:
        CheckpointError: when there are keys that belong to none.
    """
    types = found.model_type.networks
    rules = {
        name: tuple(found.kind.rule(rule) for rule in network.original(configs[name]))
        for name, network in types.items()
    }
    table = [dataclasses.replace(rule, target=f"{name}/{rule.target}") for name, own in rules.items() for rule in own]
    renamed = rename(tensors, KeyTable(tuple(table), ignored_of(found.kind)), str(path))
    networks: dict[str, StoredNetwork] = {}
    problems = []
    for name, network in types.items():
        own = {key.removeprefix(f"{name}/"): tensor for key, tensor in renamed.items() if key.startswith(f"{name}/")}
        try:
            own = undo_spellings({**own, **_constants(configs[name])}, network.keys.spellings)
        except CheckpointError as error:
            problems.append(f"{path / name}: {error}")
            continue
        stored_name = functools.partial(_stored_name, tables=(network.keys.rules, rules[name]))
        networks[name] = StoredNetwork(path / name, network, configs[name], own, network.keys, stored_name)
        try:
            networks[name].check()
        except (CheckpointError, ConfigError) as error:
            problems.append(str(error))
    return networks, problems


def _stored_name(target: str, tables: Sequence[Sequence[Rule]]) -> str | None:
    """What the authors call the tensor of a parameter, by the tables that lead to it, the last of them first."""
    name: str | None = target
    for rules in tables:
        found = (before for rule in rules if (before := rule.inverse.rename(name)) is not None)
        name = next(found, None)
        if name is None:
            return None
    return name


def ignored_of(kind: Kind) -> tuple[str, ...]:
    """`IGNORED` for a kind of file."""
    return tuple(dict.fromkeys(kind.place(pattern) for pattern in IGNORED if pattern not in kind.used))


def _own_tokenizers(model_type: ModelType, configs: Mapping[str, JsonConfig], given: Sequence[Path]) -> dict[str, Path]:
    """The tokenizers that a model has, out of CLAP's and T5's or its own ones alone.

    Raises:
        ValueError: when there are too few.
    """
    names = model_type.tokenizers
    if len(given) < len(names):
        raise ValueError(
            f"{len(given)} tokenizer is given (--tokenizers); expected CLAP's and T5's, since {model_type.described} "
            "reads prompts with both"
        )
    if len(given) == len(names):
        return dict(zip(names, given, strict=True))
    return {name: given[isinstance(configs[reader], T5Config)] for name, reader in names.items()}


def _defaults(kind: Kind, model_type: ModelType) -> GenerationDefaults:
    """How a model is sampled where a request does not say: in as many steps as by its authors, with their guidance."""
    own = model_type.defaults
    guidance = PUBLISHED.guidance_scale if kind is OF_CLAP_ALONE else own.guidance_scale
    return dataclasses.replace(own, num_inference_steps=PUBLISHED.num_inference_steps, guidance_scale=guidance)


def averaged_name(key: str) -> str:
    """Where the moving average of a weight of the UNet lies: its name has no dots."""
    return _EMA + key.removeprefix("model.").replace(".", "")


def _averaged(tensors: Tensors, source: str) -> dict[str, np.ndarray | LazyArray]:
    """The tensors with the UNet's moving average in the place of its weights; its names have no dots.

    Raises:
        CheckpointError: when there is none, or it lacks weights.
    """
    averages = {key: averaged_name(key) for key in tensors if key.startswith(UNET)}
    missing = [name for name in averages.values() if name not in tensors]
    if missing:
        what = "holds no moving average" if len(missing) == len(averages) else "lacks a part of the moving average"
        lines = "" if len(missing) == len(averages) else ":\n" + listed([tensor_name(name) for name in missing])
        raise CheckpointError(
            f"{source} {what} of the UNet; expected {_EMA}* for each of its weights, or take these (--weights model)"
            f"{lines}"
        )
    return {key: _named(averages[key], tensors[averages[key]]) if key in averages else tensors[key] for key in tensors}


def _named(name: str, tensor: np.ndarray | LazyArray) -> LazyArray:
    """A tensor that goes by another name from here on, and is called by its own in errors."""
    return LazyArray(tensor.shape, tensor.dtype, functools.partial(np.asarray, tensor), name)


def _edges_apart(tensors: Tensors, source: str) -> dict[str, np.ndarray | LazyArray]:
    """The tables of start and end vectors taken apart: ``NAME[0]`` CLAP's, ``NAME[1]`` the other's, and the rest."""
    apart = dict(tensors)
    for name in EDGES:
        if name not in apart:
            raise CheckpointError(f"{source} lacks {name}; expected all keys of a checkpoint of AudioLDM2")
        table = apart.pop(name)
        if len(table.shape) != 2 or table.shape[0] < _ENCODERS:
            raise CheckpointError(
                f"{source}: {name} is {list(table.shape)}; expected a row for each of {_ENCODERS} encoders"
            )
        rows: list[tuple[str, int | slice, tuple[int, ...]]] = [
            (str(row), row, table.shape[1:]) for row in range(_ENCODERS)
        ]
        rows.append((f"{_ENCODERS}:", slice(_ENCODERS, None), (table.shape[0] - _ENCODERS, table.shape[1])))
        for written, place, shape in rows:
            apart[f"{name}[{written}]"] = LazyArray(shape, table.dtype, functools.partial(_rows, table, place))
    return apart


def _rows(table: np.ndarray | LazyArray, place: int | slice) -> np.ndarray:
    return np.asarray(table)[place]


def _constants(config: JsonConfig) -> dict[str, np.ndarray]:
    """What transformers' vocoder has beside the authors': statistics that change nothing."""
    if not isinstance(config, VocoderConfig):
        return {}
    bins = (config.model_in_dim,)
    return {"mean": np.zeros(bins, np.float32), "scale": np.ones(bins, np.float32)}


def _scheduler(tensors: Tensors, source: str) -> SchedulerConfig:
    """The published scheduler, with the betas of the file.

    Raises:
        CheckpointError: when they are missing or no numbers of a schedule, or rise neither in a straight line nor with
            a root that does.
    """
    if "betas" not in tensors:
        raise CheckpointError(f"{source} lacks betas; expected all keys of a checkpoint of AudioLDM2")
    betas = np.asarray(tensors["betas"]).astype(np.float64)
    if betas.ndim != 1 or len(betas) < 2 or not (betas > 0).all():
        raise CheckpointError(
            f"{source}: betas is {list(betas.shape)}, from {betas.min(initial=np.inf):.3g} on; expected a positive "
            "number for each of at least two timesteps"
        )
    published = SchedulerConfig.from_dict(published_config("audioldm2", "scheduler"))
    for schedule, power in (("scaled_linear", 2), ("linear", 1)):
        line = betas ** (1 / power)
        straight = np.linspace(line[0], line[-1], len(line)) ** power
        if np.allclose(straight, betas, rtol=1e-4, atol=0.0):
            # As many digits as float32 tells apart, so that 0.0015 is 0.0015.
            start, end = (float(f"{value:.6g}") for value in (betas[0], betas[-1]))
            return dataclasses.replace(
                published, beta_schedule=schedule, beta_start=start, beta_end=end, num_train_timesteps=len(betas)
            )
    raise CheckpointError(
        f"{source}: betas rise neither in a straight line nor with a root that does; expected one of both"
    )
