"""The language of key tables: which tensor of a PyTorch checkpoint becomes which parameter of ours, and back.

A `KeyTable` says so for one network. Its rules have two patterns each, dotted paths with placeholders:

- ``{name}`` stands for one or more characters, dots included, as few as fit;
- ``{name:regex}`` for what the regular expression matches (no braces inside); written on one side, it holds for both.

Patterns cover the whole key, and both sides carry the same placeholders, so that a table also runs backwards. How
tables are applied is in `litefocus_jax.checkpoint.matching` and `litefocus_jax.checkpoint.spellings`.
"""

import dataclasses
import functools
import re
from collections.abc import Callable, Mapping
from typing import Any, TypeAlias

import numpy as np

_PLACEHOLDER = re.compile(r"\{(\w+)(?::([^{}]+))?\}")


@dataclasses.dataclass(frozen=True)
class Transform:
    """A change of axes from PyTorch's layout to ours, with its inverse."""

    forward: Callable[[np.ndarray], np.ndarray]
    inverse: Callable[[np.ndarray], np.ndarray]


def _permutation(*axes: int) -> Transform:
    inverse = tuple(int(axis) for axis in np.argsort(axes))
    return Transform(lambda array: array.transpose(axes), lambda array: array.transpose(inverse))


def _flip_first(array: np.ndarray) -> np.ndarray:
    return array[::-1]


_LINEAR = _permutation(1, 0)
_CONV2D = _permutation(2, 3, 1, 0)


def _linear_or_conv2d(array: np.ndarray) -> Transform:
    return _LINEAR if array.ndim == 2 else _CONV2D


TRANSFORMS: Mapping[str, Transform] = {
    "same": Transform(lambda array: array, lambda array: array),
    # [out, in] -> [in, out]
    "linear": _LINEAR,
    # [out, in, width] -> [width, in, out]
    "conv1d": _permutation(2, 1, 0),
    # [out, in, height, width] -> [height, width, in, out]
    "conv2d": _CONV2D,
    # By rank, for layers that a configuration makes the one or the other.
    "linear_or_conv2d": Transform(
        lambda array: _linear_or_conv2d(array).forward(array), lambda array: _linear_or_conv2d(array).inverse(array)
    ),
    # [out, in, 1, 1] -> [out, in], for what one library calls a convolution and another a linear layer.
    "from_1x1": Transform(lambda array: array.squeeze((2, 3)), lambda array: array[:, :, None, None]),
    # [out, in, 1] -> [out, in], likewise along one axis; and on to [in, out].
    "from_width_1": Transform(lambda array: array.squeeze(2), lambda array: array[:, :, None]),
    "linear_of_width_1": Transform(lambda array: array.squeeze(2).T, lambda array: array.T[:, :, None]),
    # [in, out, width] -> [width, in, out], reversed along the width: PyTorch scatters the kernel, whereas
    # nnx.ConvTranspose (transpose_kernel=False) correlates with it over the dilated input.
    "conv_transpose1d": Transform(
        lambda array: _flip_first(array.transpose(2, 0, 1)), lambda array: _flip_first(array).transpose(1, 2, 0)
    ),
}
"""Every transform a rule can name. All of them return views."""


@dataclasses.dataclass(frozen=True)
class Rule:
    """One family of parameters.

    Attributes:
        source: pattern of the PyTorch keys.
        target: pattern of our parameter paths.
        transform: a name in `TRANSFORMS`.
        optional: the family is absent from some configurations; other rules must match at least one key.

    Raises:
        ValueError: when the transform is unknown, or the two sides have different placeholders.
    """

    source: str
    target: str
    transform: str = "same"
    optional: bool = False

    def __post_init__(self) -> None:
        if self.transform not in TRANSFORMS:
            raise ValueError(f"{self} names an unknown transform; expected one of {', '.join(TRANSFORMS)}")
        source, target = ({name for name, _ in _PLACEHOLDER.findall(side)} for side in (self.source, self.target))
        if source != target:
            raise ValueError(f"{self} has placeholders {sorted(source)} on one side and {sorted(target)} on the other")

    @property
    def inverse(self) -> "Rule":
        """The rule with its sides exchanged; its transform is to be applied backwards."""
        return dataclasses.replace(self, source=self.target, target=self.source)

    @functools.cached_property
    def _head(self) -> str:
        """What every key begins with that the rule applies to: it tells sooner than an expression does."""
        return self.source.partition("{")[0]

    def rename(self, key: str) -> str | None:
        """The target of a source key, or None where the rule does not apply."""
        if not key.startswith(self._head):
            return None
        match = compile_pattern(self.source, self.target).fullmatch(key)
        return match and _PLACEHOLDER.sub(lambda placeholder: match[placeholder[1]], self.target)


