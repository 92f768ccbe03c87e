"""Steps that bring historical spellings of a checkpoint to the one spelling that the tables know.

Each step is a pure function from tensors to tensors, run before the rules; a step with settings is made by a function
of that name. Where two stored tensors are copies of one parameter they must be equal, or the checkpoint is refused.
"""

import re
from collections.abc import Callable, Mapping
from typing import TypeAlias

import numpy as np

from litefocus_jax.checkpoint.lazy import LazyArray, Tensors
from litefocus_jax.checkpoint.rules import CheckpointError

Step: TypeAlias = Callable[[Tensors], Tensors]

_WEIGHT_NORM = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)
_DEPRECATED_ATTENTION = {"query": "to_q", "key": "to_k", "value": "to_v", "proj_attn": "to_out.0"}


def _rename(tensors: Tensors, names: Mapping[str, str]) -> Tensors:
    """Rename some keys, refusing to overwrite another tensor."""
    renamed = {}
    for key, tensor in tensors.items():
        name = names.get(key, key)
        if name in renamed or (name != key and name in tensors):
            raise CheckpointError(f"{key} is another name of {name}, and the checkpoint holds both; expected one")
        renamed[name] = tensor
    return renamed


def strip_prefix(prefix: str) -> Step:
    """Remove a prefix from the keys that carry it, such as GPT-2's ``transformer.``.

    Raises:
        CheckpointError: (the step) when a key exists with and without the prefix.
    """
    return lambda tensors: _rename(tensors, {key: key.removeprefix(prefix) for key in tensors})


def drop_tied(kept: str, copy: str) -> Step:
    """Drop the second name of a tied parameter; where only the second is stored, it takes the first's name.

    Raises:
        CheckpointError: (the step) when both are stored and differ.
    """

    def step(tensors: Tensors) -> Tensors:
        if copy not in tensors:
            return tensors
        if kept not in tensors:
            return _rename(tensors, {copy: kept})
        first, second = np.asarray(tensors[kept]), np.asarray(tensors[copy])
        if not np.array_equal(first, second):
            raise CheckpointError(
                f"{kept} {list(first.shape)} and {copy} {list(second.shape)} are two names of one parameter, "
                "but their values differ"
            )
        return {key: tensor for key, tensor in tensors.items() if key != copy}

    return step


def rename_deprecated_attention(tensors: Tensors) -> Tensors:
    """Give diffusers' former attention weights (``query``, ``proj_attn``, ...) their present names.

    Raises:
        CheckpointError: when a weight is stored under both names.
    """
    names = {}
    for key in tensors:
        if match := re.fullmatch(r"(.*attentions\.\d+)\.(query|key|value|proj_attn)\.(weight|bias)", key):
            names[key] = f"{match[1]}.{_DEPRECATED_ATTENTION[match[2]]}.{match[3]}"
    return _rename(tensors, names)


def _fused(magnitude: np.ndarray | LazyArray, direction: np.ndarray | LazyArray) -> LazyArray:
    def read() -> np.ndarray:
        scale, weight = (np.asarray(tensor, dtype=np.float32) for tensor in (magnitude, direction))
        norm = np.sqrt(np.sum(np.square(weight), axis=tuple(range(1, weight.ndim)), keepdims=True))
        with np.errstate(divide="ignore", invalid="ignore"):  # NaN is reported when the rules are applied
            return scale * weight / norm

    return LazyArray(direction.shape, np.dtype(np.float32), read)


def fuse_weight_norm(tensors: Tensors) -> Tensors:
    """Replace weight normalisation's pairs, in either of PyTorch's spellings, by the weight ``g * v / ||v||``.

    The norm is over all axes but the first, as in ``torch.nn.utils.weight_norm`` by default. Equation 2 of Salimans
    and Kingma, "Weight Normalization" (arXiv 1602.07868).

    Raises:
        CheckpointError: when one half of a pair is missing or misshapen, or the fused weight is stored as well.
    """
    fused = dict(tensors)
    for magnitude_suffix, direction_suffix in _WEIGHT_NORM:
        stems = {
            key.removesuffix(suffix)
            for suffix in (magnitude_suffix, direction_suffix)
            for key in tensors
            if key.endswith(f".{suffix}")
        }
        for stem in sorted(stems):
            magnitude, direction = stem + magnitude_suffix, stem + direction_suffix
            for key, other in ((magnitude, direction), (direction, magnitude)):
                if key not in fused:
                    raise CheckpointError(f"{key} is missing; weight normalisation needs it beside {other}")
            if stem + "weight" in fused:
                raise CheckpointError(f"{stem}weight is stored both fused and as {magnitude}; expected one of them")
            scale, weight = fused.pop(magnitude), fused.pop(direction)
            expected = (*weight.shape[:1], *(1 for _ in weight.shape[1:]))
            if scale.shape != expected:
                raise CheckpointError(f"{magnitude} is {list(scale.shape)}; expected {list(expected)}")
            fused[stem + "weight"] = _fused(scale, weight)
    return fused
