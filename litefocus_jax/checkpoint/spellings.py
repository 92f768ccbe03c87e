"""Undo the spellings of a network's key table: turn what older files write into what the rules know.

Each is a pure function from tensors to tensors, run before the rules. Where two stored tensors are copies of one
parameter they must be equal, or the checkpoint is refused.
"""

import functools
import re
from collections.abc import Mapping, Sequence

import numpy as np

from litefocus_jax.checkpoint.errors import CheckpointError, tensor_name
from litefocus_jax.checkpoint.tensors import LazyArray, Tensors
from litefocus_jax.models.keys import Prefix, Renamed, Spelling, Tied, WeightNorm

_WEIGHT_NORM = (
    ("weight_g", "weight_v"),
    ("parametrizations.weight.original0", "parametrizations.weight.original1"),
)


def undo_spellings(tensors: Tensors, spellings: Sequence[Spelling]) -> Tensors:
    """The tensors under the names that the rules know.

    Raises:
        CheckpointError: when a tensor is stored under two names instead of one, copies of one parameter
            differ, or half of a pair is missing.
    """
    return functools.reduce(_undo, spellings, tensors)


def _undo(tensors: Tensors, spelling: Spelling) -> Tensors:
    match spelling:
        case Prefix(prefix):
            return _rename(tensors, {key: key.removeprefix(prefix) for key in tensors})
        case Tied(kept, copy):
            return _drop_copy(tensors, kept, copy)
        case Renamed():
            return _rename(tensors, _former_names(tensors, spelling))
        case WeightNorm():
            return _fuse_weight_norm(tensors)


def _rename(tensors: Tensors, names: Mapping[str, str]) -> Tensors:
    """Rename some keys, refusing to overwrite another tensor."""
    renamed = {}
    for key, tensor in tensors.items():
        name = names.get(key, key)
        if name in renamed or (name != key and name in tensors):
            raise CheckpointError(
                f"{tensor_name(key)} is another name of {tensor_name(name)}, and the checkpoint holds both; "
                "expected one"
            )
        renamed[name] = tensor
    return renamed


def _former_names(tensors: Tensors, spelling: Renamed) -> dict[str, str]:
    """The present name of every key that has a former one."""
    names = {}
    for key in tensors:
        if match := re.fullmatch(spelling.pattern, key):
            start, end = match.span(spelling.part)
            names[key] = key[:start] + dict(spelling.names)[match[spelling.part]] + key[end:]
    return names


def _drop_copy(tensors: Tensors, kept: str, copy: str) -> Tensors:
    """Drop the second name of a tied parameter; where only the second is stored, it takes the first's name."""
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


def _fused(magnitude: np.ndarray | LazyArray, direction: np.ndarray | LazyArray) -> LazyArray:
    def read() -> np.ndarray:
        scale, weight = (np.asarray(tensor, dtype=np.float32) for tensor in (magnitude, direction))
        norm = np.sqrt(np.sum(np.square(weight), axis=tuple(range(1, weight.ndim)), keepdims=True))
        with np.errstate(divide="ignore", invalid="ignore"):  # NaN is reported when the rules are applied
            return scale * weight / norm

    return LazyArray(direction.shape, np.dtype(np.float32), read)


def _fuse_weight_norm(tensors: Tensors) -> Tensors:
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