@functools.lru_cache(maxsize=4096)
def compile_pattern(pattern: str, other_side: str = "") -> re.Pattern[str]:
    """The regular expression of a pattern; placeholders may get their expression from the rule's other side."""
    expressions = {name: regex for name, regex in _PLACEHOLDER.findall(other_side + pattern) if regex}
    parts, seen, position = [], set(), 0
    for placeholder in _PLACEHOLDER.finditer(pattern):
        name = placeholder[1]
        parts.append(re.escape(pattern[position : placeholder.start()]))
        parts.append(f"(?P={name})" if name in seen else f"(?P<{name}>{expressions.get(name, '.+?')})")
        seen.add(name)
        position = placeholder.end()
    return re.compile("".join(parts) + re.escape(pattern[position:]))


@dataclasses.dataclass(frozen=True)
class Prefix:
    """A spelling: keys may begin with something that says nothing, such as GPT-2's ``transformer.``."""

    prefix: str


@dataclasses.dataclass(frozen=True)
class Tied:
    """A spelling: one parameter may be stored under a second name, or under that one alone.

    Attributes:
        kept: the name that the rules know.
        copy: the other one.
    """

    kept: str
    copy: str


@dataclasses.dataclass(frozen=True)
class Renamed:
    """A spelling: keys had other names once.

    Attributes:
        pattern: regular expression of the old keys.
        part: which of its groups was renamed.
        names: from the old text of that group to the new one.
    """

    pattern: str
    part: int
    names: tuple[tuple[str, str], ...]


@dataclasses.dataclass(frozen=True)
class WeightNorm:
    """A spelling: weights may be stored as direction and magnitude, in either of PyTorch's ways (arXiv 1602.07868)."""


Spelling: TypeAlias = Prefix | Tied | Renamed | WeightNorm
"""A way in which older files write what the rules know under one name."""


@dataclasses.dataclass(frozen=True)
class KeyTable:
    """Where the tensors of one network go.

    Attributes:
        rules: one for each family of parameters. A key must match exactly one of them or stand on the list of ignored
            ones; two matches are an error, not a matter of order.
        ignored: patterns of the PyTorch keys that are deliberately unused.
        spellings: undone in this order before the rules are applied.
    """

    rules: tuple[Rule, ...]
    ignored: tuple[str, ...] = ()
    spellings: tuple[Spelling, ...] = ()


@dataclasses.dataclass(frozen=True)
class Network:
    """What is needed to know about a network to read and to write it. Each network's file ends with one.

    Attributes:
        config_class: a `JsonConfig` that reads its ``config.json``.
        model_class: an `nnx.Module` built as ``model_class(config, rngs=...)``.
        keys: table from PyTorch's names to ours.
        library: the library of its PyTorch class, for diffusers' ``model_index.json``.
        class_names: the PyTorch classes that can be read; the one that the configuration names is written, or else the
            first.
        model_type: the type by which transformers knows it, or None for networks of diffusers.
        weights: name of its weight files in a diffusers folder, without suffix.
        always_float32: its weights stay float32 whatever type the model is loaded or stored in.
        written_prefix: what its keys begin with in the class that is written.
        extra_config: what its written JSON has beside its configuration.
        extra_tensors: makes, of its configuration, the tensors that its PyTorch class has beside those of the table.
        libraries: of those classes that are of another one.
        original: makes, of its configuration, the rules from its keys in a file of AudioLDM2's authors to those that
            ``keys`` knows; see `litefocus_jax.checkpoint.original`.
    """

    config_class: type[Any]
    model_class: type[Any]
    keys: KeyTable
    library: str
    class_names: tuple[str, ...]
    model_type: str | None = None
    weights: str = "model"
    always_float32: bool = False
    written_prefix: str = ""
    extra_config: tuple[tuple[str, Any], ...] = ()
    extra_tensors: Callable[[Any], Mapping[str, np.ndarray]] = lambda config: {}
    libraries: tuple[tuple[str, str], ...] = ()
    original: Callable[[Any], tuple[Rule, ...]] = lambda config: ()

    def written_class(self, config: Any) -> tuple[str, str]:
        """Library and PyTorch class of a network of some configuration, for diffusers' ``model_index.json``."""
        named = getattr(config, "CLASS_NAME", "")
        class_name = named if named in self.class_names else self.class_names[0]
        return dict(self.libraries).get(class_name, self.library), class_name

    def weights_dtype(self, dtype: np.dtype) -> np.dtype:
        """The type of this network's weights in a model of type ``dtype``."""
        return np.dtype(np.float32) if self.always_float32 else dtype
